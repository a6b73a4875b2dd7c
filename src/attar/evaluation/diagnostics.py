"""Diagnostics of a fitted model: the summary of training, and the findings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from statistics import median_low
from typing import Any, Self

import numpy as np
import torch

from attar.codes import NoCode
from attar.data.kind import Rows
from attar.data.summary import Moments
from attar.data.training_data import MEASURED_ROWS, FittedRows
from attar.evaluation.baseline import Baseline
from attar.evaluation.evaluate import Evaluation
from attar.evaluation.metrics import error_ratio, mean_squared_error
from attar.evaluation.reconstruction import PartMetrics, Reconstruction, reconstruction_of
from attar.evaluation.scores import ScoreReference
from attar.isolation import seeded
from attar.likelihoods.language import LanguageModule
from attar.networks import CustomNetwork, Linear, Network
from attar.predictor import Predictor
from attar.recipe import Recipe
from attar.records import Epoch

# A change of the loss by so much of its decrease in training is more than noise; and a part of
# which less of the variance is explained is not reconstructed.
NOTICEABLE, UNEXPLAINED = 0.02, 0.01

# Of fewer rows, the explained variance of a single column is mostly chance.
FEWEST_ROWS = 30

# At most so many codes of training rows are kept, and so many values of them.
MOST_CODES, MOST_VALUES = 8192, 1 << 19

# Rows that are reconstructed where the code is not compared with PCA, and decoding may be slow.
FEW_ROWS = 256

# Texts whose codes are exchanged, and the least nats that a code must be worth.
EXCHANGED, COLLAPSED = 64, 1.0

# Codes of more latent dimensions, as of whole pictures, are not kept.
LARGEST_CODE = 4096


@dataclass(frozen=True)
class Finding:
    """A problem of a fitted model, and what to do about it.

    Attributes
    ----------
    name : str
        ``worse-than-pca``, ``unexplained``, ``inactive-dimensions``, ``overfitting``,
        ``generalization-gap``, ``unscaled``, ``constant-columns``, ``not-converged``,
        ``posterior-collapse``, or ``no-problems``.
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
        On the rows measured and on training rows.
    pca_errors : list of float
        Of PCA with 0, 1, 2, ... components, on the rows measured.
    rows_of : str
        Which rows are measured: ``"validation"``, or ``"training"`` where there are none.
    importance : list of float
        The growth of the error when a latent dimension is fixed at its mean, for each.
    column_scales : list of float
        The standard deviation of each prepared column.
    column_names : list of str
    best_epoch : int
    explained : list of float
        The fraction of the variance of each column, or channel, that is explained.
    part_names : list of str
        The names of these columns or channels, without constant ones; none of few rows.
    part : str
        What they are called: column or channel.
    size_errors : list of float
        With the first 0, 1, 2, ... dimensions of an ordered code; empty for others.
    code_gain : float or None
        Of text, by how many nats a row is more likely given its own code than given another row's.
    """

    error: float
    train_error: float
    pca_errors: list[float]
    rows_of: str
    importance: list[float]
    column_scales: list[float]
    column_names: list[str]
    best_epoch: int
    explained: list[float] = field(default_factory=list)
    part_names: list[str] = field(default_factory=list)
    part: str = "column"
    size_errors: list[float] = field(default_factory=list)
    code_gain: float | None = None

    def on(self, evaluation: Evaluation) -> Self:
        """Return the diagnostics with the measurements of other rows."""
        return replace(
            self,
            error=evaluation.metrics.get("error", math.nan),
            pca_errors=evaluation.pca_errors,
            rows_of=evaluation.rows_of,
            **_explained(evaluation.parts, evaluation.metrics["rows"]),
        )

    @property
    def pca_error(self) -> float:
        """The error of PCA with as many components as latent dimensions, or as many as exist."""
        return self.pca_errors[min(len(self.importance), len(self.pca_errors) - 1)]

    @property
    def error_to_pca(self) -> float:
        """The error relative to PCA's; NaN where PCA has none."""
        return error_ratio(self.error, self.pca_error, self.pca_errors[0])

    @property
    def metrics(self) -> dict[str, float]:
        """The errors by name, of what was measured."""
        found = {"error": self.error, "train_error": self.train_error}
        if self.importance:
            found |= {"pca_error": self.pca_error, "error_to_pca": self.error_to_pca}
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def to_json(self) -> dict[str, object]:
        """Return the measurements as plain JSON data."""
        return asdict(self)


def _explained(parts: Sequence[PartMetrics], rows: float) -> dict[str, Any]:
    enough = rows >= FEWEST_ROWS
    varying = [part for part in parts if enough and not math.isnan(part.explained_variance)]
    return {
        "explained": [part.explained_variance for part in varying],
        "part_names": [part.name for part in varying],
    }


def diagnose(
    diagnostics: Diagnostics, history: Sequence[Epoch], recipe: Recipe, network: Network
) -> list[Finding]:
    """Return the findings, most severe first, or the one that there are no problems."""
    return Diagnosis(diagnostics, history, recipe, network).findings()


@dataclass(frozen=True)
class Diagnosis:
    """The search for problems of a model; its advice is of what the model has."""

    diagnostics: Diagnostics
    history: Sequence[Epoch]
    recipe: Recipe
    network: Network

    def findings(self) -> list[Finding]:
        """Return the findings, most severe first, or the one that there are no problems."""
        if not self.recipe.compared:
            return self._of_likelihood()
        found = (
            self._worse_than_pca(),
            self._inactive(),
            self._unexplained(),
            self._generalization(),
            self._unscaled(),
            self._constant(),
            self._not_converged(),
        )
        findings = [finding for finding in found if finding is not None]
        if findings:
            return findings
        ratio = self.diagnostics.error_to_pca
        compared = f"is {ratio:.2f} times PCA's"
        if math.isnan(ratio):
            compared = f"of {self.diagnostics.error:.4g} is close to 0, which PCA's is"
        return [Finding("no-problems", "No problems detected", f"the MSE {compared}")]

    def _of_likelihood(self) -> list[Finding]:
        """Return the findings of a model that is judged by its likelihood alone."""
        findings = [found for found in (self._collapsed(), self._not_converged()) if found]
        if findings:
            return findings
        why = "the code is not compared with principal components"
        if isinstance(self.recipe.code, NoCode):
            why = "there is no code to judge"
        return [Finding("no-problems", "No problems detected", why)]

    @property
    def decrease(self) -> float:
        """How much the monitored loss decreased in training."""
        losses = [epoch.monitored_loss for epoch in self.history]
        return losses[0] - min(losses) if losses else 0.0

    @property
    def falling(self) -> bool:
        """Whether the monitored loss was still decreasing at the end of training."""
        losses = [epoch.monitored_loss for epoch in self.history]
        if len(losses) < 3 or self.diagnostics.best_epoch < len(losses) - 1:
            return False
        before = min(losses[: -max(1, len(losses) // 10)])
        return before - min(losses) > NOTICEABLE * self.decrease

    @property
    def rising(self) -> bool:
        """Whether the validation loss was higher at the end than at the best epoch."""
        losses = [e.validation_loss for e in self.history if e.validation_loss is not None]
        return bool(losses) and losses[-1] - min(losses) > NOTICEABLE * self.decrease

    @property
    def more_epochs(self) -> list[str]:
        """The advice to train longer, where the loss was still decreasing, or no curve says."""
        epochs = len(self.history)
        if not epochs:  # it was trained by another library
            return ["train it further, with warm_start=True"]
        return [f"set epochs={2 * epochs}"] if self.falling or epochs < 3 else []

    @property
    def less_rate(self) -> list[str]:
        """The advice to lower the weight of the rate, where there is one."""
        code = self.recipe.code
        settable = is_dataclass(code) and any(part.name == "beta" for part in fields(code))
        name = "KL weight" if "density" in code.provides else "weight of the sparsity penalty"
        rate = bool(self.history) and self.history[-1].rate
        return [f"lower the {name} (beta)"] if settable and rate else []

    @property
    def more_capacity(self) -> list[str]:
        """The advice to train longer, or to use a larger network."""
        if self.more_epochs:
            return self.more_epochs
        match self.network:
            case Linear():
                return ["use network='mlp'"]
            case CustomNetwork():
                return ["use a larger network"]
        return ["use a wider network"]

    def _worse_than_pca(self) -> Finding | None:
        # Differences of half a percent and rounding errors do not count; where PCA has no error,
        # half a percent of the variance.
        measured = self.diagnostics
        exact = math.isnan(measured.error_to_pca)
        compared = 0.005 * measured.pca_errors[0] if exact else 1.005 * measured.pca_error
        if measured.error <= compared + 1e-7:
            return None
        corrupted = ["use less corruption"] if self.recipe.corruption is not None else []
        causes = [*self.less_rate, *corrupted, *self.more_capacity]
        return Finding(
            "worse-than-pca",
            f"The MSE of {measured.error:.4g} is above that of PCA with as many dimensions, "
            f"{measured.pca_error:.4g}",
            _either(*(self.remedies if self.gap else causes)),
        )

    def _inactive(self) -> Finding | None:
        importance = self.diagnostics.importance
        size = len(importance)
        least = 1e-3 * self.diagnostics.pca_errors[0] / size
        inactive = sum(growth <= least for growth in importance)
        if not inactive:
            return None
        if inactive == size:
            return Finding(
                "inactive-dimensions",
                "The latent dimension is inactive"
                if size == 1
                else f"All {size} latent dimensions are inactive",
                _either(*self.less_rate, *self.more_capacity),
            )
        return Finding(
            "inactive-dimensions",
            f"{inactive} of {size} latent dimensions {'are' if inactive > 1 else 'is'} inactive",
            _either(*self.less_rate, f"use code_size={size - inactive}"),
        )

    def _collapsed(self) -> Finding | None:
        gain = self.diagnostics.code_gain
        if gain is None or gain >= COLLAPSED or isinstance(self.recipe.code, NoCode):
            return None
        return Finding(
            "posterior-collapse",
            f"The decoder ignores the code: a text is {max(0.0, gain):.2g} nats more likely given "
            "its own code than given another's",
            _either(*self.less_rate, "raise word_dropout of the likelihood", *self.more_capacity),
        )

    def _unexplained(self) -> Finding | None:
        names, explained = self.diagnostics.part_names, self.diagnostics.explained
        worst = sorted(zip(explained, names, strict=True))
        poor = [name for share, name in worst if share < UNEXPLAINED]
        if not poor or len(names) == 1:
            return None
        remedies = self.more_epochs or [
            "raise code_size",
            "leave out what is unrelated to the rest",
        ]
        if len(poor) == len(names):
            remedies = self.more_capacity
        named = ", ".join(map(repr, poor[:3])) + ", ..." * (len(poor) > 3)
        return Finding(
            "unexplained",
            f"{len(poor)} of {len(names)} {self.diagnostics.part}s "
            f"{'are' if len(poor) > 1 else 'is'} reconstructed no better than by the mean: {named}",
            _either(*remedies),
        )

    @property
    def gap(self) -> bool:
        """Whether the error is far above that of training rows."""
        error, train_error = self.diagnostics.error, self.diagnostics.train_error
        held_out = self.diagnostics.rows_of != "training"
        return held_out and error > 3 * train_error and error >= 1e-6

    @property
    def remedies(self) -> list[str]:
        """The advice against over-fitting."""
        corruption = "a corruption such as 'gaussian-noise'"
        remedies = [corruption] if self.recipe.corruption is None else []
        remedies += ["dropout"] if getattr(self.network, "dropout", None) == 0 else []
        remedies += ["a smaller network"] if not isinstance(self.network, Linear) else []
        return ["add rows", *(f"use {remedy}" for remedy in remedies)]

    def _generalization(self) -> Finding | None:
        if not self.gap:
            return None
        times = self.diagnostics.error / max(self.diagnostics.train_error, 1e-12)
        ratio = f"The MSE is {times:.1f} times that of training rows"
        advice = _either(*self.remedies)
        if not self.rising:
            return Finding("generalization-gap", ratio, advice)
        best = self.diagnostics.best_epoch
        return Finding(
            "overfitting", f"{ratio}, and the validation loss rises after epoch {best}", advice
        )

    def _unscaled(self) -> Finding | None:
        scales = self.diagnostics.column_scales
        varying = [scale for scale in scales if scale > 0]
        if not varying or max(varying) <= 30 * median_low(varying):
            return None
        largest = scales.index(max(varying))
        return Finding(
            "unscaled",
            f"The standard deviation of column {self.diagnostics.column_names[largest]!r} is "
            f"{max(varying) / median_low(varying):.0f} times the median of all columns, so that it "
            "dominates the error",
            "use scaling='standard'",
        )

    def _constant(self) -> Finding | None:
        scales = self.diagnostics.column_scales
        constant = [i for i, scale in enumerate(scales) if scale == 0]
        if not constant:
            return None
        return Finding(
            "constant-columns",
            f"{len(constant)} of {len(scales)} columns {'are' if len(constant) > 1 else 'is'} "
            f"constant, such as {self.diagnostics.column_names[constant[0]]!r}",
            "remove them to save time",
        )

    def _not_converged(self) -> Finding | None:
        if not self.falling:
            return None
        return Finding(
            "not-converged",
            "The loss was still decreasing when training ended",
            _either(*self.more_epochs),
        )


def _either(*remedies: str) -> str:
    *others, last = remedies
    return ", ".join(others) + ", or " * bool(others) + last


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
    measured : FittedRows
        The rows that the model is judged by.
    reference : ScoreReference
        What cells cost on average.
    """

    codes: Rows
    numbers: Rows
    baseline: Baseline
    diagnostics: Diagnostics
    measured: FittedRows
    reference: ScoreReference

    @classmethod
    def of(
        cls,
        predictor: Predictor,
        train_rows: Rows,
        numbers: Rows,
        validation_predictor: Predictor,
        validation_rows: Rows,
        measured: FittedRows,
        *,
        best_epoch: int,
        recipe: Recipe,
    ) -> TrainingSummary:
        """Return the summary of a model, from its training and validation rows.

        Parameters
        ----------
        predictor, validation_predictor : Predictor
            The model with the conditions of the training rows, and with those of the others.
        train_rows, validation_rows : rows (n, *cells)
            PCA is fitted to all training rows; the error of at most 2,048 of them is measured.
        numbers : int array (n,)
            The indices of ``train_rows`` in the data.
        measured : FittedRows
            What ``validation_rows`` are; training rows, where none were held out.
        best_epoch : int
        recipe : Recipe
            Whose latent dimensions are measured one by one, if they are to be compared.
        """
        preparation = predictor.preparation
        train = preparation.prepare(train_rows).numpy()
        baseline = Baseline.fit(train, most=2 * predictor.code_size if recipe.compared else 1)
        kept = max(MEASURED_ROWS, min(MOST_CODES, MOST_VALUES // predictor.code_size))
        kept = kept if predictor.code_size <= LARGEST_CODE else 1
        few = MEASURED_ROWS if recipe.compared else FEW_ROWS
        codes = predictor.encode(train_rows[:kept]).astype(np.float32)
        held_out_rows = [(validation_predictor, validation_rows)] if measured.held_out else []
        both = [*held_out_rows, (predictor, train_rows)]
        reference = (
            ScoreReference.of(both, train_rows, measured.total)
            if recipe.compared or np.isnan(train).any()
            else ScoreReference.without_missing(preparation.kind, train_rows, measured.total)
        )
        reconstruction = _reconstructed(validation_predictor, baseline, validation_rows[:few])
        others = validation_predictor.encode(validation_rows).astype(np.float32)
        validation = preparation.prepare(validation_rows).numpy()
        names, columns = preparation.kind.with_unit(train)
        diagnostics = Diagnostics(
            error=reconstruction.metrics()["error"],
            train_error=_reconstructed(predictor, baseline, train_rows[:few]).metrics()["error"],
            pca_errors=reconstruction.pca_errors,
            rows_of="validation" if measured.held_out else "training",
            importance=_importance(validation_predictor, others, validation)
            if recipe.compared
            else [],
            column_scales=Moments.of(columns).deviation.tolist(),
            column_names=names,
            best_epoch=best_epoch,
            part=preparation.kind.part,
            size_errors=size_errors(validation_predictor, others, validation)
            if "ordered" in recipe.code.provides
            else [],
            code_gain=code_gain(validation_predictor, validation_rows[:EXCHANGED]),
            **_explained(reconstruction.parts, reconstruction.rows),
        )
        return cls(codes, numbers[:kept], baseline, diagnostics, measured, reference)


def _reconstructed(predictor: Predictor, baseline: Baseline, rows: Rows) -> Reconstruction:
    reconstruction = reconstruction_of(predictor, baseline)
    for batch in predictor.batches(rows):
        reconstruction.add(*batch)
    return reconstruction


def _error(predictor: Predictor, codes: Rows, prepared: Rows) -> float:
    return mean_squared_error(prepared, predictor.decode(codes).numpy())


def size_errors(predictor: Predictor, codes: Rows, prepared: Rows) -> list[float]:
    """Return the error with the first 0, 1, 2, ... dimensions of the code."""
    errors = []
    for k in range(codes.shape[1] + 1):
        first = codes.copy()
        first[:, k:] = 0
        errors.append(_error(predictor, first, prepared))
    return errors


@torch.no_grad()
def code_gain(predictor: Predictor, rows: Rows) -> float | None:
    """Return how many nats more likely texts are given their own codes than given other texts'."""
    likelihood = predictor.model.likelihood
    if not isinstance(likelihood, LanguageModule) or len(rows) < 2:
        return None
    gains = []
    with seeded(0, predictor.device):
        for model, _, batch in predictor.batches(rows):
            z = model(batch).coded.z
            own, other = (
                likelihood.log_prob(model.parameters_of(codes, batch.condition), batch.target)
                for codes in (z, z.roll(1, 1))
            )
            gains.append((own - other).sum(-1).mean(0))
    return float(torch.cat(gains).mean())


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
