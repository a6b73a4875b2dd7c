"""Diagnostics of a fitted model: the PCA baseline, the summary of training, and the findings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.data.summary import Moments, with_means
from attar.evaluation.metrics import mean_squared_error
from attar.predictor import Predictor
from attar.records import Epoch

Rows = NDArray[Any]


@dataclass(frozen=True)
class Baseline:
    """Principal components of prepared rows, the best linear code of each size.

    Attributes
    ----------
    mean : array (cells,)
    components : array (k, cells)
        Orthonormal rows, the most variance first.
    """

    mean: Rows
    components: Rows

    @classmethod
    def fit(cls, prepared: Rows, most: int) -> Baseline:
        """Return the first ``most`` principal components of rows (n, ...)."""
        from sklearn.decomposition import PCA

        matrix = with_means(prepared.reshape(len(prepared), -1))
        k = min(most, len(matrix) - 1, matrix.shape[1])
        if k < 1 or not np.ptp(matrix, axis=0).any():
            mean = matrix.mean(0).astype(np.float32)
            return cls(mean, np.zeros((0, matrix.shape[1]), np.float32))
        # The covariance is the fastest exact way, as long as it is not too wide itself.
        solver = "covariance_eigh" if matrix.shape[1] <= 2048 else "randomized"
        pca = PCA(k, svd_solver=solver, random_state=0).fit(matrix)
        return cls(pca.mean_.astype(np.float32), pca.components_.astype(np.float32))

    def reconstruct(self, prepared: Rows, k: int) -> Rows:
        """Return rows (n, ...) as the first ``k`` components give them back."""
        matrix = prepared.reshape(len(prepared), -1) - self.mean
        basis = self.components[:k]
        back: Rows = (matrix @ basis.T) @ basis + self.mean
        return back.reshape(prepared.shape)

    def errors(self, prepared: Rows) -> list[float]:
        """Return the mean squared error of a cell with 0, 1, 2, ... components.

        Missing cells (NaN) count as the mean, and have no error.
        """
        matrix = prepared.reshape(len(prepared), -1) - self.mean
        if np.isnan(matrix).any():
            codes = np.nan_to_num(matrix) @ self.components.T
            sizes = range(len(self.components) + 1)
            return [mean_squared_error(matrix, codes[:, :k] @ self.components[:k]) for k in sizes]
        total = float(np.square(matrix).sum(dtype=np.float64))
        caught = np.square(matrix @ self.components.T).sum(0, dtype=np.float64)
        left = total - np.concatenate([[0.0], np.cumsum(caught)])
        cells = len(matrix) * math.prod(prepared.shape[1:])
        return [max(0.0, float(error)) / cells for error in left]


@dataclass(frozen=True)
class Finding:
    """One thing that the diagnosis found.

    Attributes
    ----------
    name : str
        ``worse-than-pca``, ``dead-units``, ``memorizing``, ``constant-columns``, ``unscaled``,
        ``not-converged``, or ``healthy`` where there is nothing else.
    problem, advice : str
        What is the case, and what to do.
    """

    name: str
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.problem} {self.advice}".strip()

    def to_json(self) -> dict[str, str]:
        """Return the finding as plain JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Diagnostics:
    """What a diagnosis is made from.

    Attributes
    ----------
    error, train_error : float
        Mean squared error of a prepared cell, on rows that are not learnt from and on rows that
        are.
    pca_errors : sequence of float
        The error of PCA with 0, 1, 2, ... numbers on the former rows.
    held_out : bool
        Whether there were rows that are not learnt from.
    importance : sequence of float
        How much the error grows when a code dimension is held at its mean, for each.
    column_scales : sequence of float
        The standard deviation of each prepared column.
    column_names : sequence of str
    best_epoch : int
    size_errors : sequence of float
        The error with the first 0, 1, 2, ... numbers of an ordered code; empty for others.
    """

    error: float
    train_error: float
    pca_errors: list[float]
    held_out: bool
    importance: list[float]
    column_scales: list[float]
    column_names: list[str]
    best_epoch: int
    size_errors: list[float] = field(default_factory=list)

    @property
    def pca_error(self) -> float:
        """The error of PCA with as many numbers as the code has, or as many as there are."""
        return self.pca_errors[min(len(self.importance), len(self.pca_errors) - 1)]

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON data."""
        return asdict(self)


def diagnose(diagnostics: Diagnostics, history: Sequence[Epoch]) -> list[Finding]:
    """Return the findings, the gravest first; a single ``healthy`` one where nothing is wrong."""
    found = (
        _worse_than_pca(diagnostics),
        _dead_units(diagnostics),
        _memorizing(diagnostics),
        _unscaled(diagnostics),
        _constant(diagnostics),
        _not_converged(diagnostics, history),
    )
    findings = [finding for finding in found if finding is not None]
    if findings:
        return findings
    share = diagnostics.error / diagnostics.pca_error if diagnostics.pca_error else 0.0
    return [Finding("healthy", f"Nothing is wrong: the error is {share:.2f} of PCA's.", "")]


def _worse_than_pca(diagnostics: Diagnostics) -> Finding | None:
    # Half a percent and a rounding error are no difference.
    if diagnostics.error <= 1.005 * diagnostics.pca_error + 1e-7:
        return None
    return Finding(
        "worse-than-pca",
        f"PCA with as many numbers has an error of {diagnostics.pca_error:.4g}, less than this model's "
        f"{diagnostics.error:.4g}.",
        "Train for more epochs, use a wider network, or a smaller weight on the rate.",
    )


def _dead_units(diagnostics: Diagnostics) -> Finding | None:
    dead = sum(
        growth <= 1e-3 * diagnostics.pca_errors[0] / len(diagnostics.importance)
        for growth in diagnostics.importance
    )
    if not dead:
        return None
    size = len(diagnostics.importance)
    return Finding(
        "dead-units",
        f"{dead} of {size} code dimensions carry nothing.",
        f"Use code_size={max(1, size - dead)}, or a smaller weight on the rate to wake them.",
    )


def _memorizing(diagnostics: Diagnostics) -> Finding | None:
    if (
        not diagnostics.held_out
        or diagnostics.error <= 3 * diagnostics.train_error
        or diagnostics.error < 1e-6
    ):
        return None
    gap = diagnostics.error / max(diagnostics.train_error, 1e-12)
    return Finding(
        "memorizing",
        f"The error on held-out rows is {gap:.1f} times the error on the rows learnt from.",
        "Add rows, a corruption such as 'gaussian-noise', dropout, or a smaller network.",
    )


def _unscaled(diagnostics: Diagnostics) -> Finding | None:
    varying = [scale for scale in diagnostics.column_scales if scale > 0]
    if not varying or max(varying) <= 30 * median(varying):
        return None
    widest = diagnostics.column_scales.index(max(varying))
    return Finding(
        "unscaled",
        f"The column {diagnostics.column_names[widest]!r} is {max(varying) / median(varying):.0f} times "
        "as wide as the middle one, and takes nearly all of the error.",
        "Use scaling='standard'.",
    )


def _constant(diagnostics: Diagnostics) -> Finding | None:
    constant = [i for i, scale in enumerate(diagnostics.column_scales) if scale == 0]
    if not constant:
        return None
    return Finding(
        "constant-columns",
        f"{len(constant)} of {len(diagnostics.column_scales)} columns never change, "
        f"{diagnostics.column_names[constant[0]]!r} first.",
        "They cost nothing but time: leave them out where you can.",
    )


def _not_converged(diagnostics: Diagnostics, history: Sequence[Epoch]) -> Finding | None:
    if len(history) < 10 or diagnostics.best_epoch < len(history) - 1:
        return None
    # Did the last tenth of the training bring more than a fiftieth of all that was gained?
    before = min(epoch.monitored_loss for epoch in history[: -(len(history) // 10)])
    last = min(epoch.monitored_loss for epoch in history)
    if before - last <= 0.02 * (history[0].monitored_loss - last):
        return None
    return Finding(
        "not-converged",
        "The loss was still falling when training ended.",
        f"Train longer: epochs={2 * len(history)}.",
    )


MONITORED_ROWS = 2048

# So many codes of rows that were learnt from are kept, and at most so many numbers of them.
KEPT, NUMBERS = 8192, 1 << 19


@dataclass(frozen=True)
class TrainingSummary:
    """What is worth knowing about a fresh model.

    Attributes
    ----------
    codes : array (m, d)
        The codes of some rows that were learnt from.
    numbers : int array (m,)
        Which rows of the data these are.
    baseline : Baseline
        Up to twice as many principal components as the code has numbers, of all rows given.
    diagnostics : Facts
    """

    codes: Rows
    numbers: Rows
    baseline: Baseline
    diagnostics: Diagnostics

    @classmethod
    def of(
        cls,
        predictor: Predictor,
        train_rows: Rows,
        numbers: Rows,
        validation_predictor: Predictor,
        validation_rows: Rows,
        *,
        held_out: bool,
        best_epoch: int,
        ordered: bool = False,
    ) -> TrainingSummary:
        """Return the study of a model on rows that it learnt from and rows that it did not.

        Parameters
        ----------
        predictor, validation_predictor : Applied
            The model, told of the rows that it learnt from, and of the others.
        numbers : int array (n,)
            Which rows of the data ``train_rows`` are.
        train_rows, validation_rows : rows (n, *cells)
            The baseline is found on all rows given, the rest on at most 2,048 of each.
        held_out : bool
            Whether the rows apart were truly held out.
        best_epoch : int
        ordered : bool
            Whether the first numbers of a code are a code by themselves.
        """
        preparation = predictor.preparation
        train = preparation.prepare(train_rows).numpy()
        baseline = Baseline.fit(train, most=2 * predictor.code_size)
        kept = max(MONITORED_ROWS, min(KEPT, NUMBERS // predictor.code_size))
        codes, numbers = predictor.encode(train_rows[:kept]).astype(np.float32), numbers[:kept]
        train_rows, validation_rows, train = (
            train_rows[:MONITORED_ROWS],
            validation_rows[:MONITORED_ROWS],
            train[:MONITORED_ROWS],
        )
        test = preparation.prepare(validation_rows).numpy()
        others = validation_predictor.encode(validation_rows).astype(np.float32)
        names, columns = preparation.kind.with_unit(train)
        diagnostics = Diagnostics(
            error=mean_squared_error(test, validation_predictor.decode(others).numpy()),
            train_error=mean_squared_error(train, predictor.decode(codes[:MONITORED_ROWS]).numpy()),
            pca_errors=baseline.errors(test),
            held_out=held_out,
            importance=_importance(validation_predictor, others, test),
            column_scales=Moments.of(columns).deviation.tolist(),
            column_names=names,
            best_epoch=best_epoch,
            size_errors=_size_errors(validation_predictor, others, test) if ordered else [],
        )
        return cls(codes, numbers, baseline, diagnostics)


def _size_errors(predictor: Predictor, codes: Rows, prepared: Rows) -> list[float]:
    """Return the error with the first 0, 1, 2, ... numbers of the code."""
    errors = []
    for k in range(codes.shape[1] + 1):
        first = codes.copy()
        first[:, k:] = 0
        errors.append(mean_squared_error(prepared, predictor.decode(first).numpy()))
    return errors


def _importance(predictor: Predictor, codes: Rows, prepared: Rows) -> list[float]:
    """Return how much the error grows when a code dimension is held at its mean, for each."""
    few = slice(0, max(32, 4096 // codes.shape[1]))
    codes, prepared = codes[few], prepared[few]
    whole = mean_squared_error(prepared, predictor.decode(codes).numpy())
    grown = []
    for j, mean in enumerate(codes.mean(0)):
        without = codes.copy()
        without[:, j] = mean
        grown.append(mean_squared_error(prepared, predictor.decode(without).numpy()) - whole)
    return grown
