"""The base of imputation models: what fills the gaps of data of a kind, and how sure it is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from attar.data.kind import Kind
from attar.errors import SettingError
from attar.recipe import Recipe
from attar.tasks.estimator import TaskModel

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ImputationSettings:
    """What a model is fitted with.

    Attributes
    ----------
    columns : mapping or None
        What columns of a table are.
    recipe : str, Recipe or None
        Of the autoencoder.
    seed : int
    mask_model : bool
        Whether cells may be missing because of their value.
    """

    columns: Mapping[str, str] | None
    recipe: str | Recipe | None
    seed: int
    mask_model: bool

    def refuse_of_tables(self, form: str) -> None:
        """Refuse settings that are of tables only.

        Raises
        ------
        SettingError
            That names the first.
        """
        for name in (name for name in ("columns", "mask_model") if getattr(self, name)):
            raise SettingError(f"{name} is for tables, and the data are {form}: leave it out.")


class ImputationModel(TaskModel):
    """What fills the gaps of data of a kind."""

    @classmethod
    @abstractmethod
    def fit(cls, data: Any, settings: ImputationSettings) -> Self:
        """Return what fills the gaps of data like these.

        Raises
        ------
        DataError
            If they are too few.
        """

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """The form of the data."""

    @property
    def dimensions(self) -> int:
        """How many values a row has."""
        return self.kind.dimensions

    @property
    def columns(self) -> Sequence[object] | None:
        """The names of these values, where they have some."""
        return None

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many rows of the fit are remembered."""

    @property
    @abstractmethod
    def errors(self) -> pd.DataFrame:
        """A row for each column.

        Returns
        -------
        DataFrame
            ``column``, ``measure`` ("RMSE" in standard deviations, or "error rate" of levels), the
            ``error`` of hidden cells, that of the mean or the most frequent level as the
            ``baseline``, and the ``share`` of cells that was missing in the fit.
        """

    @abstractmethod
    def filled(self, piece: Any) -> tuple[Any, int]:
        """Return data as the user has them without gaps, and how many cells were filled."""

    @abstractmethod
    def drawn(self, piece: Any, number: int, seed: int) -> list[Any]:
        """Return data as the user has them, several times, with draws in their gaps."""

    @abstractmethod
    def uncertainty(self, piece: Any, level: float) -> pd.DataFrame:
        """Return a row for each cell that is filled.

        Parameters
        ----------
        piece : object
        level : float
            The probability of intervals.

        Returns
        -------
        DataFrame
            ``row``, which ascends, ``column``, ``value``, ``low``, ``high`` and ``probability``.
        """

    @abstractmethod
    def size(self, piece: Any) -> int:
        """Return how many rows some data have."""


def error_table(
    names: Sequence[object],
    measure: ArrayLike,
    error: ArrayLike,
    baseline: ArrayLike,
    share: ArrayLike,
) -> pd.DataFrame:
    """Return the table of :attr:`ImputationModel.errors`."""
    columns = {"column": names, "measure": measure, "error": error, "baseline": baseline}
    return pd.DataFrame({**columns, "share": share})
