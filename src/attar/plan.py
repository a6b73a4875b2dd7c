"""The plan of a fit: the user's settings, and a choice from the data where one is "auto"."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import nn

from attar import recipes, workers
from attar.checks import positive, positive_integer
from attar.choices import (
    are_counts,
    choose_alphabets,
    choose_augmentation,
    choose_batch_size,
    choose_code_size,
    choose_epochs,
    choose_likelihood,
    choose_network,
    choose_optimizer,
    choose_recipe,
    exact_scaling,
    of_text,
    superposed,
    warn_of_activation,
)
from attar.codes import Contextual, NoCode
from attar.conditions import Joined
from attar.corruptions import Augmentation, Corruption, GaussianNoise
from attar.data.condition_encoder import ConditionEncoder
from attar.data.kind import Kind, Rows
from attar.data.kinds import preparation as preparation_of
from attar.data.preparation import Preparation
from attar.data.scaling import Between, MinMax, Scaling
from attar.data.series import Windows
from attar.data.summary import Summary
from attar.data.table import MixedTable
from attar.data.text import Text
from attar.data.training_data import TrainingData, most_rows
from attar.errors import DataError, SettingError, first_line, unknown, warn
from attar.isolation import seeded
from attar.likelihoods import (
    Causal,
    FixedGaussian,
    Language,
    Likelihood,
)
from attar.model import Model
from attar.networks import CustomNetwork, Lapped, Linear, Network, TextTransformer, statistics_of
from attar.objective import Objective
from attar.parts import Part
from attar.recipe import Recipe
from attar.training.loop import TrainingSettings
from attar.training.optim import OneCycle, Optimizer, Schedule
from attar.training.runtime import half_precision_pays

T = TypeVar("T")

SAMPLE = 5000


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

# The format of checkpoints: those of another one are refused.
CHECKPOINTS = 2

# The settings that make the model, and those that train it.
MODEL = ("recipe", "code_size", "network", "likelihood", "scaling", "corruption", "columns")
TRAINING = ("optimizer", "schedule", "learning_rate", "batch_size", "epochs", "device", "precision")

# Whether networks compute in bfloat16.
PRECISIONS = {"float32": False, "bfloat16": True}


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
    given : mapping
        The settings that make the model, as the user gave them.
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
    given: Mapping[str, Any] = field(repr=False)

    @property
    def words(self) -> dict[str, object]:
        """What is trained, and how, by the names of settings; a recipe as the user named it."""
        chosen = {choice.setting: choice.value for choice in self.choices}
        training = self.training
        return {
            "recipe": chosen.get("recipe", self.given["recipe"]),
            **{"code_size": self.code_size, "network": self.network},
            **{"likelihood": self.likelihood.name, "scaling": self.scaling.name},
            **{"corruption": self.recipe.corruption, "optimizer": training.optimizer},
            **{"schedule": training.schedule, "learning_rate": training.learning_rate},
            **{"batch_size": training.batch_size, "epochs": training.epochs},
        }

    def build(self) -> Objective:
        """Return the objective, and in it the untrained model.

        Raises
        ------
        SettingError
            If the parts don't fit together, or one of them is out of range.
        """
        with as_settings():
            self.training.optimizer.build(
                [nn.Parameter(torch.zeros(1))], self.training.learning_rate
            )
            objective = self._objective()
            if isinstance(self.preparation.kind, Text):
                for statistics in statistics_of(objective.model):
                    statistics.spell(self.preparation.kind.vocabulary.pieces)
        if not any(weight.requires_grad for weight in objective.model.parameters()):
            raise SettingError(
                "The model has no weight to train: give modules with weights whose requires_grad "
                "is True."
            )
        return objective

    def work(self, model: Model | None = None) -> int:
        """Return the multiplications of a step's forward pass, by a model of the plan."""
        if model is None:
            # Tensors of the device "meta" have no values; a user's own modules may need them.
            own = isinstance(self.network, CustomNetwork)
            with as_settings(), seeded(0), torch.device("cpu" if own else "meta"):
                model = self._objective().model
        weights = sum(weight.numel() for weight in model.parameters())
        if self.likelihood.joint:  # its network passes over every place of a row
            own_weights = sum(weight.numel() for weight in model.likelihood.parameters())
            weights += own_weights * (prod(self.preparation.kind.shape[1:]) - 1)
        return self.training.batch_size * self.recipe.bound.draws * weights

    def _objective(self) -> Objective:
        return self.recipe.build(
            self.preparation.kind.shape,
            self.code_size,
            self.network,
            self.likelihood,
            self.missing,
            0 if self.condition_encoder is None else self.condition_encoder.size,
        )


@contextmanager
def as_settings() -> Iterator[None]:
    """Raise what torch says of parts that don't fit together as errors of settings."""
    try:
        yield
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
    preparation : Preparation or None
        That of a model which is trained further; None fits one.

    Attributes
    ----------
    kind : Kind
        Without columns of text, where values are symbols to compress.
    summary : Summary
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        kind: Kind,
        summary: Summary,
        condition_encoder: ConditionEncoder | None = None,
        preparation: Preparation | None = None,
    ) -> None:
        self.settings, self.kind, self.summary = settings, kind, summary
        self.condition_encoder, self.preparation = condition_encoder, preparation
        self.choices: list[Choice] = []

    def plan(self) -> Plan:
        """Return the plan.

        Raises
        ------
        SettingError
            If a setting is unknown, out of range, or does not fit another.
        """
        check_rows(self.summary.rows, self.kind.shape)
        recipe = self._recipe()
        if isinstance(self.kind, MixedTable) and self._wants_symbols(recipe):
            self.kind, self.summary = self.kind.without_texts(self.summary)
        self.choices[:0] = [Choice("data", part, reason) for part, reason in self.kind.remarks]
        scaling = self._scaling(recipe)
        preparation = self.preparation or preparation_of(self.kind, scaling, self.summary)
        few = min(SAMPLE, most_rows(self.summary.sample))
        sample = self.summary.sample
        prepared = preparation.prepare(sample[:: -(-sample.shape[0] // few)]).numpy()
        if np.isnan(prepared).all():
            raise DataError("All values are missing: there is nothing to learn.")
        network = self._network(recipe)
        code_size = self._code_size(recipe, network, prepared)
        likelihood = self._likelihood(recipe, network, preparation, prepared)
        if isinstance(self.kind, Text):
            sizes = {
                "vocabulary": self.kind.vocabulary.size,
                "superposed": superposed(recipe.code, code_size),
            }
            likelihood = likelihood.replace(length=self.kind.length, **sizes)
            if isinstance(network, TextTransformer):
                network = network.replace(context=code_size - sizes["superposed"], **sizes)
        if isinstance(network, CustomNetwork):
            width = recipe.code.decoder_width(code_size)
            if self.condition_encoder is not None:
                width += self.condition_encoder.size
            with seeded(0):
                limits = network.output_limits(width, likelihood.parameters(self.kind.shape))
            warn_of_activation(likelihood, limits, prepared)
        training = self._training(network, likelihood, recipe)
        plan = Plan(
            recipe,
            code_size,
            network,
            likelihood,
            scaling,
            preparation,
            training,
            self.summary.missing and network.masked,
            self.condition_encoder,
            (),
            {name: self.settings[name] for name in MODEL},
        )
        half = self._half_precision(plan)
        training = replace(training, half_precision=half)
        return replace(plan, training=training, choices=tuple(self.choices))

    def _half_precision(self, plan: Plan) -> bool:
        found = "a" if torch.cuda.is_available() else "no"
        device: torch.device = self._setting(
            "device", device_of, lambda: (device_of("auto"), f"there is {found} GPU")
        )

        def given(precision: object) -> bool:
            if precision not in PRECISIONS:
                raise unknown("precision", precision, ["auto", *PRECISIONS])
            return PRECISIONS[str(precision)]

        return self._setting(
            "precision",
            given,
            lambda: half_precision_pays(device, plan.work),
            lambda half: "bfloat16" if half else "float32",
        )

    def _training(
        self, network: Network, likelihood: Likelihood, recipe: Recipe
    ) -> TrainingSettings:
        settings, rows = self.settings, self.summary.rows
        optimizer = self._setting(
            "optimizer", Optimizer.resolve, lambda: choose_optimizer(network, likelihood), _name
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
        batch_size = self._count(
            "batch_size",
            lambda: choose_batch_size(rows, self.kind.shape, optimizer, likelihood, recipe),
        )
        epochs = self._count(
            "epochs", lambda: choose_epochs(rows, batch_size, optimizer, recipe.code, likelihood)
        )
        minutes = settings["max_minutes"]
        return TrainingSettings(
            epochs,
            batch_size,
            optimizer,
            schedule,
            learning_rate,
            patience=-(-epochs // 3) if settings["early_stopping"] else None,
            max_minutes=None if minutes is None else positive("max_minutes", minutes, "None or "),
        )

    def _recipe(self) -> Recipe:
        default, reason = choose_recipe(self.kind)
        recipe = self._setting(
            "recipe",
            recipes.resolve,
            lambda: (recipes.recipe(default), reason),
            lambda _: default,
        )
        if self.settings["corruption"] is not None:
            recipe = recipe.replace(corruption=Corruption.resolve(self.settings["corruption"]))
        if isinstance(recipe.corruption, Augmentation):
            corruption, reason = choose_augmentation(self.kind)
            self.choices.append(Choice("corruption", corruption.name, reason))
            recipe = recipe.replace(corruption=corruption)
        if isinstance(self.kind, Text):
            recipe = of_text(recipe)
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
            if isinstance(recipe.code, Contextual):
                return MinMax(), "steps are relative to the range of pixels"
            if self._wants_symbols(recipe):
                return exact_scaling(self.kind), "values are symbols"
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

    def _wants_symbols(self, recipe: Recipe) -> bool:
        given = self.settings["likelihood"]
        likelihood = recipe.likelihood if given == "auto" else given
        return likelihood is not None and isinstance(Likelihood.resolve(likelihood), Causal)

    def _network(self, recipe: Recipe) -> Network:
        def auto() -> tuple[Network, str]:
            if recipe.network is not None:
                return recipe.network, "part of the recipe"
            if isinstance(recipe.code, NoCode):
                return Linear(), "there is no code"
            return choose_network(self.kind, recipe)

        return self._setting("network", resolve_network, auto, _name)

    def _count(self, name: str, auto: Callable[[], tuple[int, str]]) -> int:
        return self._setting(name, lambda given: positive_integer(name, given, "'auto' or "), auto)

    def _code_size(self, recipe: Recipe, network: Network, prepared: Rows) -> int:
        def auto() -> tuple[int, str]:
            if isinstance(network, CustomNetwork | Lapped):
                features = network.features(self.kind.shape)
                return recipe.code.size(features), "the output of the encoder"
            if isinstance(recipe.code, NoCode):
                return 1, "there is no code"
            parts = isinstance(self.kind, Windows) or getattr(self.kind, "tiled", False)
            if parts and isinstance(recipe.corruption, GaussianNoise):
                return recipe.code.nearest_size(prepared[0].size), "noise, not size, is the limit"
            blocks = network.blocks(self.kind.shape)
            if blocks is not None and "symbols" in recipe.code.provides:
                return blocks * recipe.code.nearest_size(1), f"{blocks} frames"
            size, reason = choose_code_size(self.kind, prepared)
            if blocks is not None:
                size = blocks * -(-size // blocks)
            return recipe.code.nearest_size(size), reason

        with seeded(0):  # lazy layers draw their weights here
            if (
                isinstance(network, CustomNetwork)
                and "moments" not in recipe.code.provides
                and network.gives_moments(self.kind.shape)
            ):
                raise SettingError(
                    "The encoder returns (mean, log-variance), but the code "
                    f"{recipe.code.name!r} is made from one tensor of features: return that, or "
                    "use a recipe with a Gaussian code, such as 'vae'."
                )
            size = self._count("code_size", auto)
        cells = prepared[0].size
        copies = recipe.compared and not recipe.code.provides & {"sparse", "symbols"}
        if size > cells and copies:
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
        if isinstance(likelihood, Causal) and not likelihood.alphabets:
            likelihood = choose_alphabets(likelihood, preparation, self.summary)
        if isinstance(self.kind, Text) and not isinstance(likelihood, Language):
            raise SettingError(
                f"The likelihood {likelihood.name!r} is of numbers, but the data are text: leave "
                "it out."
            )
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


def window_of(settings: Mapping[str, Any]) -> float | None:
    """Return the seconds of the windows of samples that the network takes, if only such."""
    recipe, network = settings["recipe"], settings["network"]
    if network == "auto":
        network = None if recipe == "auto" else recipes.resolve(recipe).network
    return None if network is None else resolve_network(network).seconds


def _name(part: Part) -> str:
    return part.name


def device_of(choice: Any) -> torch.device:
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
    repeatable : bool
        Whether the user gave the random state, which must then give equal weights again.
    freeze : {"encoder"} or None
        What of a fitted model stays as it is.
    """

    seed: int
    device: torch.device
    validation_fraction: float
    checkpoint: Path | None
    repeatable: bool
    freeze: str | None = None

    @classmethod
    def of(
        cls,
        settings: Mapping[str, Any],
        checkpoint: str | Path | None,
        freeze: str | None = None,
    ) -> Run:
        """Return the run that the estimator's settings ask for.

        Raises
        ------
        SettingError
            If a setting is unknown or out of range.
        """
        fraction = settings["validation_fraction"]
        if not isinstance(fraction, int | float) or not 0 <= fraction < 1:
            raise SettingError(f"validation_fraction must be from 0 to below 1, not {fraction!r}.")
        if freeze not in (None, "encoder"):
            raise unknown("part to freeze", freeze, ["encoder"])
        if checkpoint is not None and settings["random_state"] is None:
            raise SettingError(
                "A training that can be resumed needs a random_state: give a number."
            )
        return cls(
            seed=workers.same(int(check_random_state(settings["random_state"]).randint(2**31 - 1))),
            device=device_of(settings["device"]),
            validation_fraction=fraction,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            repeatable=settings["random_state"] is not None,
            freeze=freeze,
        )

    def identity(self, plan: Plan, training_data: TrainingData, model: Model) -> str:
        """Return a digest of all that determines a training, the initial weights included."""
        digest = hashlib.sha256(training_data.digest())
        run = replace(self, checkpoint=None)
        digest.update(repr((CHECKPOINTS, replace(plan, choices=()), run)).encode())
        for name, tensor in model.state_dict().items():
            digest.update(name.encode())
            values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(values.numpy().data)
        return digest.hexdigest()


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
