"""AnomalyDetector: how odd rows are, calibrated and explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import OutlierMixin
from sklearn.utils import Tags
from torch import Tensor

from attar.checks import positive_integer
from attar.data.images import Images
from attar.data.kind import Json
from attar.data.kinds import kind_of
from attar.data.series import Windows
from attar.data.source import Data, Source, read, without_infinities
from attar.data.sparse import SparseMatrix
from attar.data.table import Table
from attar.data.text import Text, is_column_of_texts
from attar.errors import DataError, SettingError
from attar.isolation import default_settings
from attar.recipe import Recipe
from attar.recipes import resolve
from attar.tasks.anomalies.calibration import discoveries
from attar.tasks.anomalies.counts import CountScorer
from attar.tasks.anomalies.moments import SeriesScorer
from attar.tasks.anomalies.rows import RowScorer
from attar.tasks.anomalies.scorer import AnomalyMaps, Array, Scorer, Settings
from attar.tasks.anomalies.texts import TextScorer
from attar.tasks.estimator import TaskEstimator

Auto = Literal["auto"]

OF_KIND: dict[str, type[Scorer]] = {
    Table.name: RowScorer,
    Images.name: RowScorer,
    Windows.name: SeriesScorer,
    SparseMatrix.name: CountScorer,
    Text.name: TextScorer,
}
SCORERS = {scorer.name: scorer for scorer in OF_KIND.values()}


@dataclass(frozen=True)
class Drift:
    """Whether rows come from where those of the fit came.

    Attributes
    ----------
    pvalue : float
        Of the hypothesis that they do: the smallest p-value of scores and columns, times their
        number.
    columns : DataFrame
        For the scores and each column: the Kolmogorov-Smirnov ``statistic``, and its ``pvalue``.
    """

    pvalue: float
    columns: pd.DataFrame

    def __bool__(self) -> bool:
        return self.pvalue < 0.01


class AnomalyDetector(OutlierMixin, TaskEstimator):
    """Finds odd rows of tables, images or counts, odd lines of text, and odd steps of series.

    How odd a row is, is the mean of -log p in nats over three scores, where p is the share of rows
    of the fit that have at least this score, none of which it was fitted on: the distance to the
    nearest neighbours, and the densities of two Gaussian mixtures. Each is fitted on all rows, and
    again without the oddest 5% and 20%, so that odd rows in X do not pass for usual ones. Images
    are described by the edges in their regions. Of sparse matrices of counts, the three scores are
    the similarity to the nearest rows, how unlikely cells are, and the sum of a row. Of lines of
    text, it is the similarity to the 20 nearest lines, by their n-grams of characters.

    A step of a series is compared with all before it, by nearest windows of the past and by
    forecasts, which learn on; its score is log p of the evidence of near steps.

    Parameters
    ----------
    contamination : float or "auto", default "auto"
        The share of odd rows in X, in (0, 0.5], which :meth:`predict` then finds there. Auto: it
        finds rows whose p-value is at most ``false_alarms``.
    false_alarms : float, default 0.01
        The share of usual rows that are taken for odd ones, where contamination is "auto".
    span : int, default 50
        The steps of a series over which evidence is gathered: what is so many steps away counts
        less by a factor of e. With fewer, scores are more local.
    recipe : str or Recipe, default None
        Of autoencoders, three of which are fitted on other thirds of X without the oddest 5%. The
        log-likelihood of a row, and the distance of its code to the nearest codes, then are two
        further scores.
    columns : mapping, default None
        What columns of a table are; as of :class:`attar.Autoencoder`.
    infinite_as_missing : bool, default False
    random_state : int, RandomState or None, default None

    Attributes
    ----------
    offset_ : float
        ``decision_function`` is ``score_samples - offset_``, negative for odd rows.
    label_ : str or None
        The column that ``attar fit --label`` left out, and ``attar score`` then does.
    alarm_interval_ : pair of float
        Between which limits the share of false alarms is with 95% confidence, given the number of
        rows that it was calibrated on.
    n_features_in_ : int
    feature_names_in_ : array of str

    Examples
    --------
    >>> import attar
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> detector = attar.AnomalyDetector(random_state=0).fit(X)
    >>> detector.predict([[5.0, 3.4, 1.5, 0.2], [9.0, 0.5, 1.5, 2.5]])
    array([ 1, -1])

    References
    ----------
    Ramaswamy, Rastogi and Shim, "Efficient algorithms for mining outliers from large data sets",
    SIGMOD 2000. Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", Springer
    2005.
    """

    task = "anomalies"

    def __init__(
        self,
        contamination: float | Auto = "auto",
        *,
        false_alarms: float = 0.01,
        span: int = 50,
        recipe: str | Recipe | None = None,
        columns: Mapping[str, str] | None = None,
        infinite_as_missing: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.contamination, self.false_alarms = contamination, false_alarms
        self.recipe, self.span, self.columns = recipe, span, columns
        self.infinite_as_missing = infinite_as_missing
        self.random_state = random_state

    @default_settings()
    def fit(self, X: Data, y: object = None) -> Self:
        """Learn what is usual in X.

        Parameters
        ----------
        X : table, array, sparse matrix, Series, list of str, path, or name of a data set
            At least 10 rows, of which a random sample is used where they are more than 10,000; or
            30 steps of series.
        y : ignored

        Raises
        ------
        DataError
            If the rows are too few, all alike, or of a kind that has no detector.
        SettingError
            If a setting is out of range.
        """
        self._check()
        data: Any = read(X, "train").data
        data = without_infinities(data) if self.infinite_as_missing else data
        text = not self.columns and is_column_of_texts(data)
        kind = (Text if text else kind_of(data)).name
        if kind not in OF_KIND:
            raise DataError(
                f"AnomalyDetector takes tables, images, series and text, not {kind}: give a table "
                "or an array of numbers, such as the codes of an Autoencoder."
            )
        fixed = Settings(self.columns, self.recipe, self.span, self._drawn_seed())
        self.model_: Scorer = OF_KIND[kind].fit(data, fixed)
        self.label_: str | None = None
        self._set_limit(X)
        return self

    @default_settings()
    def partial_fit(self, X: Data, y: object = None) -> Self:
        """Learn what is usual in new rows too, and forget what was usual long ago.

        The detector keeps a sample of at most 10,000 rows. Where it is full, each new row takes the
        place of one of them, any of which is as likely: of a row half of the chance to be there is
        left after 6,931 others. All else is then fitted anew to the sample, which takes as long as
        :meth:`fit`, so that rows are best given many at a time. Rows that are flagged are learnt as
        all others are; leave out those that you know to be odd.

        The first call is :meth:`fit`; types, categories and scales of columns, and maps of images,
        stay those of it.

        Parameters
        ----------
        X : table, array, path, or name of a data set
        y : ignored

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        SettingError
            If a setting is out of range.
        """
        if self.recipe is not None:
            raise SettingError("partial_fit fits no autoencoders: leave recipe out.")
        if "model_" not in vars(self):
            return self.fit(X)
        self._check()
        self.model_ = self.model_.updated(self.pieces(X), self._drawn_seed())
        self._set_limit(X)
        return self

    @default_settings()
    def score_samples(self, X: Data) -> Array:
        """Return how usual rows are: minus the mean of -log p, in nats (n,).

        Steps of series that begin after those of the fit go on from these, and other series anew.
        Those of an array have its shape (series, steps).

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        scorer = self._fitted.model_
        return -np.concatenate([scorer.score(piece) for piece in self.pieces(X)])

    @default_settings()
    def score_next(self, row: Any, time: Any = None, series: Any = None) -> float:
        """Return how usual the next step of a series is, given all before, and learn it.

        In constant time and memory. Alarm where it is below ``offset_``. The score is that of
        ``score_samples``, log p, but without what comes later.

        Parameters
        ----------
        row : array (channels,), mapping or Series
            The channels; NaN where one is missing.
        time : date or number, default None
            Where the series has times. None: the usual interval after the last step.
        series : str, default None
            The name of the series, where there are several.

        Raises
        ------
        DataError
            If the detector was not fitted on series, or the row isn't one of theirs.
        """
        scorer = self._fitted.model_
        if not isinstance(scorer, SeriesScorer):
            raise DataError("score_next is for series: score_samples scores rows of a table.")
        return -scorer.next(row, time, series)

    def decision_function(self, X: Data) -> Array:
        """Return ``score_samples(X) - offset_``: negative for odd rows."""
        return self.score_samples(X) - self._fitted.offset_

    def predict(self, X: Data) -> NDArray[np.int64]:
        """Return -1 for odd rows, and 1 for all others."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def predict_pvalues(self, X: Data) -> Array:
        """Return the conformal p-value of each row: the share of usual rows that are as odd.

        Of rows that come from where X came, a share of α has a p-value of at most α. Steps of
        series depend on each other: theirs are estimates.
        """
        return self._fitted.model_.pvalues(-self.score_samples(X))

    def discoveries(self, X: Data, rate: float = 0.05) -> NDArray[np.bool_]:
        """Return which rows are odd, at a false discovery rate (Benjamini and Hochberg)."""
        if not 0 < rate < 1:
            raise SettingError(f"A false discovery rate is in (0, 1), not {rate}.")
        return discoveries(self.predict_pvalues(X), rate)

    @default_settings()
    def explain(self, X: Data, most: int = 3) -> pd.DataFrame:
        """Return which columns, or regions of images, make rows odd.

        Parameters
        ----------
        X : table, array, images or sparse matrix
        most : int
            The number of columns, or regions, for each row.

        Returns
        -------
        DataFrame
            ``row``, ``column``, ``nats`` (-log of the share of rows of the fit in which some column
            is as unlikely, given the others of its row), ``value``, ``expected``, and ``low`` and
            ``high``, an interval of 90%; of categories these three are the most likely one. Of
            images ``y`` and ``x`` are the middle of a region, a quarter of the sides large, and the
            values are means of its pixels. Of sparse matrices, columns are numbers, and only stored
            cells are looked at; where a row has fewer, the rest is missing. Of text there are
            ``row``, ``word`` and ``nats``, -log of the share of lines that have its rarest n-gram.
        """
        scorer, parts, start = self._fitted.model_, [], 0
        for piece in self.pieces(X):
            parts.append(scorer.explain(piece, start, positive_integer("most", most)))
            start = int(parts[-1]["row"].iloc[-1]) + 1
        return pd.concat(parts, ignore_index=True)

    @default_settings()
    def anomaly_maps(self, X: Data) -> AnomalyMaps:
        """Return where images are odd: nats (n, height, width), and what was expected there.

        Raises
        ------
        DataError
            If X holds no images.
        """
        found = [self._fitted.model_.maps(piece) for piece in self.pieces(X)]
        return AnomalyMaps(
            np.concatenate([part.nats for part in found]),
            np.concatenate([part.expected for part in found]),
        )

    @default_settings()
    def drift(self, X: Data) -> Drift:
        """Return whether rows come from where those of the fit came.

        The scores and each feature are compared by two-sample Kolmogorov-Smirnov tests, of series
        the errors of forecasts. Of sparse matrices, how many rows have each column is compared by
        binomial tests, and the 100 columns that moved most are told.

        Parameters
        ----------
        X : table or array
            New rows.
        """
        tests, made = self._fitted.model_.tests(self.pieces(X))
        table = pd.DataFrame(
            {
                "column": list(tests),
                "statistic": [test.statistic for test in tests.values()],
                "pvalue": [test.pvalue for test in tests.values()],
            }
        )
        smallest = float(min(1.0, table["pvalue"].min() * made))
        return Drift(smallest, table.sort_values("pvalue", ignore_index=True))

    def as_pyod(self) -> PyodDetector:
        """Return the fitted detector with the attributes and methods of PyOD's."""
        return PyodDetector(self._fitted)

    def pieces(self, X: Data | Source) -> Iterator[Any]:
        """Yield X as the user has it, from wherever it is, in pieces that fit into memory."""
        return self._fitted.model_.pieces(X, self.infinite_as_missing)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    def _dimensions(self) -> int:
        return self.model_.dimensions

    @property
    def _columns(self) -> Sequence[object] | None:
        return self.model_.columns

    def _described(self) -> tuple[dict[str, Tensor], Json]:
        return self.model_.tensors(), {
            "scorer": {"name": self.model_.name, **self.model_.to_json()},
            "rows": self.model_.own.size,
            "offset": float(self.offset_),
            "label": self.label_,
            "alarm_interval": list(self.alarm_interval_),
        }

    def _restore(self, tensors: Mapping[str, Tensor], description: Json) -> None:
        scorer = SCORERS[description["scorer"]["name"]]
        self.model_ = scorer.restored(tensors, description["scorer"])
        self.offset_ = float(description["offset"])
        self.label_ = description["label"]
        low, high = description["alarm_interval"]
        self.alarm_interval_ = low, high

    def _set_limit(self, X: Data) -> None:
        """Choose the score beyond which rows are odd, by the rows of X or false alarms."""
        self.alarm_interval_ = self.model_.interval(self.false_alarms)
        if self.contamination == "auto":
            self.offset_ = -self.model_.limit(self.false_alarms)
        else:
            self.offset_ = np.percentile(self.score_samples(X), 100 * self.contamination)

    def _check(self) -> None:
        """Refuse settings that are out of range."""
        share = self.contamination
        if share != "auto" and not (isinstance(share, int | float) and 0 < share <= 0.5):
            raise SettingError(f"contamination is 'auto' or a share in (0, 0.5], not {share!r}.")
        if not 0 < self.false_alarms < 1:
            raise SettingError(f"false_alarms is a share in (0, 1), not {self.false_alarms!r}.")
        positive_integer("span", self.span)
        if self.recipe is not None:
            resolve(self.recipe)


@dataclass(frozen=True)
class PyodDetector:
    """A fitted detector as PyOD's tools take it: larger scores are odder, and labels are 0 and 1.

    Attributes
    ----------
    detector : AnomalyDetector
    """

    detector: AnomalyDetector

    @property
    def decision_scores_(self) -> Array:
        """How odd the rows of the fit are, of which at most 10,000 were used."""
        return self.detector.model_.own

    @property
    def threshold_(self) -> float:
        """The score beyond which a row is odd."""
        return -float(self.detector.offset_)

    @property
    def labels_(self) -> NDArray[np.int64]:
        """Which of these rows are odd: 0 or 1."""
        return np.asarray(self.decision_scores_ > self.threshold_).astype(np.int64)

    def decision_function(self, X: Data) -> Array:
        """Return how odd rows are, in nats."""
        return -self.detector.score_samples(X)

    def predict(self, X: Data) -> NDArray[np.int64]:
        """Return 1 for odd rows, and 0 for all others."""
        return (self.detector.predict(X) < 0).astype(np.int64)

    def predict_proba(self, X: Data) -> Array:
        """Return p and 1 - p for each row, where p is its p-value: (n, 2)."""
        p = self.detector.predict_pvalues(X)
        return np.stack([p, 1 - p], 1)
