"""What is searched: the values of settings, given, or around those that a fit would choose."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from attar import names
from attar.errors import SettingError
from attar.networks import Network
from attar.plan import Plan

if TYPE_CHECKING:
    from optuna import Trial

# A value of a setting as a study stores it.
Stored = bool | int | float | str | None

# The settings that may be searched; others change what the loss is, or the rows that it is of.
SEARCHED = (
    *("recipe", "code_size", "network", "learning_rate", "batch_size", "optimizer", "schedule"),
    *("epochs", "corruption", "precision"),
)

# The settings of networks that are widths, and what a width stays a multiple of.
WIDTHS, MULTIPLE = ("widths", "channels", "units", "width", "hidden"), 8

# What is searched of a network: the factor of its widths, the number of its layers, its dropout.
SIZES = ("width", "layers", "dropout")

# An interval is searched by the logarithm where the ratio of its ends is this large.
FAR = 8


class Dimension(ABC):
    """The values of a setting that are searched."""

    @abstractmethod
    def suggest(self, trial: Trial, name: str) -> Stored:
        """Return a value for a trial."""

    @abstractmethod
    def setting(self, stored: Stored) -> object:
        """Return the setting that a stored value is."""

    @abstractmethod
    def __contains__(self, stored: object) -> bool:
        """Return whether a value may be suggested."""

    @property
    @abstractmethod
    def examples(self) -> Sequence[Stored]:
        """Values that show whether all can be used."""


@dataclass(frozen=True)
class Interval(Dimension):
    """Numbers from ``low`` to ``high``, integers where both are."""

    low: float
    high: float

    @property
    def logarithmic(self) -> bool:
        """Whether the logarithm is uniform."""
        return 0 < FAR * self.low <= self.high

    def suggest(self, trial: Trial, name: str) -> Stored:
        """Return a number."""
        value: float
        if isinstance(self.low, int) and isinstance(self.high, int):
            value = trial.suggest_int(name, self.low, self.high, log=self.logarithmic)
        else:
            value = trial.suggest_float(name, self.low, self.high, log=self.logarithmic)
        return value

    def setting(self, stored: Stored) -> object:
        """Return an integer, or a number with three significant digits."""
        return stored if isinstance(stored, int) else float(f"{stored:.3g}")

    def __contains__(self, stored: object) -> bool:
        return isinstance(stored, int | float) and self.low <= stored <= self.high

    @property
    def examples(self) -> Sequence[Stored]:
        """Both ends."""
        return self.low, self.high


@dataclass(frozen=True)
class Options(Dimension):
    """Some values, any of which may be a part."""

    values: tuple[object, ...]

    def suggest(self, trial: Trial, name: str) -> Stored:
        """Return one of the values."""
        value: Stored = trial.suggest_categorical(name, self.examples)
        return value

    def setting(self, stored: Stored) -> object:
        """Return the value itself."""
        return self.values[self.examples.index(stored)]

    def __contains__(self, stored: object) -> bool:
        return stored in self.examples

    @property
    def examples(self) -> Sequence[Stored]:
        """All values."""
        return [as_stored(value) for value in self.values]


def as_stored(value: object) -> Stored:
    """Return a value as a study stores it: a part as text."""
    return value if isinstance(value, Stored) else repr(value)


def space_of(search: Mapping[str, object] | Sequence[str], plan: Plan) -> dict[str, Dimension]:
    """Return what is searched, by names of settings.

    Parameters
    ----------
    search : mapping of str to list or pair of numbers, or sequence of str
        The values of each setting; of a name without values, some around those of the plan.
    plan : Plan
        What a fit would choose.

    Raises
    ------
    SettingError
        If a setting cannot be searched, or its values are none.
    """
    space: dict[str, Dimension] = {}
    given = search if isinstance(search, Mapping) else dict.fromkeys(search)
    for name, values in given.items():
        head = name.partition("__")[0]
        names.check({head: None})
        if head not in SEARCHED:
            raise SettingError(
                f"{name} cannot be searched, as the losses of trials would not be comparable: "
                f"search {', '.join(SEARCHED)}, or settings of these parts."
            )
        space |= around(name, plan) if values is None else {name: dimension(name, values)}
    if not space:
        raise SettingError("There is nothing to search: name settings, such as learning_rate.")
    return space


def dimension(name: str, values: object) -> Dimension:
    """Return the values that a user gives: a pair (low, high) of numbers, or a list.

    Raises
    ------
    SettingError
        If they are neither.
    """
    match values:
        case tuple((int() | float() as low, int() | float() as high)) if low < high:
            return Interval(low, high)
        case list([_, *_]):
            return Options(tuple(values))
    raise SettingError(
        f"The values of {name} to search are a pair (low, high) or a list, not {values!r}."
    )


def around(name: str, plan: Plan) -> dict[str, Dimension]:
    """Return values around those of a plan; of a network, its widths, layers and dropout.

    Raises
    ------
    SettingError
        If there are no such values.
    """
    match name:
        case "learning_rate":
            rate = plan.training.learning_rate
            return {name: Interval(rate / 10, 4 * rate)}
        case "batch_size":
            size = plan.training.batch_size
            return {name: Options(tuple(sorted({max(1, size // 2), size, 2 * size})))}
        case "code_size":
            cells, least = prod(plan.preparation.kind.shape), plan.recipe.code.least_size
            low = max(least, plan.code_size // 4)
            return {name: Interval(low, max(low + 1, min(4 * plan.code_size, cells - 1)))}
        case "network":
            return {size: values for size, (values, _) in sizes(plan.network).items()}
    raise SettingError(f"{name} needs the values to search, such as {name}=a,b: name them.")


def sizes(network: Network) -> dict[str, tuple[Dimension, Stored]]:
    """Return what is searched of a network, and its own: factor of widths, layers, dropout."""
    settings = network.get_params(deep=False)
    found: dict[str, tuple[Dimension, Stored]] = {}
    if any(name in WIDTHS for name in settings):
        found["width"] = Options((0.25, 0.5, 1.0, 2.0)), 1.0
    match settings:
        case {"widths": tuple(widths)}:
            found["layers"] = Interval(1, max(3, len(widths))), len(widths)
        case {"layers": int(layers)}:
            found["layers"] = Interval(1, max(3, layers)), layers
    match settings:
        case {"dropout": float(dropout)}:
            found["dropout"] = Interval(0.0, 0.3), dropout
    return found


def resized(network: Network, size: Mapping[str, object]) -> Network:
    """Return a network with another factor of its widths, number of layers, or dropout.

    Examples
    --------
    >>> from attar.networks import Mlp
    >>> resized(Mlp((64, 32)), {"width": 0.5, "layers": 3})
    Mlp(widths=(32, 16, 16), activation='relu', dropout=0.0, normalization=None, shortcut=False)
    """
    settings = network.get_params(deep=False)
    changes: dict[str, object] = {
        name: size[name] for name in ("layers", "dropout") if name in {*settings} & {*size}
    }
    factor = size.get("width", 1.0)
    assert isinstance(factor, float)
    for name in (name for name in WIDTHS if name in settings):
        match settings[name]:
            case int(width):
                changes[name] = scaled(width, factor)
            case tuple(widths):
                count = size.get("layers")
                if name == "widths" and isinstance(count, int):
                    widths = (widths + widths[-1:] * count)[:count]
                changes[name] = tuple(scaled(width, factor) for width in widths)
    return network.replace(**changes)


def scaled(width: int, factor: float) -> int:
    """Return a width times a factor, as a multiple of 8."""
    return width if factor == 1 else max(MULTIPLE, MULTIPLE * round(factor * width / MULTIPLE))
