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
from attar.errors import SettingError
from attar.evaluation.diagnostics import Baseline
from attar.evaluation.information import active_units
from attar.evaluation.metrics import (
    accuracy,
    bits_per_dimension,
    log_mean_exp,
    mean_squared_error,
    psnr,
    relative_perplexity,
    ssim,
    usage,
)
from attar.model import Model
from attar.predictor import Predictor, traces_of
from attar.records import Batch, Coded, Trace
from attar.training.runtime import memory_kept

# All draws are held at once, with at most so many numbers; they are weighted some at a time.
MOST_NUMBERS = 1 << 27


@torch.no_grad()
def evaluate(
    predictor: Predictor,
    pieces: Iterable[tuple[Predictor, Rows]],
    baseline: Baseline,
    provides: frozenset[str],
    draws: int,
    density: bool,
) -> dict[str, float]:
    """Return the metrics of a model on rows (n, *cells), in one pass over them.

    Parameters
    ----------
    predictor : Predictor
    pieces : iterable
        Rows in pieces, each with the predictor that has their conditions.
    baseline : Baseline
    provides : frozenset of str
        The capabilities of the code.
    draws : int
        How many draws of each code the likelihood takes.
    density : bool
        Whether the model has a likelihood of rows; else minus the score is called distortion.

    Raises
    ------
    SettingError
        If so many draws would not fit into memory.
    """
    reconstruction, coding, scores = Reconstruction(predictor, baseline), Coding(), []
    first, noise = _first_noise(predictor.model), _fixed_noise(predictor.model, draws)
    for conditioned, piece in pieces:
        for model, rows, batch in conditioned.batches(piece):
            reconstruction.add(model, rows, batch)
            if provides & {"density", "symbols"}:
                for trace in traces_of(model, batch, first, predictor.chunk):
                    coding.add(model, trace.coded)
            scores.append(_log_likelihood(model, batch, noise, predictor.chunk))
    score = float(np.concatenate(scores).mean())
    metrics = reconstruction.metrics() | coding.metrics()
    if not density:
        return metrics | {"distortion": -score}
    cells = math.prod(predictor.preparation.kind.shape)
    return metrics | {
        "nll_bound": -score,
        "bits_per_dimension": bits_per_dimension(-score, cells),
    }


@torch.no_grad()
def log_likelihoods(predictor: Predictor, rows: Rows, draws: int) -> Rows:
    """Return the log-likelihood of rows (n, *cells), or its bound, in nats: (n,).

    A random code is weighted at so many draws, log Σ p(x, z) / q(z|x) / K, the same for every row:
    the bound is deterministic, and that of a row does not depend on the others.

    Raises
    ------
    SettingError
        If so many draws would not fit into memory.

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016.
    """
    noise = _fixed_noise(predictor.model, draws)
    found = [
        _log_likelihood(model, batch, noise, predictor.chunk)
        for model, _, batch in predictor.batches(rows)
    ]
    return np.concatenate(found)


def _log_likelihood(model: Model, batch: Batch, noise: Tensor, chunk: int) -> Rows:
    total = np.full(len(batch.target), -np.inf)
    with memory_kept():
        for some in torch.split(noise, chunk):
            traces = traces_of(model, batch, some, chunk)
            weights = [log_mean_exp(_log_weights(trace)) for trace in traces]
            total = np.logaddexp(total, np.concatenate(weights) + math.log(len(some)))
    mean: Rows = total - math.log(len(noise))
    return mean


def _log_weights(trace: Trace) -> Rows:
    """Return log p(x, z) / q(z|x), or log p(x|z) where a code is deterministic: (K, B)."""
    coded, weights = trace.coded, trace.log_likelihood
    if coded.log_q is not None and coded.log_p is not None:
        weights = weights + coded.log_p - coded.log_q
    return weights.double().cpu().numpy()


def _fixed_noise(model: Model, draws: int) -> Tensor:
    """Return fixed standard normal draws (K, 1, d), in antithetic pairs."""
    size = model.noise_size
    most = MOST_NUMBERS // max(1, size)
    if not 1 <= draws <= most:
        raise SettingError(
            f"{draws:,} draws of {size:,} numbers are not possible: choose 1 to {most:,}."
        )
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(-(-draws // 2), 1, size, generator=generator)
    return torch.cat([half, -half])[:draws]


def _first_noise(model: Model) -> Tensor:
    """Return one fixed draw (1, 1, d)."""
    return torch.randn(1, 1, model.noise_size, generator=torch.Generator().manual_seed(0))


@dataclass
class Coding:
    """Metrics of codes, as far as the code has them.

    ``rate`` is in nats per row, ``active_units`` counts the latent dimensions whose posterior mean
    varies with the row, ``codebook_use`` and ``perplexity`` are fractions of the codebook sizes.
    """

    sizes: tuple[int, ...] = ()
    rates: list[Tensor] = field(default_factory=list)
    means: list[Tensor] = field(default_factory=list)
    symbols: list[Tensor] = field(default_factory=list)

    def add(self, model: Model, coded: Coded) -> None:
        """Take in the codes of some rows, of one draw."""
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
            found = torch.cat(self.symbols).numpy()
            metrics["codebook_use"] = float(np.mean(usage(found, self.sizes)))
            metrics["perplexity"] = float(np.mean(relative_perplexity(found, self.sizes)))
        return metrics


class Reconstruction:
    """Metrics of reconstructions beside those of PCA; errors are of prepared cells.

    ``accuracy`` is the fraction of a table's categories and booleans that are reconstructed right.

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
        self.rows = self.counted = 0
        self.squares = self.linear = self.similarity = self.correct = 0.0

    def add(self, model: Model, rows: Rows, batch: Batch) -> None:
        """Take in raw rows (B, *cells) and the batch that they were prepared to."""
        prepared = _with_nan(batch)
        decoded = model.decode(
            model.encode(batch.values, batch.observed, batch.condition), batch.condition
        ).cpu()
        back = decoded.numpy()
        known = float((~np.isnan(prepared)).sum())
        self.rows += len(prepared)
        self.squares += known * mean_squared_error(prepared, back)
        self.linear += known * self.baseline.errors(prepared)[: self.code_size + 1][-1]
        if self.images:
            last = (np.moveaxis(images, 1, -1) for images in (prepared, back))
            self.similarity += len(prepared) * ssim(*last)
        if self.classes:
            given, raw = rows[:, self.classes], self.preparation.raw(decoded)[:, self.classes]
            observed = int((~np.isnan(given)).sum())
            self.correct += observed * accuracy(given, raw)
            self.counted += observed
        self.moments = self.moments.merged(Moments.of(prepared.reshape(len(prepared), -1)))

    def metrics(self) -> dict[str, float]:
        """Return the metrics of all rows taken in."""
        cells, variation = self.moments.count.sum(), self.moments.squares.sum()
        error, pca_error = float(self.squares / cells), float(self.linear / cells)
        metrics = {
            "rows": float(self.rows),
            "code_size": float(self.code_size),
            "error": error,
            "pca_error": pca_error,
            "error_to_pca": error / pca_error if pca_error else float("nan"),
            "explained_variance": float(1 - self.squares / variation) if variation else 0.0,
        }
        if self.moments.low.min() >= 0 and self.moments.high.max() <= 1:
            metrics["psnr"] = psnr(error)
            if self.images:
                metrics["ssim"] = self.similarity / self.rows
        if self.counted:
            metrics["accuracy"] = self.correct / self.counted
        return metrics


def _with_nan(batch: Batch) -> Rows:
    """Return the target of a batch in single precision, NaN where a cell is missing."""
    target = batch.target
    if batch.observed is not None:
        target = target.masked_fill(~batch.observed, torch.nan)
    return target.float().cpu().numpy()


def _classes(kind: Kind) -> list[int]:
    """Return which cells of a raw row are categories or booleans."""
    if not isinstance(kind, Table):
        return []
    return [i for i, cell in enumerate(kind.cells) if isinstance(cell, Boolean | Category)]
