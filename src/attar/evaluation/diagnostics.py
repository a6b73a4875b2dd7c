"""Diagnostics of a fitted model: the PCA baseline, the summary of training, and the findings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median_low

import numpy as np

from attar.data.kind import Rows
from attar.data.summary import Moments, with_means
from attar.evaluation.metrics import error_ratio, mean_squared_error
from attar.evaluation.scores import ScoreReference
from attar.predictor import Predictor
from attar.records import Epoch

# Rows that a diagnosis is made from, of training and of validation rows.
DIAGNOSED_ROWS = 2048

# At most so many codes of training rows are kept, and so many values of them.
MOST_CODES, MOST_VALUES = 8192, 1 << 19


# Rows or columns whose products are few enough to be decomposed exactly.
FEW = 2048

# Components with so little of the largest variance are rounding errors.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Baseline:
    """Principal components of prepared rows, the best linear code of each size.

    Attributes
    ----------
    mean : array (cells,)
    components : array (k, cells)
        Orthonormal rows, by decreasing variance.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[0.0, 0.0], [2.0, 2.0], [4.0, 4.0]])
    >>> baseline = Baseline.fit(rows, most=1)
    >>> [round(error, 6) for error in baseline.errors(rows)]
    [2.666667, 0.0]
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
        if len(matrix) <= FEW < matrix.shape[1]:
            return cls(*_components_of_few(matrix, k))
        # The covariance is the fastest exact way, as long as it is not too wide.
        solver = "covariance_eigh" if matrix.shape[1] <= FEW else "randomized"
        pca = PCA(k, svd_solver=solver, random_state=0).fit(matrix)
        return cls(pca.mean_.astype(np.float32), pca.components_.astype(np.float32))

    def reconstruct(self, prepared: Rows, k: int) -> Rows:
        """Return rows (n, ...) as reconstructed from their first ``k`` components."""
        matrix = prepared.reshape(len(prepared), -1) - self.mean
        basis = self.components[:k]
        reconstructed: Rows = (matrix @ basis.T) @ basis + self.mean
        return reconstructed.reshape(prepared.shape)

    def errors(self, prepared: Rows) -> list[float]:
        """Return the mean squared error of the cells with 0, 1, 2, ... components.

        Missing cells (NaN) are set to the mean, and have no error.
        """
        matrix = prepared.reshape(len(prepared), -1) - self.mean
        if np.isnan(matrix).any():
            codes = np.nan_to_num(matrix) @ self.components.T
            sizes = range(len(self.components) + 1)
            return [mean_squared_error(matrix, codes[:, :k] @ self.components[:k]) for k in sizes]
        total = float(np.square(matrix).sum(dtype=np.float64))
        explained = np.square(matrix @ self.components.T).sum(0, dtype=np.float64)
        residuals = total - np.concatenate([[0.0], np.cumsum(explained)])
        cells = len(matrix) * math.prod(prepared.shape[1:])
        return [max(0.0, float(residual)) / cells for residual in residuals]


def _components_of_few(matrix: Rows, k: int) -> tuple[Rows, Rows]:
    """Return the mean and the first components of wide rows, from their products: in one copy."""
    mean = matrix.mean(0, dtype=np.float64).astype(np.float32)
    centred = (matrix - mean).astype(np.float32, copy=False)
    values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    large = vectors[:, ::-1][:, : min(k, int((values > ROUNDING * values[-1]).sum()))]
    components = large.T.astype(np.float32) @ centred
    return mean, components / np.linalg.norm(components, axis=1, keepdims=True)


@dataclass(frozen=True)
class Finding:
    """A problem of a fitted model, and what to do about it.

    Attributes
    ----------
    name : str
        ``worse-than-pca``, ``inactive-dimensions``, ``overfitting``, ``unscaled``,
        ``constant-columns``, ``not-converged``, or ``no-problems``.
    problem, advice : str

    Examples
    --------
    >>> print(Finding("not-converged", "The loss was still decreasing", "set epochs=40"))
    The loss was still decreasing: set epochs=40.
    """

    name: str
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.problem}: {self.advice}."

    def to_json(self) -> dict[str, str]:
        """Return the finding as plain JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Diagnostics:
    """Measurements of a fitted model; errors are mean squared errors of prepared cells.

    Attributes
    ----------
    error, train_error : float
        On validation rows and on training rows.
    pca_errors : list of float
        Of PCA with 0, 1, 2, ... components, on validation rows.
    held_out : bool
        Whether there were validation rows; else training rows take their place.
    importance : list of float
        The growth of the error when a latent dimension is fixed at its mean, for each.
    column_scales : list of float
        The standard deviation of each prepared column.
    column_names : list of str
    best_epoch : int
    size_errors : list of float
        With the first 0, 1, 2, ... dimensions of an ordered code; empty for others.
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
        """The error of PCA with as many components as latent dimensions, or as many as exist."""
        return self.pca_errors[min(len(self.importance), len(self.pca_errors) - 1)]

    @property
    def error_to_pca(self) -> float:
        """The error relative to PCA's; NaN where PCA has none."""
        return error_ratio(self.error, self.pca_error, self.pca_errors[0])

    def to_json(self) -> dict[str, object]:
        """Return the measurements as plain JSON data."""
        return asdict(self)


def diagnose(diagnostics: Diagnostics, history: Sequence[Epoch]) -> list[Finding]:
    """Return the findings, most severe first, or the one that there are no problems."""
    # Where a code has a rate, its weight is a possible cause.
    beta = "lower the KL weight (beta), or " if history[-1].rate else ""
    found = (
        _worse_than_pca(diagnostics, beta),
        _inactive(diagnostics, beta),
        _overfitting(diagnostics),
        _unscaled(diagnostics),
        _constant(diagnostics),
        _not_converged(diagnostics, history),
    )
    findings = [finding for finding in found if finding is not None]
    if findings:
        return findings
    ratio = diagnostics.error_to_pca
    compared = f"is {ratio:.2f} times PCA's"
    if math.isnan(ratio):
        compared = f"of {diagnostics.error:.4g} is close to 0, which PCA's is"
    return [Finding("no-problems", "No problems detected", f"the MSE {compared}")]


def _worse_than_pca(diagnostics: Diagnostics, beta: str) -> Finding | None:
    # Differences of half a percent and rounding errors do not count; where PCA has no error, half a
    # percent of the variance.
    exact = math.isnan(diagnostics.error_to_pca)
    compared = 0.005 * diagnostics.pca_errors[0] if exact else 1.005 * diagnostics.pca_error
    if diagnostics.error <= compared + 1e-7:
        return None
    return Finding(
        "worse-than-pca",
        f"The MSE of {diagnostics.error:.4g} is above that of PCA with as many dimensions, "
        f"{diagnostics.pca_error:.4g}",
        f"{beta}train for more epochs or use a wider network",
    )


def _inactive(diagnostics: Diagnostics, beta: str) -> Finding | None:
    size = len(diagnostics.importance)
    least = 1e-3 * diagnostics.pca_errors[0] / size
    inactive = sum(growth <= least for growth in diagnostics.importance)
    if not inactive:
        return None
    return Finding(
        "inactive-dimensions",
        f"{inactive} of {size} latent dimensions {_are(inactive)} inactive",
        f"{beta}use code_size={max(1, size - inactive)}",
    )


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _overfitting(diagnostics: Diagnostics) -> Finding | None:
    error, train_error = diagnostics.error, diagnostics.train_error
    if not diagnostics.held_out or error <= 3 * train_error or error < 1e-6:
        return None
    return Finding(
        "overfitting",
        f"The validation MSE is {error / max(train_error, 1e-12):.1f} times the training MSE",
        "add rows, a corruption such as 'gaussian-noise' or dropout, or use a smaller network",
    )


def _unscaled(diagnostics: Diagnostics) -> Finding | None:
    varying = [scale for scale in diagnostics.column_scales if scale > 0]
    if not varying or max(varying) <= 30 * median_low(varying):
        return None
    largest = diagnostics.column_scales.index(max(varying))
    return Finding(
        "unscaled",
        f"The standard deviation of column {diagnostics.column_names[largest]!r} is "
        f"{max(varying) / median_low(varying):.0f} times the median of all columns, so that it "
        "dominates the error",
        "use scaling='standard'",
    )


def _constant(diagnostics: Diagnostics) -> Finding | None:
    constant = [i for i, scale in enumerate(diagnostics.column_scales) if scale == 0]
    if not constant:
        return None
    return Finding(
        "constant-columns",
        f"{len(constant)} of {len(diagnostics.column_scales)} columns {_are(len(constant))} "
        f"constant, such as {diagnostics.column_names[constant[0]]!r}",
        "remove them to save time",
    )


def _not_converged(diagnostics: Diagnostics, history: Sequence[Epoch]) -> Finding | None:
    if len(history) < 10 or diagnostics.best_epoch < len(history) - 1:
        return None
    # Did the last tenth of training contribute more than a fiftieth of the total decrease?
    before = min(epoch.monitored_loss for epoch in history[: -(len(history) // 10)])
    last = min(epoch.monitored_loss for epoch in history)
    if before - last <= 0.02 * (history[0].monitored_loss - last):
        return None
    return Finding(
        "not-converged",
        "The loss was still decreasing when training ended",
        f"set epochs={2 * len(history)}",
    )


@dataclass(frozen=True)
class TrainingSummary:
    """What is kept of a training besides the model.

    Attributes
    ----------
    codes : array (m, d)
        The codes of some training rows.
    numbers : int array (m,)
        The indices of these rows in the data.
    baseline : Baseline
        PCA of the training rows, with up to twice as many components as latent dimensions.
    diagnostics : Diagnostics
    reference : ScoreReference
        What cells cost on average.
    """

    codes: Rows
    numbers: Rows
    baseline: Baseline
    diagnostics: Diagnostics
    reference: ScoreReference

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
        total: int,
        ordered: bool = False,
    ) -> TrainingSummary:
        """Return the summary of a model, from its training and validation rows.

        Parameters
        ----------
        predictor, validation_predictor : Predictor
            The model with the conditions of the training rows, and with those of the others.
        train_rows, validation_rows : rows (n, *cells)
            PCA is fitted to all training rows, the rest is computed from at most 2,048 of each.
        numbers : int array (n,)
            The indices of ``train_rows`` in the data.
        held_out : bool
            Whether the validation rows were held out of training.
        best_epoch : int
        total : int
            How many rows were fitted.
        ordered : bool
            Whether the first k dimensions of a code are a code by themselves, for each k.
        """
        preparation, some = predictor.preparation, slice(0, DIAGNOSED_ROWS)
        train = preparation.prepare(train_rows).numpy()
        baseline = Baseline.fit(train, most=2 * predictor.code_size)
        kept = max(DIAGNOSED_ROWS, min(MOST_CODES, MOST_VALUES // predictor.code_size))
        codes = predictor.encode(train_rows[:kept]).astype(np.float32)
        held_out_rows = [(validation_predictor, validation_rows)] if held_out else []
        reference = ScoreReference.of([*held_out_rows, (predictor, train_rows)], train_rows, total)
        train, validation_rows = train[some], validation_rows[some]
        validation = preparation.prepare(validation_rows).numpy()
        others = validation_predictor.encode(validation_rows).astype(np.float32)
        names, columns = preparation.kind.with_unit(train)
        diagnostics = Diagnostics(
            error=_error(validation_predictor, others, validation),
            train_error=_error(predictor, codes[some], train),
            pca_errors=baseline.errors(validation),
            held_out=held_out,
            importance=_importance(validation_predictor, others, validation),
            column_scales=Moments.of(columns).deviation.tolist(),
            column_names=names,
            best_epoch=best_epoch,
            size_errors=_size_errors(validation_predictor, others, validation) if ordered else [],
        )
        return cls(codes, numbers[:kept], baseline, diagnostics, reference)


def _error(predictor: Predictor, codes: Rows, prepared: Rows) -> float:
    return mean_squared_error(prepared, predictor.decode(codes).numpy())


def _size_errors(predictor: Predictor, codes: Rows, prepared: Rows) -> list[float]:
    """Return the error with the first 0, 1, 2, ... dimensions of the code."""
    errors = []
    for k in range(codes.shape[1] + 1):
        first = codes.copy()
        first[:, k:] = 0
        errors.append(_error(predictor, first, prepared))
    return errors


def _importance(predictor: Predictor, codes: Rows, prepared: Rows) -> list[float]:
    """Return how much the error grows when a latent dimension is fixed at its mean, for each."""
    some = slice(0, max(32, 4096 // codes.shape[1]))
    codes, prepared = codes[some], prepared[some]
    error, growth = _error(predictor, codes, prepared), []
    for j, mean in enumerate(codes.mean(0)):
        fixed = codes.copy()
        fixed[:, j] = mean
        growth.append(_error(predictor, fixed, prepared) - error)
    return growth
