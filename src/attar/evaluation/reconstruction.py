"""How well rows are reconstructed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from attar.data.cells import Boolean, Category
from attar.data.kind import Kind, Rows
from attar.data.summary import Moments
from attar.data.table import Table
from attar.data.text import Text
from attar.evaluation.baseline import Baseline
from attar.evaluation.metrics import error_ratio, psnr
from attar.model import Model
from attar.predictor import Predictor
from attar.records import Batch
from attar.token_ids import PAD


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


class Reconstruction(ABC):
    """Metrics of reconstructions of rows, which are added batch by batch.

    Attributes
    ----------
    rows : int
        How many were added.
    """

    rows = 0

    @abstractmethod
    def add(self, model: Model, rows: Rows, batch: Batch) -> tuple[Rows, Rows]:
        """Add raw rows (B, *cells) and their batch; return them prepared and reconstructed."""

    @property
    @abstractmethod
    def pca_errors(self) -> list[float]:
        """The error of PCA with 0, 1, 2, ... components; NaN where there is none."""

    @property
    @abstractmethod
    def parts(self) -> list[PartMetrics]:
        """How well each column or channel is reconstructed."""

    @abstractmethod
    def metrics(self) -> dict[str, float]:
        """Return the metrics of all rows added."""


class CellReconstruction(Reconstruction):
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


class TokenReconstruction(Reconstruction):
    """Tokens of texts that are reconstructed in their place, and texts of which all are.

    ``accuracy`` is the fraction of tokens, the ends of texts included, ``error`` that of all
    others, and ``exact`` the fraction of texts that come back exactly.
    """

    def __init__(self, code_size: int) -> None:
        self.code_size = code_size
        self.tokens = self.found = self.exact = 0

    @torch.no_grad()
    def add(self, model: Model, rows: Rows, batch: Batch) -> tuple[Rows, Rows]:
        """Add raw rows (B, length) and their batch; return them prepared and reconstructed."""
        codes = model.encode(batch.values, condition=batch.condition)
        decoded = model.decode(codes, batch.condition)
        present, equal = batch.target != PAD, decoded == batch.target
        self.rows += len(rows)
        self.tokens += int(present.sum())
        self.found += int((present & equal).sum())
        self.exact += int(equal.all(1).sum())
        return batch.target.cpu().numpy(), decoded.cpu().numpy()

    @property
    def pca_errors(self) -> list[float]:
        """None: tokens have no principal components."""
        return [math.nan]

    @property
    def parts(self) -> list[PartMetrics]:
        """None."""
        return []

    def metrics(self) -> dict[str, float]:
        """Return the metrics of all rows added."""
        accuracy = self.found / max(1, self.tokens)
        return {
            "rows": float(self.rows),
            "code_size": float(self.code_size),
            "error": 1 - accuracy,
            "accuracy": accuracy,
            "exact": self.exact / max(1, self.rows),
        }


def reconstruction_of(predictor: Predictor, baseline: Baseline) -> Reconstruction:
    """Return the metrics of a model's kind of data, to which rows are added."""
    if isinstance(predictor.preparation.kind, Text):
        return TokenReconstruction(predictor.code_size)
    return CellReconstruction(predictor, baseline)


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
