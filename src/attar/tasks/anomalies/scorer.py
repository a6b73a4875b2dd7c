"""The base of scorers: fitted models of normal data of a kind, and anomaly scores of others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from attar.data.kind import Kind
from attar.data.source import Data, Source
from attar.errors import DataError
from attar.recipe import Recipe
from attar.tasks.anomalies.calibration import alarm_interval, limit, pvalues
from attar.tasks.estimator import TaskModel

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What a scorer is fitted with.

    Attributes
    ----------
    columns : mapping or None
        What columns of a table are.
    recipe : str, Recipe or None
        Of autoencoders whose scores are added.
    span : int
        The steps of a series over which evidence is gathered.
    seed : int
    """

    columns: Mapping[str, str] | None
    recipe: str | Recipe | None
    span: int
    seed: int


@dataclass(frozen=True)
class Test:
    """A two-sample test: whether new values come from where old ones came.

    Attributes
    ----------
    statistic, pvalue : float
    """

    statistic: float
    pvalue: float


def same(before: Array, after: Array) -> Test:
    """Return the Kolmogorov-Smirnov test of two samples."""
    found = stats.ks_2samp(before, after)
    return Test(float(found.statistic), float(found.pvalue))


@dataclass(frozen=True)
class AnomalyMaps:
    """Where images are odd.

    Attributes
    ----------
    nats : array (n, height, width)
        How unlikely the region around each pixel is, given the rest of the image, beyond what it is
        in a usual one.
    expected : array
        The images as the user has them: each pixel, given those that are not of its region.
    """

    nats: Array
    expected: NDArray[Any]


class Scorer(TaskModel):
    """A fitted model of normal data of a kind."""

    # The form of the data; None of series.
    kind: Kind | None

    # How odd the data of the fit are, each scored as if it were new.
    own: Array

    @classmethod
    @abstractmethod
    def fit(cls, data: Any, settings: Settings) -> Self:
        """Return what is usual in data.

        Raises
        ------
        DataError
            If they are too few, or all alike.
        """

    @abstractmethod
    def updated(self, pieces: Iterator[Any], seed: int) -> Self:
        """Return what is usual in recent data: new pieces, and ever less of those of before."""

    @abstractmethod
    def pieces(self, X: Data | Source, infinite_as_missing: bool) -> Iterator[Any]:
        """Yield data as the user has them, from wherever they are, in pieces that fit into memory.

        Raises
        ------
        DataError
            If they are not of the form that was fitted.
        """

    @abstractmethod
    def score(self, piece: Any) -> Array:
        """Return how odd rows are, in nats (n,)."""

    def pvalues(self, scores: Array) -> Array:
        """Return conformal p-values: the share of usual rows with at least these scores."""
        return pvalues(self.own, scores)

    def limit(self, false_alarms: float) -> float:
        """Return the score from which p-values are at most a share; infinity where none are."""
        return limit(self.own, false_alarms)

    def interval(self, false_alarms: float) -> tuple[float, float]:
        """Return between which limits the share of false alarms is, with 95% confidence."""
        return alarm_interval(false_alarms, len(self.own))

    @abstractmethod
    def explain(self, piece: Any, start: int, most: int) -> pd.DataFrame:
        """Return what makes rows odd, the rows numbered from a start."""

    def maps(self, piece: Any) -> AnomalyMaps:
        """Return where images are odd.

        Raises
        ------
        DataError
            If they are no images.
        """
        raise DataError("Only images have maps: explain says what makes other rows odd.")

    @abstractmethod
    def tests(self, pieces: Iterator[Any]) -> tuple[dict[str, Test], int]:
        """Return tests of scores and columns against those of the fit, and how many were made."""
