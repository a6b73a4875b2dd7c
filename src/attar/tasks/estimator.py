"""The base of estimators for a task: a fitted model, its columns, and its file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from attar import storage
from attar.data.kind import Json, Kind
from attar.data.kinds import kind_of
from attar.data.source import Data, Source, read, without_infinities
from attar.errors import DataError
from attar.page import Report, report_on
from attar.parts import Part, plain
from attar.sharing import Shared


def pieces_of(X: Data | Source, kind: Kind, infinite_as_missing: bool = False) -> Iterator[Any]:
    """Yield data as the user has them, from wherever they are, in pieces that fit into memory.

    Raises
    ------
    DataError
        If they are not of the form that was fitted.
    """
    data: Any = read(X, "test", kind=kind).data
    if not kind.accepts(kind_of(data)):
        raise DataError(kind.refusal(np.shape(data), kind_of(data)))
    yield from kind.pieces(without_infinities(data) if infinite_as_missing else data)


class TaskModel(ABC):
    """What was fitted for a task on data of a kind, as tensors and plain JSON data in files."""

    # The name in files.
    name: ClassVar[str]

    @property
    @abstractmethod
    def dimensions(self) -> int:
        """How many values a row has."""

    @property
    @abstractmethod
    def columns(self) -> Sequence[object] | None:
        """The names of these values, where they have some."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Return the numbers that :meth:`restored` needs."""

    @abstractmethod
    def to_json(self) -> Json:
        """Return all else that :meth:`restored` needs."""

    @classmethod
    @abstractmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""


class TaskEstimator(BaseEstimator, Shared, ABC):
    """An estimator that holds one fitted model, ``model_``, and is one file.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : array of str
    """

    # The name of the task in files.
    task: ClassVar[str]

    random_state: int | np.random.RandomState | None

    @property
    @abstractmethod
    def _dimensions(self) -> int:
        """How many values a row of the data of the fit has."""

    @property
    @abstractmethod
    def _columns(self) -> Sequence[object] | None:
        """The names of these values, where they have some."""

    @abstractmethod
    def _described(self) -> tuple[dict[str, Tensor], Json]:
        """Return what was fitted, as tensors and plain JSON data."""

    @abstractmethod
    def _restore(self, tensors: Mapping[str, Tensor], description: Json) -> None:
        """Take over what :meth:`_described` returned."""

    def report(self, X: Data | Source) -> Report:
        """Return a page of figures, which a notebook shows; see :func:`attar.report`.

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        SettingError
            If there is no report of the estimator.
        """
        return report_on(self._fitted, X)

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator to a file, from which :meth:`load` restores it.

        Raises
        ------
        FileError
            If the place cannot be written to.
        """
        settings = {
            name: plain(value)
            for name, value in self.get_params(deep=False).items()
            if name not in ("random_state", "autoencoder", "callbacks")
        }
        tensors, description = self._fitted._described()
        description = {"task": self.task, "settings": settings, **description}
        storage.write_model(path, tensors, description)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the estimator that :meth:`save` wrote, with equal results.

        Raises
        ------
        FileError
            If there is no such file.
        ModelFileError
            If it is damaged, or holds another estimator.
        """
        tensors, description = storage.read_model(path)
        storage.check_task(path, description, cls.task)
        with storage.restoring(path):
            settings = description["settings"].items()
            estimator = cls(**{name: Part.parsed(value) for name, value in settings})
            estimator._restore(tensors, description)
        return estimator

    @property
    def n_features_in_(self) -> int:
        """How many values a row has."""
        return self._attributes._dimensions

    @property
    def feature_names_in_(self) -> NDArray[np.object_]:
        """The names of a table's columns."""
        names = self._attributes._columns
        if names is None:
            raise AttributeError("The rows have no column names.")
        return np.array(names, object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @property
    def _fitted(self) -> Self:
        check_is_fitted(self, "model_")
        return self

    @property
    def _attributes(self) -> Self:
        """The fitted estimator, for attributes that must not exist before (scikit-learn's rule)."""
        if "model_" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} is not fitted yet.")
        return self

    def _drawn_seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))
