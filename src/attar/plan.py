"""The plan of a fit: what the user set, and what suits the data where the user says "auto"."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import nn

from attar import choices, recipes
from attar.checks import positive, positive_integer
from attar.choices import Choice
from attar.conditions import Joined
from attar.corruptions import Corruption
from attar.data.conditioning import Conditioning
from attar.data.corpus import most_rows
from attar.data.kind import Kind, Rows
from attar.data.preparation import Preparation
from attar.data.preparations import preparation as preparation_of
from attar.data.sample import evenly_spread
from attar.data.scaling import MinMax, Scaling
from attar.data.summary import Summary
from attar.errors import AttarWarning, DataError, SettingError, first_line, unknown
from attar.likelihoods import Gaussian, Likelihood
from attar.networks import Modules, Network
from attar.objective import Objective
from attar.parts import Part
from attar.recipe import Recipe
from attar.training.optimizers import Optimizer
from attar.training.schedules import OneCycle, Schedule

PARTS: dict[str, Callable[[Any], Part]] = {
    "recipe": recipes.resolve,
    "network": Network.resolve,
    "likelihood": Likelihood.resolve,
    "scaling": Scaling.resolve,
    "corruption": Corruption.resolve,
    "optimizer": Optimizer.resolve,
    "schedule": Schedule.resolve,
}

# Whether networks compute in bfloat16; None: where it pays.
PRECISIONS = {"auto": None, "float32": False, "bfloat16": True}


@dataclass(frozen=True)
class Plan:
    """Every setting of a fit, with nothing left open."""

    recipe: Recipe
    code_size: int
    network: Network
    likelihood: Likelihood
    scaling: Scaling
    preparation: Preparation
    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float
    batch_size: int
    epochs: int
    gaps: bool
    conditioning: Conditioning | None
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
            self.optimizer.build([nn.Parameter(torch.zeros(1))], self.learning_rate)
            return self.recipe.build(
                shape,
                self.code_size,
                self.network,
                self.likelihood,
                self.gaps,
                0 if self.conditioning is None else self.conditioning.size,
            )
        except SettingError:
            raise
        except (TypeError, ValueError, RuntimeError) as error:
            raise SettingError(
                f"The parts cannot be built as they are set: {first_line(error)}."
            ) from error


class Planner:
    """Makes a plan from settings, one decision after the other, and notes each choice.

    Parameters
    ----------
    settings : mapping
        The estimator's parameters.
    kind : Kind
    summary : Summary
    conditioning : Conditioning or None
        What is told besides, where something is.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        kind: Kind,
        summary: Summary,
        conditioning: Conditioning | None = None,
    ) -> None:
        self.settings, self.kind, self.summary = settings, kind, summary
        self.conditioning = conditioning
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
        few = min(choices.SAMPLE, most_rows(self.summary.sample))
        sample = self.summary.sample
        rows = sample[evenly_spread(sample.shape[0], few)]
        prepared = preparation.prepare(rows).numpy()
        if np.isnan(prepared).all():
            raise DataError("All values are missing: there is nothing to learn.")
        network = self._network()
        code_size = self._code_size(recipe, network, prepared)
        likelihood = self._likelihood(recipe, network, preparation, prepared)
        optimizer = self._part("optimizer", lambda: (Optimizer(), "a good start for any network"))
        schedule = self._part("schedule", lambda: (OneCycle(), "the fastest way to a low error"))
        learning_rate = self._number(
            "learning_rate", lambda: (optimizer.learning_rate, f"for {optimizer.name}")
        )
        n = self.summary.rows
        batch_size = self._count("batch_size", lambda: choices.batch_size(n))
        epochs = self._count("epochs", lambda: choices.epochs(n, batch_size))
        return Plan(
            recipe,
            code_size,
            network,
            likelihood,
            scaling,
            preparation,
            optimizer,
            schedule,
            learning_rate,
            batch_size,
            epochs,
            # A network of the user's own takes rows of the data's own shape.
            self.summary.missing and not isinstance(network, Modules),
            self.conditioning,
            tuple(self.choices),
        )

    def _recipe(self) -> Recipe:
        recipe: Recipe = self._part(
            "recipe", lambda: (recipes.recipe("ae"), "the plain autoencoder")
        )
        if self.settings["corruption"] is not None:
            recipe = recipe.replace(corruption=Corruption.resolve(self.settings["corruption"]))
        if self.conditioning is None and recipe.condition is not None:
            raise SettingError(
                "The recipe has a condition, but none was given: use fit(X, condition=...) with a "
                "label for each row, or a table."
            )
        if self.conditioning is not None and recipe.condition is None:
            recipe = recipe.replace(condition=Joined())
        return recipe

    def _scaling(self, recipe: Recipe) -> Scaling:
        def auto() -> tuple[Scaling, str]:
            if self._wants_unit_interval(recipe):
                return MinMax(), "the likelihood needs values from 0 to 1"
            return self.kind.scaling(self.summary), "suits this kind of data"

        scaling: Scaling = self._part("scaling", auto)
        return scaling

    def _wants_unit_interval(self, recipe: Recipe) -> bool:
        given = self.settings["likelihood"]
        if given == "auto" and recipe.likelihood is not None:
            given = recipe.likelihood
        return given != "auto" and "unit-interval" in Likelihood.resolve(given).needs

    def _network(self) -> Network:
        given = self.settings["network"]
        if isinstance(given, tuple):
            return Modules.of(given)
        network: Network = self._part("network", lambda: choices.network(self.kind))
        return network

    def _code_size(self, recipe: Recipe, network: Network, prepared: Rows) -> int:
        def auto() -> tuple[int, str]:
            if isinstance(network, Modules):
                features, least = network.features(self.kind.shape), recipe.code.nearest_size(1)
                return features * least // recipe.code.width(least), "as the encoder gives"
            size, reason = choices.code_size(self.kind, prepared)
            return recipe.code.nearest_size(size), reason

        size = self._count("code_size", auto)
        cells = prepared[0].size
        if size > cells and not recipe.code.provides & {"sparse", "symbols"}:
            warnings.warn(
                f"A code of {size} numbers is larger than the data's {cells}: it need not learn "
                "anything to bring the data back.",
                AttarWarning,
                stacklevel=4,
            )
        return size

    def _likelihood(
        self, recipe: Recipe, network: Network, preparation: Preparation, prepared: Rows
    ) -> Likelihood:
        def auto() -> tuple[Likelihood, str]:
            if recipe.likelihood is not None:
                return recipe.likelihood, "part of the recipe"
            if isinstance(network, Modules):
                return Gaussian(), "the decoder's output is taken as the reconstruction"
            return choices.likelihood(preparation, prepared, recipe)

        likelihood: Likelihood = self._part("likelihood", auto)
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
        if corruption and "complete" in likelihood.needs and "gaps" in corruption.provides:
            raise SettingError(
                f"The likelihood {likelihood.name!r} needs complete rows, but the corruption "
                f"{corruption.name!r} asks for what it hid alone: use 'masking', or the likelihood "
                "'gaussian'."
            )
        if "counts" in likelihood.needs and not choices.are_counts(prepared):
            raise SettingError(
                f"The likelihood {likelihood.name!r} needs counts, but some values are negative or "
                "no whole numbers: use 'gaussian', and scaling='none' for counts."
            )
        return likelihood

    def _part(self, setting: str, auto: Callable[[], tuple[Any, str]]) -> Any:
        given = self.settings[setting]
        if isinstance(given, str) and given == "auto":
            part, reason = auto()
            return self._chosen(setting, part, reason, part.name if setting != "recipe" else "ae")
        return PARTS[setting](given)

    def _count(self, setting: str, auto: Callable[[], tuple[int, str]]) -> int:
        given = self.settings[setting]
        if isinstance(given, str) and given == "auto":
            number, reason = auto()
            chosen: int = self._chosen(setting, number, reason, str(number))
            return chosen
        return positive_integer(setting, given, "'auto' or ")

    def _number(self, setting: str, auto: Callable[[], tuple[float, str]]) -> float:
        given = self.settings[setting]
        if isinstance(given, str) and given == "auto":
            number, reason = auto()
            chosen: float = self._chosen(setting, number, reason, f"{number:g}")
            return chosen
        return positive(setting, given, "'auto' or ")

    def _chosen(self, setting: str, value: Any, reason: str, words: str) -> Any:
        self.choices.append(Choice(setting, words, reason))
        return value


def device_of(choice: str) -> torch.device:
    """Return the device that the user means; auto is the first GPU, if there is one.

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
    """How to carry a plan out.

    Attributes
    ----------
    seed : int
    device : torch.device
    validation_fraction : float
    early_stopping : bool
    max_minutes : float or None
    half : bool or None
        Whether networks compute in bfloat16; None: where it pays.
    checkpoint : Path or None
    """

    seed: int
    device: torch.device
    validation_fraction: float
    early_stopping: bool
    max_minutes: float | None
    half: bool | None
    checkpoint: Path | None

    @classmethod
    def of(cls, settings: Mapping[str, Any], checkpoint: str | Path | None) -> Run:
        """Return the run that the estimator's settings ask for.

        Raises
        ------
        SettingError
            If a setting is unknown or out of range.
        """
        fraction, minutes = settings["validation_fraction"], settings["max_minutes"]
        if not isinstance(fraction, int | float) or not 0 <= fraction < 1:
            raise SettingError(f"validation_fraction must be from 0 to below 1, not {fraction!r}.")
        if minutes is not None:
            minutes = positive("max_minutes", minutes, "None or ")
        if settings["precision"] not in PRECISIONS:
            raise unknown("precision", settings["precision"], PRECISIONS)
        if checkpoint is not None and settings["random_state"] is None:
            raise SettingError(
                "A training that can go on later needs a random_state: give a number."
            )
        return cls(
            seed=int(check_random_state(settings["random_state"]).randint(2**31 - 1)),
            device=device_of(settings["device"]),
            validation_fraction=fraction,
            early_stopping=bool(settings["early_stopping"]),
            max_minutes=minutes,
            half=PRECISIONS[settings["precision"]],
            checkpoint=None if checkpoint is None else Path(checkpoint),
        )


def check_rows(n: int, shape: tuple[int, ...]) -> None:
    """Refuse data that nothing can be learnt from.

    Raises
    ------
    DataError
        If there are fewer than two rows, or no columns.
    """
    if n < 2:
        raise DataError(
            f"Found array with {n} sample(s) (shape={(n, *shape)}) while a minimum of 2 is "
            "required: an autoencoder learns from what rows have in common."
        )
    if 0 in shape:
        raise DataError(
            f"Found array with 0 feature(s) (shape={(n, *shape)}) while a minimum of 1 is required."
        )
