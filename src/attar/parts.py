"""Parts are specs: small frozen dataclasses of hyperparameters that build modules.

A part compares, prints, and goes to JSON and back; it never holds weights. The direct subclasses
of :class:`Part` (``Code``, ``Likelihood``, ...) are families; a part is known inside its family by
a name, so that a file or a command line can say ``"gaussian"`` and never a path to code.
"""

from __future__ import annotations

import dataclasses
from abc import ABC
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from attar import checks
from attar.errors import SettingError, unknown

FAMILIES: dict[str, type[Part]] = {}


class Part(ABC):
    """A frozen dataclass of hyperparameters that builds a module; abstract, and so is each family.

    Attributes
    ----------
    needs, provides : frozenset of str
        Capabilities that this part requires of the others, and offers to them.

    Examples
    --------
    >>> from attar.codes import Gaussian
    >>> Gaussian(beta=2.0).replace(beta=4.0)
    Gaussian(beta=4.0, prior=StandardNormal())
    >>> Gaussian.from_json(Gaussian(beta=2.0).to_json()) == Gaussian(beta=2.0)
    True
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    provides: ClassVar[frozenset[str]] = frozenset()
    family: ClassVar[str]
    name: str
    members: ClassVar[dict[str, Callable[[], Part]]]

    def __init_subclass__(cls, name: str = "") -> None:
        if Part in cls.__bases__:
            cls.family, cls.members = cls.__name__.lower(), {}
            FAMILIES[cls.family] = cls
        if name:
            cls.name = name
            cls.members[name] = cls

    def __new__(cls, *args: object, **settings: object) -> Self:
        """Refuse to make an instance of a family: only its members have names."""
        if not hasattr(cls, "name"):
            raise TypeError(f"{cls.__name__} is abstract: use one of its members.")
        return super().__new__(cls)

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the family's part of this name, with its defaults.

        Raises
        ------
        SettingError
            If the family has no such part; the nearest name is suggested.
        """
        if name not in cls.members:
            raise unknown(cls.family, name, cls.members)
        part = cls.members[name]()
        assert isinstance(part, cls)
        return part

    @classmethod
    def resolve(cls, choice: object) -> Self:
        """Return the part of a name, or the part itself if it is of this family.

        Raises
        ------
        SettingError
            If it is neither.
        """
        if isinstance(choice, cls):
            return choice
        if isinstance(choice, str):
            return cls.named(choice)
        raise SettingError(
            f"The {cls.family} must be a name ({', '.join(sorted(cls.members))}) or an instance "
            f"of attar's {cls.__name__}, not {choice!r}."
        )

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the hyperparameters, those of inner parts as ``inner__name`` too."""
        params: dict[str, object] = {f.name: getattr(self, f.name) for f in _fields(self)}
        if deep:
            for key, value in list(params.items()):
                if isinstance(value, Part):
                    params |= {f"{key}__{k}": v for k, v in value.get_params().items()}
        return params

    def replace(self, **changes: object) -> Self:
        """Return a copy with some hyperparameters changed; ``inner__name`` reaches inner parts.

        Raises
        ------
        SettingError
            If there is no such hyperparameter; the nearest name is suggested.
        """
        direct, inner = by_part(changes, [field.name for field in _fields(self)], repr(self))
        for head, settings in inner.items():
            part = direct.get(head, getattr(self, head))
            if not isinstance(part, Part):
                raise SettingError(f"{head!r} of {self!r} is not a part, so it has no settings.")
            direct[head] = part.replace(**settings)
        return dataclasses.replace(self, **direct)  # type: ignore[type-var]

    def positive_integer(self, setting: str) -> int:
        """Return a hyperparameter that must be an integer above 0."""
        return checks.positive_integer(*self._named(setting))

    def positive(self, setting: str) -> float:
        """Return a hyperparameter that must be a finite number above 0."""
        return checks.positive(*self._named(setting))

    def non_negative(self, setting: str) -> float:
        """Return a hyperparameter that must be 0 or a finite number above."""
        return checks.non_negative(*self._named(setting))

    def fraction(self, setting: str) -> float:
        """Return a hyperparameter that must lie between 0 and 1."""
        return checks.fraction(*self._named(setting))

    def _named(self, setting: str) -> tuple[str, object]:
        return f"The {setting} of {self!r}", getattr(self, setting)

    def __sklearn_clone__(self) -> Self:
        return self  # frozen: a copy would be the same thing

    def to_json(self) -> dict[str, object]:
        """Return the part as plain JSON data."""
        fields = {field.name: plain(getattr(self, field.name)) for field in _fields(self)}
        return {"part": f"{self.family}/{self.name}", **fields}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Self:
        """Return the part that :meth:`to_json` described.

        Raises
        ------
        SettingError
            If the data names a part or a setting that does not exist, or one of another family.
        """
        family, _, name = str(data.get("part")).partition("/")
        if family not in FAMILIES:
            raise unknown("family of parts", family, FAMILIES)
        settings = {key: Part.parsed(value) for key, value in data.items() if key != "part"}
        part = FAMILIES[family].named(name).replace(**settings)
        if not isinstance(part, cls):
            raise SettingError(f"{part!r} is not a {cls.family}.")
        return part

    @staticmethod
    def parsed(value: object) -> object:
        """Return a value from JSON data: a part, a tuple, or what it is."""
        if isinstance(value, dict) and "/" in value.get("part", ""):
            return Part.from_json(value)
        if isinstance(value, list):
            return tuple(Part.parsed(item) for item in value)
        return value


def by_part(
    params: Mapping[str, object], known: Collection[str], whose: str
) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
    """Return a part's own parameters, and those of its inner parts, given as ``part__name``.

    Raises
    ------
    SettingError
        If one is not known; the nearest name is suggested.
    """
    own: dict[str, object] = {}
    inner: dict[str, dict[str, object]] = {}
    for key, value in params.items():
        head, _, tail = key.partition("__")
        if head not in known:
            raise unknown(f"setting of {whose}", head, known)
        if tail:
            inner.setdefault(head, {})[tail] = value
        else:
            own[head] = value
    return own, inner


def _fields(part: Part) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(part)  # type: ignore[arg-type]


def plain(value: object) -> object:
    """Return a setting as plain JSON data, from which :meth:`Part.parsed` returns it."""
    if isinstance(value, Part):
        return value.to_json()
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
