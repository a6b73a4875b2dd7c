"""Displays of anomaly scores, and of the calibration of a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attar.checks import positive_integer
from attar.data.images import Images
from attar.data.kind import Rows
from attar.data.source import Data, read
from attar.errors import DataError
from attar.plotting.base import Plot, check_type, picture_grid
from attar.reporting.anomalies import OddRows
from attar.reporting.images import Shades, heat
from attar.reporting.svg import score_edges
from attar.reporting.texts import shortened
from attar.tasks.anomalies.detector import AnomalyDetector
from attar.tasks.anomalies.rows import RowScorer
from attar.tasks.labels.estimators import Classifier

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Letters of the name of an image.
MOST_LETTERS = 12


@dataclass(eq=False)
class AnomalyScoreDisplay(Plot):
    """The distribution of anomaly scores, beside that of the rows of the fit.

    Parameters
    ----------
    scores, usual : array (n,), array (m,)
        In nats: the larger, the odder. Those of the fit are each scored as if it were new.
    limit : float
        The score beyond which rows are flagged; infinity where none are.

    Examples
    --------
    >>> import attar
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> detector = attar.AnomalyDetector(random_state=0).fit(X)
    >>> display = attar.plotting.AnomalyScoreDisplay.from_estimator(detector, X)
    >>> display.scores.shape, display.flagged
    ((150,), 0)
    """

    scores: NDArray[np.float64]
    usual: NDArray[np.float64]
    limit: float

    @classmethod
    def from_estimator(cls, estimator: AnomalyDetector, X: Data, *, ax: Axes | None = None) -> Self:
        """Draw the scores of rows, or of steps of series.

        Parameters
        ----------
        estimator : AnomalyDetector
        X : table, array, images, series, ...
        ax : matplotlib Axes, default None

        Raises
        ------
        SettingError
            If the estimator is another.
        DataError
            If X is not of the form that was fitted.
        """
        check_type(cls, estimator, AnomalyDetector)
        scores = -estimator.score_samples(X).ravel()
        return cls(scores, estimator.model_.own.ravel(), -float(estimator.offset_)).plot(ax)

    @property
    def flagged(self) -> int:
        """How many rows are beyond the limit."""
        return int((self.scores > self.limit).sum())

    def _draw(self, ax: Axes) -> None:
        edges = score_edges(self.scores, self.usual, self.limit)
        usual, shares = (
            100 * np.histogram(x, edges)[0] / len(x) for x in (self.usual, self.scores)
        )
        middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
        beyond = middles > self.limit
        ax.bar(middles[~beyond], shares[~beyond], 0.9 * widths[~beyond], color="C0", label="rows")
        if beyond.any():
            label = f"flagged, {self.flagged:,} of {len(self.scores):,}"
            ax.bar(middles[beyond], shares[beyond], 0.9 * widths[beyond], color="C3", label=label)
            ax.axvline(self.limit, color="0.6", linestyle="dashed")
        ax.stairs(usual, edges, color="0.4", label="rows of the fit")
        ax.set(xlabel="anomaly score, nats", ylabel="share, %")
        ax.legend(frameon=False)


@dataclass(eq=False)
class AnomalyMapDisplay(Plot):
    """The oddest images, what was expected of their pixels, and where they are odd.

    Parameters
    ----------
    shades : Shades
    images, expected : array (n, channels, height, width)
    nats : array (n, height, width)
        How unlikely the region around each pixel is.
    names : list of str

    Examples
    --------
    >>> import attar
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().images[:200]
    >>> detector = attar.AnomalyDetector(random_state=0).fit(X)
    >>> display = attar.plotting.AnomalyMapDisplay.from_estimator(detector, X, most=4)
    >>> display.nats.shape
    (4, 8, 8)
    """

    shades: Shades
    images: Rows
    expected: Rows
    nats: Rows
    names: list[str]

    size = (8.0, 3.8)

    @classmethod
    def from_estimator(
        cls, estimator: AnomalyDetector, X: Data, *, most: int = 8, ax: Axes | None = None
    ) -> Self:
        """Draw the images with the highest scores.

        Parameters
        ----------
        estimator : AnomalyDetector
        X : images
        most : int, default 8
            How many at most; twelve where it is more.
        ax : matplotlib Axes, default None

        Raises
        ------
        SettingError
            If the estimator is another.
        DataError
            If it was not fitted on images.
        """
        check_type(cls, estimator, AnomalyDetector)
        scorer = estimator.model_
        if not isinstance(scorer, RowScorer) or not isinstance(scorer.kind, Images):
            raise DataError(
                "Only images have maps: AnomalyScoreDisplay shows the scores of other rows."
            )
        source, most = read(X, "test", kind=scorer.kind), positive_integer("most", most)
        scores = -estimator.score_samples(source.data)
        odd = OddRows.of(estimator, scorer.kind, source, scores)
        maps = estimator.anomaly_maps(odd.data[:most])
        images, expected = (scorer.kind.rows(x) for x in (odd.data[:most], maps.expected))
        shades = Shades.of(scorer.kind, images)
        return cls(shades, images, expected, maps.nats, odd.names[:most]).plot(ax)

    def _draw(self, ax: Axes) -> None:
        lines = {
            "image": [self.shades.bytes(row) for row in self.images],
            "expected": [self.shades.bytes(row) for row in self.expected],
            "odd": [heat(nats) for nats in self.nats],
        }
        for cell, name in zip(picture_grid(ax, lines)[0], self.names, strict=True):
            cell.set_title(shortened(name, MOST_LETTERS), fontsize="small")


@dataclass(eq=False)
class ReliabilityDisplay(Plot):
    """The share of correct predictions beside their probability: a reliability diagram.

    Rows are divided by the probability of their most likely class into bins of equal width. Where
    probabilities are calibrated, points are on the diagonal. The expected calibration error is

        ECE = sum over bins  n_b / n  |accuracy_b - confidence_b|

    Parameters
    ----------
    confidence, accuracy : array (bins,)
        The mean probability of the most likely class, and the share that is right, of bins that
        have rows.
    counts : int array (bins,)

    Examples
    --------
    >>> import attar
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> few = np.where(np.arange(150) % 10 == 0, y, -1)
    >>> classifier = attar.Classifier(epochs=5, random_state=0).fit(X, few)
    >>> display = attar.plotting.ReliabilityDisplay.from_estimator(classifier, X, y)
    >>> int(display.counts.sum()), display.calibration_error < 0.2
    (150, True)

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    counts: NDArray[np.intp]

    @classmethod
    def from_estimator(
        cls,
        estimator: Classifier,
        X: Data,
        y: ArrayLike,
        *,
        bins: int = 10,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the reliability of a classifier on rows that it was not fitted on.

        Parameters
        ----------
        estimator : Classifier
        X : table, array, ...
        y : array (n,)
            The labels.
        bins : int, default 10
        ax : matplotlib Axes, default None

        Raises
        ------
        SettingError
            If the estimator is another.
        DataError
            If X is not of the form that was fitted.
        """
        check_type(cls, estimator, Classifier)
        probabilities = estimator.predict_proba(X)
        right = estimator.classes_[probabilities.argmax(1)] == np.asarray(y)
        return cls.from_predictions(right, probabilities.max(1), bins=bins, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        right: ArrayLike,
        confidence: ArrayLike,
        *,
        bins: int = 10,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the reliability of predictions.

        Parameters
        ----------
        right : bool array (n,)
            Whether each is correct.
        confidence : array (n,)
            Its probability.
        bins : int, default 10
        ax : matplotlib Axes, default None

        Raises
        ------
        DataError
            If there is not one probability for each prediction, or no prediction.
        """
        correct, known = np.asarray(right, bool), np.asarray(confidence, np.float64)
        if correct.shape != known.shape or known.ndim != 1 or not len(known):
            raise DataError(
                f"{correct.shape} predictions have {known.shape} probabilities: give one for each."
            )
        bins = positive_integer("bins", bins)
        place = np.minimum((known * bins).astype(np.intp), bins - 1)
        counts = np.bincount(place, minlength=bins)
        used = counts > 0
        mean, share = (np.bincount(place, x, bins)[used] / counts[used] for x in (known, correct))
        return cls(mean, share, counts[used]).plot(ax)

    @property
    def calibration_error(self) -> float:
        """The expected calibration error."""
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.counts))

    def _draw(self, ax: Axes) -> None:
        ax.plot([0, 1], [0, 1], "0.6", linestyle="dashed", label="calibrated")
        share = self.counts / self.counts.sum()
        ax.plot(self.confidence, self.accuracy, "C0")
        label = f"calibration error {self.calibration_error:.3f}"
        ax.scatter(self.confidence, self.accuracy, 20 + 300 * share, "C0", label=label)
        low = max(0.0, float(min(self.confidence.min(), self.accuracy.min())) - 0.05)
        ax.set(xlabel="probability of the prediction", ylabel="share that is correct")
        ax.set(xlim=(low, 1.03), ylim=(low, 1.03))
        ax.legend(loc="upper left", frameon=False, markerscale=0.5)
