"""scikit-learn's parameters, which reach into the parts of an estimator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from attar import names
from attar.errors import SettingError, unknown
from attar.parts import Part, by_part
from attar.plan import PARTS
from attar.training.callbacks import Callback


class Parameters(BaseEstimator, ABC):
    """An estimator whose settings may be parts, or names of parts; abstract."""

    def __new__(cls, *args: object, **settings: object) -> Self:
        """Refuse settings that do not exist; the nearest name is suggested."""
        known = cls._get_param_names()
        for name in settings:
            if name not in known:
                raise unknown("setting", name, known)
        made: Self = super().__new__(cls)
        return made

    @abstractmethod
    def fit(self, X: Any) -> Self:
        """Fit the estimator to data."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings, those of parts as ``part__setting`` too."""
        params: dict[str, Any] = super().get_params(deep=False)
        if deep:
            for name in PARTS:
                part = self._part(name)
                if part is not None:
                    params |= {f"{name}__{k}": v for k, v in part.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Change settings; ``part__setting`` reaches into a recipe, a network, an optimizer, ...

        Raises
        ------
        SettingError
            If there is no such setting; the nearest name is suggested.
        """
        known = super().get_params(deep=False)
        own, nested = by_part(params, known, type(self).__name__)
        for name, value in own.items():
            setattr(self, name, value)
        for head, settings in nested.items():
            part = self._part(head)
            if part is None:
                raise SettingError(
                    f"{head}={getattr(self, head)!r} has no setting {next(iter(settings))!r}: "
                    f"name the {head} first."
                )
            setattr(self, head, part.replace(**settings))
        return self

    def _check_names(self) -> None:
        """Refuse settings that name no part, or no kind of column, before any data is read."""
        names.check_columns(self.get_params(deep=False)["columns"])
        for name, resolve in PARTS.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value == "auto"):
                resolve(value)
        for callback in self.get_params(deep=False)["callbacks"]:
            if not isinstance(callback, Callback):
                raise SettingError(
                    f"{callback!r} is no callback: derive a class from attar.training.Callback "
                    "and give an instance of it."
                )

    def _part(self, name: str) -> Part | None:
        """Return the part that a setting names, if it names one."""
        value = getattr(self, name)
        try:
            return PARTS[name](value) if name in PARTS else None
        except SettingError:
            return None

    def _plain_settings(self) -> dict[str, Any]:
        """Return the settings as JSON data, except custom code and random states."""
        plain: dict[str, Any] = {}
        for name, value in self.get_params(deep=False).items():
            if isinstance(value, Part):
                plain[name] = value.to_json()
            elif isinstance(value, str | int | float | bool | None):
                plain[name] = value
            elif isinstance(value, Mapping):
                plain[name] = {str(key): word for key, word in value.items()}
            elif isinstance(value, np.integer | np.floating):
                plain[name] = value.item()
        return plain
