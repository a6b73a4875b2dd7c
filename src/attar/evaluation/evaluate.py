"""Metrics of a model on rows: reconstruction, rate and likelihood; each row is prepared once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from attar.codes import SymbolModule
from attar.codes.point import NoCodeModule
from attar.data.cells import Boolean, Category
from attar.data.kind import Kind, Rows
from attar.data.summary import Moments
from attar.data.table import Table
from attar.evaluation.baseline import Baseline
from attar.evaluation.information import active_units
from attar.evaluation.metrics import (
    bits_per_dimension,
    error_ratio,
    psnr,
    relative_perplexity,
    ssim,
    usage,
)
from attar.evaluation.scores import ScoreReference, fixed_noise, scores_of
from attar.model import Model
from attar.predictor import Predictor, traces_of
from attar.records import Batch, Coded


@dataclass(frozen=True)
class PartMetrics:
    """How well a column of a table, or a channel, is reconstructed.

    Attributes
    ----------
    name : str
    explained_variance : float
        1 - squared error / variance of its prepared cells, those of a category's indicators; NaN
        where it is constant.
    missing : float
        The fraction of prepared cells that are missing.
    variance : float
        Its share of the variance of all prepared cells.
    accuracy, most_frequent : float or None
        Of a category or boolean: the fraction reconstructed correctly, and that of its most
        frequent value.
    """

    name: str
    explained_variance: float
    missing: float
    variance: float
    accuracy: float | None = None
    most_frequent: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """What a model was measured to be on some rows.

    Attributes
    ----------
    metrics : dict of str to float
        Of a model without a code only those of the likelihood.
    pca_errors : list of float
        Of PCA with 0, 1, 2, ... components.
    parts : list of PartMetrics
        The columns or channels; none without a code.
    scores : array (n,)
        The score of each row, as of :meth:`Autoencoder.score_samples`.
    rows_of : str
        Which rows these are: ``"validation"`` or ``"training"`` rows of the fit, the ``"test"``
        rows of a data set by name, or any others that were ``"given"``.
    rows : rows (n, *cells) or None
        Those of the fit.
    """

    metrics: dict[str, float]
    pca_errors: list[float]
    parts: list[PartMetrics]
    scores: Rows
    rows_of: str = "given"
    rows: Rows | None = None

    def without_pca(self) -> Self:
        """Return the evaluation of a model that is not compared with principal components."""
        kept = {name: value for name, value in self.metrics.items() if "pca" not in name}
        return replace(self, metrics=kept)


@torch.no_grad()
def evaluate(
    predictor: Predictor,
    pieces: Iterable[tuple[Predictor, Rows]],
    baseline: Baseline,
    provides: frozenset[str],
    draws: int,
    density: bool,
    reference: ScoreReference | None = None,
) -> Evaluation:
    """Return the evaluation of a model on rows (n, *cells), in one pass over them.

    Parameters
    ----------
    predictor : Predictor
    pieces : iterable
        Pairs of a predictor with the conditions of some rows, and these rows.
    baseline : Baseline
    provides : frozenset of str
        The capabilities of the code.
    draws : int
        The number of draws of each code for the likelihood.
    density : bool
        Whether the model has a density of rows; else minus the score is the distortion.
    reference : ScoreReference or None
        Makes the likelihoods of rows with missing cells comparable.

    Raises
    ------
    SettingError
        If so many draws would not fit into memory.
    """
    reconstruction, similarity, coding = Reconstruction(predictor, baseline), 0.0, Coding()
    kind, coded = predictor.preparation.kind, not isinstance(predictor.model.code, NoCodeModule)
    images = len(kind.shape) == 3
    scores: list[Rows] = []
    first, noise = _first_noise(predictor.model), fixed_noise(predictor.model, draws)
    for conditioned, piece in pieces:
        found: list[Rows] = []
        for model, rows, batch in conditioned.batches(piece):
            if coded:
                prepared, decoded = reconstruction.add(model, rows, batch)
            if coded and images:
                channels_last = np.moveaxis(prepared, 1, -1), np.moveaxis(decoded, 1, -1)
                similarity += len(rows) * ssim(*channels_last)
            if provides & {"density", "symbols"}:
                for trace in traces_of(model, batch, first, predictor.chunk):
                    coding.add(model, trace.coded)
            found.append(scores_of(conditioned, (model, rows, batch), noise, reference))
        surcharge = 0.0 if reference is None else reference.surcharge(conditioned)
        scores.append(np.concatenate(found) - surcharge)
    joined = np.concatenate(scores)
    nats = -float(joined.mean())
    metrics = {"rows": float(len(joined))}
    if coded:
        metrics = reconstruction.metrics() | coding.metrics()
    if images and "psnr" in metrics:
        metrics["ssim"] = similarity / reconstruction.rows
    if density:
        metrics["nll_bound"] = nats
        metrics["bits_per_row"] = bits_per_dimension(nats, 1)
        metrics["bits_per_dimension"] = bits_per_dimension(nats, kind.dimensions)
    else:
        metrics |= {"distortion": nats}
    parts = reconstruction.parts if coded else []
    return Evaluation(metrics, reconstruction.pca_errors, parts, joined)


def _first_noise(model: Model) -> Tensor:
    """Return one fixed draw (1, 1, d)."""
    return torch.randn(1, 1, model.noise_size, generator=torch.Generator().manual_seed(0))


@dataclass
class Coding:
    """Metrics of random and of discrete codes.

    ``rate`` is in nats per row, ``active_units`` is the number of latent dimensions whose posterior
    mean varies with the row, ``codebook_use`` and ``perplexity`` are fractions of the codebook
    sizes.
    """

    sizes: tuple[int, ...] = ()
    rates: list[Tensor] = field(default_factory=list)
    means: list[Tensor] = field(default_factory=list)
    symbols: list[Tensor] = field(default_factory=list)

    def add(self, model: Model, coded: Coded) -> None:
        """Add the codes of some rows, of one draw."""
        self.sizes = model.code.sizes if isinstance(model.code, SymbolModule) else ()
        self.rates.append(coded.rate[0].double().cpu())
        if coded.moments is not None:
            self.means.append(coded.moments[0].float().cpu())
        if coded.symbols is not None:
            self.symbols.append(coded.symbols[0].cpu())

    def metrics(self) -> dict[str, float]:
        """Return the metrics; none where no code was added."""
        if not self.rates:
            return {}
        metrics = {"rate": torch.cat(self.rates).mean().item()}
        if self.means:
            metrics["active_units"] = float(active_units(torch.cat(self.means).numpy()).sum())
        if self.symbols:
            symbols = torch.cat(self.symbols).numpy()
            metrics["codebook_use"] = float(np.mean(usage(symbols, self.sizes)))
            metrics["perplexity"] = float(np.mean(relative_perplexity(symbols, self.sizes)))
        return metrics


class Reconstruction:
    """Metrics of reconstructions and of PCA's; errors are mean squared errors of prepared cells.

    ``accuracy`` is the fraction of a table's categories and booleans reconstructed correctly.

    Parameters
    ----------
    predictor : Predictor
    baseline : Baseline
    """

    def __init__(self, predictor: Predictor, baseline: Baseline) -> None:
        self.preparation, self.code_size = predictor.preparation, predictor.code_size
        self.baseline, kind = baseline, predictor.preparation.kind
        self.classes = _classes(kind)
        width = math.prod(kind.shape)
        self.moments, self.squares = Moments.none(width), np.zeros(width)
        self.linear = np.zeros(len(baseline.components) + 1)
        self.rows = 0
        # How many of each are reconstructed correctly, and how often each value occurs.
        self.correct = dict.fromkeys(self.classes, 0)
        self.values = {place: Counter[float]() for place in self.classes}

    @torch.no_grad()
    def add(self, model: Model, rows: Rows, batch: Batch) -> tuple[Rows, Rows]:
        """Add raw rows (B, *cells) and their batch; return them prepared and reconstructed."""
        prepared = _with_nan(batch)
        codes = model.encode(batch.values, batch.observed, batch.condition)
        decoded = model.decode(codes, batch.condition).cpu()
        residuals = (prepared - decoded.numpy()).reshape(len(prepared), -1)
        self.rows += len(prepared)
        self.squares += np.nansum(np.square(residuals), axis=0, dtype=np.float64)
        observed = float((~np.isnan(prepared)).sum())
        self.linear += observed * np.array(self.baseline.errors(prepared))
        if self.classes:
            raw = self.preparation.raw(decoded)
            for place, cell in self.classes.items():
                given = rows[:, cell]
                self.correct[place] += int((given == raw[:, cell]).sum())
                self.values[place].update(given[~np.isnan(given)].tolist())
        self.moments = self.moments.merged(Moments.of(prepared.reshape(len(prepared), -1)))
        return prepared, decoded.numpy()

    @property
    def pca_errors(self) -> list[float]:
        """The error of PCA with 0, 1, 2, ... components."""
        errors: list[float] = (self.linear / max(1.0, self.moments.count.sum())).tolist()
        return errors

    @property
    def parts(self) -> list[PartMetrics]:
        """How well each column or channel is reconstructed."""
        total = self.moments.squares.sum() or 1.0
        return [self._part(name, place, total) for name, place in self.preparation.kind.parts]

    def metrics(self) -> dict[str, float]:
        """Return the metrics of all rows added."""
        count, variation = max(1.0, self.moments.count.sum()), self.moments.squares.sum()
        squares, pca_errors = self.squares.sum(), self.pca_errors
        error, pca_error = float(squares / count), pca_errors[: self.code_size + 1][-1]
        metrics = {
            "rows": float(self.rows),
            "code_size": float(self.code_size),
            "error": error,
            "pca_error": pca_error,
            "error_to_pca": error_ratio(error, pca_error, pca_errors[0]),
            "explained_variance": float(1 - squares / variation) if variation else 0.0,
        }
        if self.moments.low.min() >= 0 and self.moments.high.max() <= 1:
            metrics["psnr"] = psnr(error)
        known = sum(counts.total() for counts in self.values.values())
        if known:
            metrics["accuracy"] = sum(self.correct.values()) / known
        return metrics

    def _part(self, name: str, place: slice, total: float) -> PartMetrics:
        variation = self.moments.squares[place].sum()
        explained = float(1 - self.squares[place].sum() / variation) if variation else math.nan
        missing = float(1 - self.moments.count[place].mean() / self.rows)
        share = float(variation / total)
        counts = self.values.get(place.start)
        if not counts:
            return PartMetrics(name, explained, missing, share)
        known, ((_, most),) = counts.total(), counts.most_common(1)
        correct = self.correct[place.start]
        return PartMetrics(name, explained, missing, share, correct / known, most / known)


def _with_nan(batch: Batch) -> Rows:
    """Return the clean values of a batch in single precision, NaN where a cell is missing."""
    # Values far out are cut off, where rows are dense.
    target = batch.target if batch.values.is_sparse else batch.values
    if batch.observed is not None:
        target = target.masked_fill(~batch.observed, torch.nan)
    return target.float().cpu().numpy()


def _classes(kind: Kind) -> dict[int, int]:
    """Return which cells of a raw row are categories or booleans, by their first prepared cell."""
    if not isinstance(kind, Table):
        return {}
    both = enumerate(zip(kind.cells, kind.expansion.segments, strict=True))
    return {place.start: i for i, (cell, place) in both if isinstance(cell, Boolean | Category)}
