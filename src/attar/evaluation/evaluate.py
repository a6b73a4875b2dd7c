"""Metrics of a model on rows: reconstruction, rate and likelihood; each row is prepared once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from attar.codes import SymbolModule
from attar.codes.point import NoCodeModule
from attar.data.kind import Rows
from attar.evaluation.baseline import Baseline
from attar.evaluation.information import active_units
from attar.evaluation.metrics import (
    bits_per_dimension,
    relative_perplexity,
    ssim,
    usage,
)
from attar.evaluation.reconstruction import PartMetrics, reconstruction_of
from attar.evaluation.scores import ScoreReference, fixed_noise, scores_of
from attar.model import Model
from attar.predictor import Predictor, traces_of
from attar.records import Coded


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
    reconstruction, similarity, coding = reconstruction_of(predictor, baseline), 0.0, Coding()
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
