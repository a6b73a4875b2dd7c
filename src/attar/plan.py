"""The plan of a fit: the user's settings, and a choice from the data where one is "auto"."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import nn

from attar import recipes
from attar.checks import positive, positive_integer
from attar.conditions import Joined
from attar.corruptions import Corruption
from attar.data.cells import Boolean, Category, Number, Phase
from attar.data.condition_encoder import ConditionEncoder
from attar.data.kind import Kind, Rows
from attar.data.kinds import preparation as preparation_of
from attar.data.preparation import Preparation
from attar.data.scaling import Between, MinMax, Scaler, Scaling
from attar.data.sparse import SparseMatrix
from attar.data.summary import Summary, with_means
from attar.data.table import Table
from attar.data.training_data import most_rows
from attar.errors import DataError, SettingError, first_line, unknown, warn
from attar.isolation import seeded
from attar.likelihoods import (
    Bernoulli,
    Categorical,
    Circular,
    Discretized,
    FixedGaussian,
    LearnedGaussian,
    Likelihood,
    Mixed,
    Multinomial,
    Poisson,
    StudentT,
)
from attar.networks import Bag, Conv, CustomNetwork, Mlp, Network, Tcn
from attar.objective import Objective
from attar.parts import Part
from attar.recipe import Recipe
from attar.training.loop import TrainingSettings
from attar.training.optim import OneCycle, Optimizer, Schedule

T = TypeVar("T")

STEPS = 8000
SAMPLE = 5000

# A batch of images has at most so many pixels.
PIXELS = 1 << 19

# Columns of more excess kurtosis have heavy tails; a normal's is 0, a Laplace distribution's 3.
HEAVY = 6.0


@dataclass(frozen=True)
class Choice:
    """A setting that was chosen, with the reason in words."""

    setting: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.value} ({self.reason})"

    def to_json(self) -> dict[str, str]:
        """Return the choice as plain JSON data."""
        return asdict(self)


def choose_likelihood(
    preparation: Preparation, summary: Summary, prepared: Rows, recipe: Recipe
) -> tuple[Likelihood, str]:
    """Return the likelihood for the columns of a table, sparse counts, or plain numbers.

    Plain numbers get a Bernoulli where nearly all are close to 0 or 1, else a Gaussian.

    Parameters
    ----------
    preparation : Preparation
    summary : Summary
    prepared : array (n, ...)
        A sample of the rows, prepared.
    recipe : Recipe
    """
    kind = preparation.kind
    if (
        isinstance(kind, SparseMatrix)
        and not kind.partial
        and are_counts(kind.columns(summary.sample))
    ):
        if recipe.corruption is not None and "missing" in recipe.corruption.provides:
            return Poisson(), "counts, of which only masked ones are in the loss"
        total = summary.moments.mean[0] * summary.moments.count[0] / summary.rows
        return Multinomial(float(total)), "rows of counts"
    if isinstance(kind, Table) and kind.names is not None:
        columns = column_likelihoods(kind, preparation.scaler, prepared)
        if any(not isinstance(column, LearnedGaussian) for column in columns):
            return Mixed(columns), "a likelihood for each column"
    known = prepared[~np.isnan(prepared)]
    if len(known) and 0 <= known.min() < known.max() <= 1:
        extreme = float(np.mean((known <= 0.1) | (known >= 0.9)))
        # Squashed by one value far out, all others are near 0; then the variance is far smaller.
        binary = known.var() >= 0.5 * known.mean() * (1 - known.mean())
        if extreme >= 0.8 and binary:
            return Bernoulli(), f"{extreme:.0%} of the cells are near 0 or 1"
    if recipe.code.beta:
        return LearnedGaussian(), "the KL term needs an error in nats"
    return FixedGaussian(), "real values"


def are_counts(values: Rows) -> bool:
    """Return whether all values are non-negative integers."""
    return bool((values >= 0).all() and (values == np.rint(values)).all())


def column_likelihoods(kind: Table, scaler: Scaler, prepared: Rows) -> tuple[Likelihood, ...]:
    """Return a likelihood for each cell of a table.

    Parameters
    ----------
    kind : Table
    scaler : Scaler
    prepared : array (n, features)
        A sample of the rows, prepared.
    """
    scales = np.broadcast_to(scaler.scale.numpy(), len(kind.cells))
    powers = np.ones(len(scales)) if scaler.power is None else scaler.power[0].numpy()
    chosen: list[Likelihood] = []
    for cell, scale, power, segment in zip(
        kind.cells, scales, powers, kind.expansion.segments, strict=True
    ):
        match cell:
            case Category():
                chosen.append(Categorical(len(cell.features)))
            case Phase():
                chosen.append(Circular())
            case Boolean():
                chosen.append(Bernoulli())
            case Number(integer=True) if power == 1:
                chosen.append(Discretized(1 / float(scale)))
            case _:
                heavy = has_heavy_tails(prepared[:, segment.start])
                chosen.append(StudentT() if heavy else LearnedGaussian())
    return tuple(chosen)


def has_heavy_tails(column: Rows) -> bool:
    """Return whether the distribution of numbers (NaN left out) has heavy tails.

    A column of mostly one value has none: its other values are not outliers.
    """
    known = column[~np.isnan(column)].astype(np.float64)
    if not len(known):
        return False
    low, high = np.percentile(known, [25, 75])
    if low == high:
        return False
    return float(np.mean(((known - known.mean()) / known.std()) ** 4)) - 3 > HEAVY


def choose_network(kind: Kind) -> tuple[Network, str]:
    """Return embedding bags for sparse rows, convolutions for series and large images.

    Anything else gets a multilayer perceptron with a linear shortcut.
    """
    shape = kind.shape
    cells = math.prod(shape)
    if isinstance(kind, SparseMatrix):
        return Bag(), f"sparse rows of {cells:,} cells"
    if len(shape) == 2:
        return Tcn(), f"series of {shape[0]:,} channels and {shape[1]:,} steps"
    if len(shape) == 3 and cells > 1024:
        return choose_conv(min(shape[1:])), f"images of {cells:,} cells"
    widest = 512 if cells > 256 else 256
    return Mlp((widest, widest // 2), "silu", shortcut=True), f"rows of {cells:,} cells"


def choose_conv(side: int) -> Conv:
    """Return convolutions that halve the shorter side of images until it is at most 8 pixels.

    The linear layer would else have most weights. Images of up to 64 pixels have three stages.
    """
    stages = max(3, math.ceil(math.log2(side / 8)))
    return Conv() if stages == 3 else Conv((16, 32, 64, *[128] * (stages - 3)))


def choose_code_size(kind: Kind, prepared: Rows, share: float = 0.85) -> tuple[int, str]:
    """Return about as many latent dimensions as PCA needs for 85% of the variance.

    Much of the variance of counts is noise, which no code can hold: sparse rows get at most 64.

    Parameters
    ----------
    kind : Kind
    prepared : array (n, ...)
        A sample of the rows, prepared.
    share : float
        The fraction of the variance.
    """
    matrix = with_means(prepared.reshape(len(prepared), -1))
    if matrix.shape[1] <= len(matrix):
        small = np.cov(matrix.astype(np.float64), rowvar=False, ddof=0).reshape(-1, matrix.shape[1])
    else:  # the Gram matrix of wide rows has the same eigenvalues, and needs no centred copy
        small = (matrix @ matrix.T).astype(np.float64)
        rounding = 1e-6 * small.max(initial=0)
        small = small - small.mean(0) - small.mean(1)[:, None] + small.mean()
        small[np.abs(small) <= rounding] = 0
    variances = np.linalg.eigvalsh(small)[::-1].clip(0)
    if not variances.sum():
        return 1, "all rows are equal"
    needed = int(np.searchsorted(np.cumsum(variances) / variances.sum(), share)) + 1
    reason = f"{needed} principal components hold {share:.0%} of the variance"
    most = 64 if isinstance(kind, SparseMatrix) else 256
    return _round(needed, most=min(most, math.prod(prepared.shape[1:]))), reason


def choose_batch_size(n: int, shape: tuple[int, ...] = ()) -> tuple[int, str]:
    """Return the power of two nearest to the square root of the number of rows, 32 to 1,024.

    Of large images fewer: convolutions need the memory of many feature maps for each pixel.
    """
    size, reason = 2 ** min(10, max(5, round(math.log2(math.sqrt(n))))), f"{n:,} rows"
    most = max(1, PIXELS // math.prod(shape[1:])) if len(shape) == 3 else size
    if size <= most:
        return size, reason
    return 2 ** int(math.log2(most)), f"images of {shape[1]} x {shape[2]} pixels need much memory"


def choose_epochs(n: int, size: int) -> tuple[int, str]:
    """Return the number of epochs that makes about 8,000 steps, 10 to 400."""
    steps = -(-n // size)
    return min(400, max(10, round(STEPS / steps))), f"{steps:,} steps per epoch"


def _round(number: int, most: int) -> int:
    """Return the nearest of 1, 2, 3, 4, 6, 8, 12, 16, 24, ..., 256, and ``most`` at most."""
    nice = sorted({1, *(2**i for i in range(1, 9)), *(3 * 2**i for i in range(7))})
    nearest: int = min(nice, key=lambda size: abs(math.log(size / number)))
    return min(most, nearest)


def resolve_network(choice: object) -> Network:
    """Return the network of a name, a spec, or a pair of torch modules."""
    return CustomNetwork.of(choice) if isinstance(choice, tuple) else Network.resolve(choice)


PARTS: dict[str, Callable[[object], Part]] = {
    "recipe": recipes.resolve,
    "network": resolve_network,
    "likelihood": Likelihood.resolve,
    "scaling": Scaling.resolve,
    "corruption": Corruption.resolve,
    "optimizer": Optimizer.resolve,
    "schedule": Schedule.resolve,
}

# Whether networks compute in bfloat16; None: where it is faster.
PRECISIONS = {"auto": None, "float32": False, "bfloat16": True}


@dataclass(frozen=True)
class Plan:
    """Every setting of a fit, none of them "auto".

    Attributes
    ----------
    recipe, network, likelihood, scaling : Part
    code_size : int
    preparation : Preparation
    training : TrainingSettings
    missing : bool
        Whether the encoder gets the mask of missing cells.
    condition_encoder : ConditionEncoder or None
    choices : tuple of Choice
    """

    recipe: Recipe
    code_size: int
    network: Network
    likelihood: Likelihood
    scaling: Scaling
    preparation: Preparation
    training: TrainingSettings
    missing: bool
    condition_encoder: ConditionEncoder | None
    choices: tuple[Choice, ...]

    def build(self) -> Objective:
        """Return the objective, and in it the untrained model.

        Raises
        ------
        SettingError
            If the parts don't fit together, or one of them is out of range.
        """
        shape = self.preparation.kind.shape
        try:
            self.training.optimizer.build(
                [nn.Parameter(torch.zeros(1))], self.training.learning_rate
            )
            return self.recipe.build(
                shape,
                self.code_size,
                self.network,
                self.likelihood,
                self.missing,
                0 if self.condition_encoder is None else self.condition_encoder.size,
            )
        except SettingError:
            raise
        except (TypeError, ValueError, RuntimeError) as error:
            raise SettingError(
                f"The parts cannot be built with these settings: {first_line(error)}."
            ) from error


class Planner:
    """Makes a plan from settings, one decision after the other, and records each choice.

    Parameters
    ----------
    settings : mapping
        The estimator's parameters.
    kind : Kind
    summary : Summary
    condition_encoder : ConditionEncoder or None
        Where the model is conditional.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        kind: Kind,
        summary: Summary,
        condition_encoder: ConditionEncoder | None = None,
    ) -> None:
        self.settings, self.kind, self.summary = settings, kind, summary
        self.condition_encoder = condition_encoder
        self.choices: list[Choice] = []

    def plan(self) -> Plan:
        """Return the plan.

        Raises
        ------
        SettingError
            If a setting is unknown, out of range, or does not fit another.
        """
        check_rows(self.summary.rows, self.kind.shape)
        for part, reason in self.kind.remarks:
            self.choices.append(Choice("data", part, reason))
        recipe = self._recipe()
        scaling = self._scaling(recipe)
        preparation = preparation_of(self.kind, scaling, self.summary)
        few = min(SAMPLE, most_rows(self.summary.sample))
        sample = self.summary.sample
        prepared = preparation.prepare(sample[:: -(-sample.shape[0] // few)]).numpy()
        if np.isnan(prepared).all():
            raise DataError("All values are missing: there is nothing to learn.")
        network = self._network()
        code_size = self._code_size(recipe, network, prepared)
        likelihood = self._likelihood(recipe, network, preparation, prepared)
        return Plan(
            recipe,
            code_size,
            network,
            likelihood,
            scaling,
            preparation,
            self._training(),
            # A custom network takes rows of the data's own shape, without a mask.
            self.summary.missing and not isinstance(network, CustomNetwork),
            self.condition_encoder,
            tuple(self.choices),
        )

    def _training(self) -> TrainingSettings:
        settings, rows = self.settings, self.summary.rows
        optimizer = self._setting(
            "optimizer", Optimizer.resolve, lambda: (Optimizer(), "works for any network"), _name
        )
        schedule: Schedule = self._setting(
            "schedule", Schedule.resolve, lambda: (OneCycle(), "converges fastest"), _name
        )
        learning_rate = self._setting(
            "learning_rate",
            lambda given: positive("learning_rate", given, "'auto' or "),
            lambda: (optimizer.learning_rate, f"for {optimizer.name}"),
            "{:g}".format,
        )
        batch_size = self._count("batch_size", lambda: choose_batch_size(rows, self.kind.shape))
        epochs = self._count("epochs", lambda: choose_epochs(rows, batch_size))
        minutes = settings["max_minutes"]
        if settings["precision"] not in PRECISIONS:
            raise unknown("precision", settings["precision"], PRECISIONS)
        return TrainingSettings(
            epochs,
            batch_size,
            optimizer,
            schedule,
            learning_rate,
            patience=-(-epochs // 3) if settings["early_stopping"] else None,
            max_minutes=None if minutes is None else positive("max_minutes", minutes, "None or "),
            half_precision=PRECISIONS[settings["precision"]],
        )

    def _recipe(self) -> Recipe:
        recipe = self._setting(
            "recipe",
            recipes.resolve,
            lambda: (recipes.recipe("ae"), "the plain autoencoder"),
            lambda _: "ae",
        )
        if self.settings["corruption"] is not None:
            recipe = recipe.replace(corruption=Corruption.resolve(self.settings["corruption"]))
        if self.condition_encoder is None and recipe.condition is not None:
            raise SettingError(
                "The recipe needs a condition: use fit(X, condition=...) with a label for each "
                "row, or a table."
            )
        if self.condition_encoder is not None and recipe.condition is None:
            recipe = recipe.replace(condition=Joined())
        return recipe

    def _scaling(self, recipe: Recipe) -> Scaling:
        def auto() -> tuple[Scaling, str]:
            scaling = self.kind.scaling(self.summary)
            if isinstance(scaling, Between):
                unit = self._wants_unit_interval(recipe)
                scaling = scaling.replace(tail=0.0) if unit else scaling
                return scaling, "a few values lie far beyond all others"
            if self._wants_unit_interval(recipe):
                return MinMax(), "the likelihood needs values from 0 to 1"
            return scaling, "suits this kind of data"

        return self._setting("scaling", Scaling.resolve, auto, _name)

    def _wants_unit_interval(self, recipe: Recipe) -> bool:
        given = self.settings["likelihood"]
        if given == "auto" and recipe.likelihood is not None:
            given = recipe.likelihood
        return given != "auto" and "unit-interval" in Likelihood.resolve(given).needs

    def _network(self) -> Network:
        return self._setting("network", resolve_network, lambda: choose_network(self.kind), _name)

    def _count(self, name: str, auto: Callable[[], tuple[int, str]]) -> int:
        return self._setting(name, lambda given: positive_integer(name, given, "'auto' or "), auto)

    def _code_size(self, recipe: Recipe, network: Network, prepared: Rows) -> int:
        def auto() -> tuple[int, str]:
            if isinstance(network, CustomNetwork):
                with seeded(0):  # lazy layers draw their weights here
                    features = network.features(self.kind.shape)
                least = recipe.code.nearest_size(1)
                return features * least // recipe.code.width(least), "the output of the encoder"
            size, reason = choose_code_size(self.kind, prepared)
            return recipe.code.nearest_size(size), reason

        size = self._count("code_size", auto)
        cells = prepared[0].size
        if size > cells and not recipe.code.provides & {"sparse", "symbols"}:
            warn(
                f"A code of {size} latent dimensions is larger than the data's {cells} cells: it "
                "can copy the data without compression; use a smaller code_size."
            )
        return size

    def _likelihood(
        self, recipe: Recipe, network: Network, preparation: Preparation, prepared: Rows
    ) -> Likelihood:
        def auto() -> tuple[Likelihood, str]:
            if recipe.likelihood is not None:
                return recipe.likelihood, "part of the recipe"
            if isinstance(network, CustomNetwork):
                return FixedGaussian(), "the decoder's output is the reconstruction"
            return choose_likelihood(preparation, self.summary, prepared, recipe)

        likelihood = self._setting("likelihood", Likelihood.resolve, auto, _name)
        low, high = float(np.nanmin(prepared)), float(np.nanmax(prepared))
        if "unit-interval" in likelihood.needs and not (low >= -1e-6 and high <= 1 + 1e-6):
            raise SettingError(
                f"The likelihood {likelihood.name!r} needs values from 0 to 1, but the prepared "
                f"ones go from {low:.3g} to {high:.3g}: use scaling='min-max'."
            )
        if "complete" in likelihood.needs and self.summary.missing:
            raise SettingError(
                f"The likelihood {likelihood.name!r} needs complete rows, but cells are missing: "
                "use 'gaussian' or 'mixed', or fill them."
            )
        corruption = recipe.corruption
        if corruption and "complete" in likelihood.needs and "missing" in corruption.provides:
            raise SettingError(
                f"The likelihood {likelihood.name!r} needs complete rows, but the corruption "
                f"{corruption.name!r} puts only masked cells into the loss: use 'masking', or the "
                "likelihood 'gaussian'."
            )
        if "counts" in likelihood.needs and not are_counts(prepared):
            raise SettingError(
                f"The likelihood {likelihood.name!r} needs counts, but some values are negative or "
                "not integers: use 'gaussian', and scaling='none' for counts."
            )
        return likelihood

    def _setting(
        self,
        name: str,
        resolve: Callable[[object], T],
        auto: Callable[[], tuple[T, str]],
        words: Callable[[T], str] = str,
    ) -> T:
        """Return the user's setting, or the automatic choice, which is recorded in words."""
        given = self.settings[name]
        if not (isinstance(given, str) and given == "auto"):
            return resolve(given)
        value, reason = auto()
        self.choices.append(Choice(name, words(value), reason))
        return value


def _name(part: Part) -> str:
    return part.name


def device_of(choice: str) -> torch.device:
    """Return the device of a name; auto is the first GPU, if there is one.

    Raises
    ------
    SettingError
        If there is no such device.
    """
    if choice == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(choice)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError):
        raise SettingError(f"There is no device {choice!r} here: use 'auto' or 'cpu'.") from None
    return device


@dataclass(frozen=True)
class Run:
    """Where and on which rows a plan is carried out.

    Attributes
    ----------
    seed : int
    device : torch.device
    validation_fraction : float
    checkpoint : Path or None
    """

    seed: int
    device: torch.device
    validation_fraction: float
    checkpoint: Path | None

    @classmethod
    def of(cls, settings: Mapping[str, Any], checkpoint: str | Path | None) -> Run:
        """Return the run that the estimator's settings ask for.

        Raises
        ------
        SettingError
            If a setting is unknown or out of range.
        """
        fraction = settings["validation_fraction"]
        if not isinstance(fraction, int | float) or not 0 <= fraction < 1:
            raise SettingError(f"validation_fraction must be from 0 to below 1, not {fraction!r}.")
        if checkpoint is not None and settings["random_state"] is None:
            raise SettingError(
                "A training that can be resumed needs a random_state: give a number."
            )
        return cls(
            seed=int(check_random_state(settings["random_state"]).randint(2**31 - 1)),
            device=device_of(settings["device"]),
            validation_fraction=fraction,
            checkpoint=None if checkpoint is None else Path(checkpoint),
        )


def check_rows(n: int, shape: tuple[int, ...]) -> None:
    """Refuse data with too few rows or columns.

    Raises
    ------
    DataError
        If there are fewer than two rows, or no columns.
    """
    if n < 2:
        raise DataError(
            f"Found array with {n} sample(s) (shape={(n, *shape)}) while a minimum of 2 is "
            "required: training needs several rows."
        )
    if 0 in shape:
        raise DataError(
            f"Found array with 0 feature(s) (shape={(n, *shape)}) while a minimum of 1 is required."
        )
