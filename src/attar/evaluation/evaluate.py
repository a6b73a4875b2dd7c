"""Metrics of a model on rows: reconstruction, rate and likelihood; each row is prepared once."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from attar.codes import SymbolModule
from attar.data.cells import Boolean, Category
from attar.data.kind import Kind, Rows
from attar.data.summary import Moments
from attar.data.table import Table
from attar.evaluation.diagnostics import Baseline
from attar.evaluation.information import active_units
from attar.evaluation.metrics import (
    accuracy,
    bits_per_dimension,
    error_ratio,
    mean_squared_error,
    psnr,
    relative_perplexity,
    ssim,
    usage,
)
from attar.evaluation.scores import ScoreReference, fixed_noise, scores_of
from attar.model import Model
from attar.predictor import Predictor, traces_of
from attar.records import Batch, Coded


@torch.no_grad()
def evaluate(
    predictor: Predictor,
    pieces: Iterable[tuple[Predictor, Rows]],
    baseline: Baseline,
    provides: frozenset[str],
    draws: int,
    density: bool,
    reference: ScoreReference | None = None,
) -> dict[str, float]:
    """Return the metrics of a model on rows (n, *cells), in one pass over them.

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
    reconstruction, coding = Reconstruction(predictor, baseline), Coding()
    scores: list[Rows] = []
    surcharge = 0.0
    first, noise = _first_noise(predictor.model), fixed_noise(predictor.model, draws)
    for conditioned, piece in pieces:
        for model, rows, batch in conditioned.batches(piece):
            reconstruction.add(model, rows, batch)
            if provides & {"density", "symbols"}:
                for trace in traces_of(model, batch, first, predictor.chunk):
                    coding.add(model, trace.coded)
            scores.append(scores_of(conditioned, (model, rows, batch), noise, reference))
        if reference is not None:
            surcharge += reference.surcharge(conditioned).sum()
    score = float((np.concatenate(scores).sum() - surcharge) / sum(map(len, scores)))
    metrics = reconstruction.metrics() | coding.metrics()
    if not density:
        return metrics | {"distortion": -score}
    cells = math.prod(predictor.preparation.kind.shape)
    return metrics | {
        "nll_bound": -score,
        "bits_per_dimension": bits_per_dimension(-score, cells),
    }


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
        self.baseline = baseline
        shape = self.preparation.kind.shape
        self.images, self.classes = len(shape) == 3, _classes(self.preparation.kind)
        self.moments = Moments.none(math.prod(shape))
        self.rows = self.classified = 0
        self.squares = self.linear = self.total = self.similarity = self.correct = 0.0

    def add(self, model: Model, rows: Rows, batch: Batch) -> None:
        """Add raw rows (B, *cells) and the batch of them."""
        prepared = _with_nan(batch)
        codes = model.encode(batch.values, batch.observed, batch.condition)
        decoded = model.decode(codes, batch.condition).cpu()
        observed = float((~np.isnan(prepared)).sum())
        self.rows += len(prepared)
        self.squares += observed * mean_squared_error(prepared, decoded.numpy())
        pca_errors = self.baseline.errors(prepared)[: self.code_size + 1]
        self.total += observed * pca_errors[0]
        self.linear += observed * pca_errors[-1]
        if self.images:
            pair = (np.moveaxis(images, 1, -1) for images in (prepared, decoded.numpy()))
            self.similarity += len(prepared) * ssim(*pair)
        if self.classes:
            given, raw = rows[:, self.classes], self.preparation.raw(decoded)[:, self.classes]
            classified = int((~np.isnan(given)).sum())
            self.correct += classified * accuracy(given, raw)
            self.classified += classified
        self.moments = self.moments.merged(Moments.of(prepared.reshape(len(prepared), -1)))

    def metrics(self) -> dict[str, float]:
        """Return the metrics of all rows added."""
        cells, variation = self.moments.count.sum(), self.moments.squares.sum()
        error, pca_error = float(self.squares / cells), float(self.linear / cells)
        metrics = {
            "rows": float(self.rows),
            "code_size": float(self.code_size),
            "error": error,
            "pca_error": pca_error,
            "error_to_pca": error_ratio(error, pca_error, float(self.total / cells)),
            "explained_variance": float(1 - self.squares / variation) if variation else 0.0,
        }
        if self.moments.low.min() >= 0 and self.moments.high.max() <= 1:
            metrics["psnr"] = psnr(error)
            if self.images:
                metrics["ssim"] = self.similarity / self.rows
        if self.classified:
            metrics["accuracy"] = self.correct / self.classified
        return metrics


def _with_nan(batch: Batch) -> Rows:
    """Return the clean values of a batch in single precision, NaN where a cell is missing."""
    # Values far out are cut off, where rows are dense.
    target = batch.target if batch.values.is_sparse else batch.values
    if batch.observed is not None:
        target = target.masked_fill(~batch.observed, torch.nan)
    return target.float().cpu().numpy()


def _classes(kind: Kind) -> list[int]:
    """Return which cells of a raw row are categories or booleans."""
    if not isinstance(kind, Table):
        return []
    return [i for i, cell in enumerate(kind.cells) if isinstance(cell, Boolean | Category)]
