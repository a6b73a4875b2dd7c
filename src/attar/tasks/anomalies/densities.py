"""How odd rows of numbers are: the distance to their neighbours, and Gaussian mixtures."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from attar.storage import nested, unnested
from attar.tasks.anomalies.calibration import own_surprise, surprise
from attar.tasks.anomalies.principal import Principal

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Rows within this distance are one row twice.
SAME = 1e-6

# More features than these are described by their principal components, and what these leave.
WIDE = 64

# The mean distance to so many neighbours, of a list that is searched once: also of rows not kept.
NEAREST, SEARCHED = 5, 16

# The order in which rows are left out is by the mean distance to so many.
FARTHER = 50

# Of more features, all distances are computed: no tree finds the nearest rows faster.
TREE = 8

# Mixtures of so many components, fitted in so many parts of the rows and steps.
COMPONENTS, FOLDS, STEPS = (5, 20), 3, 10

# What is added to variances of standardized features.
RIDGE = 1e-2

# So many rows are scored, or explained, at once: neighbours and what components say take memory.
AT_ONCE, EXPLAINED = 1 << 14, 1 << 12

# So many rows say what is usual of columns given the others.
USUAL = 1000

# The shares of the oddest rows that are left out in turn.
TRIMS = (0.0, 0.05, 0.2)


class Neighbours:
    """The mean distance of rows to the nearest rows of the fit that are kept.

    A row of the fit is no neighbour of itself.

    Parameters
    ----------
    rows : array (n, features)
    searched : int
        How many neighbours of a row are found at once.
    """

    def __init__(self, rows: Array, searched: int = SEARCHED) -> None:
        self.rows = rows
        self._search = NearestNeighbors(
            n_neighbors=min(searched + 1, len(rows)),
            algorithm="kd_tree" if rows.shape[1] <= TREE else "brute",
        ).fit(rows)

    def near(self, rows: Array) -> tuple[Array, NDArray[np.intp]]:
        """Return distances to, and places of, the nearest rows: (n, searched)."""
        distances, places = self._search.kneighbors(rows)
        distances[distances <= SAME * (1 + np.linalg.norm(rows, axis=1, keepdims=True))] = 0
        shift = (distances[:, :1] == 0) + np.arange(distances.shape[1] - 1)
        at = np.arange(len(rows))[:, None]
        return np.asarray(distances[at, shift]), np.asarray(places[at, shift])

    def distance(
        self, rows: Array, near: tuple[Array, NDArray[np.intp]], kept: Mask, nearest: int = NEAREST
    ) -> Array:
        """Return the mean distance to the nearest kept rows."""
        distances, places = near
        nearest = max(1, min(nearest, int(kept.sum()) - 1, distances.shape[1]))
        if kept.all():
            return np.asarray(distances[:, :nearest].mean(1))
        among = kept[places]
        rank = among.cumsum(1)
        total = (distances * (among & (rank <= nearest))).sum(1) / nearest
        few = np.flatnonzero(rank[:, -1] < nearest)
        if len(few):  # rows that are not kept fill the list
            total[few] = Neighbours(self.rows[kept], nearest).near(rows[few])[0].mean(1)
        return np.asarray(total)


@dataclass(frozen=True)
class Standardized:
    """Features in units of their standard deviation among some rows; many as principal components.

    Attributes
    ----------
    mean, scale : array (features,)
    components : array (features, WIDE) or None
    variances : array (WIDE,)
        Of the components.
    rest : float
        The mean variance of what the components leave.
    """

    mean: Array
    scale: Array
    components: Array | None
    variances: Array
    rest: float

    @classmethod
    def of(cls, rows: Array, one_unit: bool) -> Self:
        """Return those of some rows, whose features may share one unit."""
        mean, scale = rows.mean(0), rows.std(0)
        usual = np.sqrt(np.mean(scale**2)) or 1.0
        scale = np.full_like(scale, usual) if one_unit else np.where(scale > 1e-9, scale, usual)
        if rows.shape[1] <= WIDE:
            return cls(mean, scale, None, np.zeros(0), 1.0)
        x = (rows - mean) / scale
        values, vectors = np.linalg.eigh(x.T @ x / len(x))
        components, variances = vectors[:, : -WIDE - 1 : -1], values[: -WIDE - 1 : -1].copy()
        return cls(mean, scale, components, variances, values[:-WIDE].mean() + RIDGE)

    def tensors(self) -> dict[str, Tensor]:
        """Return all that :meth:`restored` needs."""
        found = {"mean": self.mean, "scale": self.scale, "rest": np.array(self.rest)}
        if self.components is not None:
            found["components"] = np.ascontiguousarray(self.components)
            found["variances"] = self.variances
        return {name: torch.from_numpy(array) for name, array in found.items()}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return what :meth:`tensors` described."""
        mean, scale, rest = tensors["mean"].numpy(), tensors["scale"].numpy(), tensors["rest"]
        if "components" not in tensors:
            return cls(mean, scale, None, np.zeros(0), float(rest))
        components, variances = tensors["components"].numpy(), tensors["variances"].numpy()
        return cls(mean, scale, components, variances, float(rest))

    def __call__(self, rows: Array) -> tuple[Array, Array]:
        """Return features of rows, and minus the log-density of what these leave, to a constant."""
        x = (rows - self.mean) / self.scale
        if self.components is None:
            return x, np.zeros(len(x))
        codes = x @ self.components
        left = np.maximum((x**2).sum(1) - (codes**2).sum(1), 0)
        return codes, left / (2 * self.rest)


class Gaussians:
    """A Gaussian mixture with full covariances.

    Parameters
    ----------
    mixture : GaussianMixture
        Fitted.
    """

    def __init__(self, mixture: GaussianMixture) -> None:
        self.mixture = mixture

    @classmethod
    def fit(cls, rows: Array, components: int, seed: int) -> Self:
        """Return a mixture of so many components."""
        mixture = GaussianMixture(
            n_components=components,
            reg_covar=RIDGE,
            max_iter=STEPS,
            random_state=seed,
        )
        # Where arrays may be of any library, scikit-learn's own start is not available.
        with warnings.catch_warnings(), config_context(array_api_dispatch=False):
            warnings.simplefilter("ignore", ConvergenceWarning)
            return cls(mixture.fit(rows))

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the mixture of :meth:`tensors`."""
        mixture = GaussianMixture(len(tensors["weights"]))
        for name, tensor in tensors.items():
            setattr(mixture, f"{name}_", tensor.numpy())
        return cls(mixture)

    def tensors(self) -> dict[str, Tensor]:
        """Return weights, means and the roots of inverse covariances."""
        names = "weights", "means", "precisions_cholesky"
        return {name: torch.from_numpy(getattr(self.mixture, f"{name}_")) for name in names}

    def nats(self, rows: Array) -> Array:
        """Return minus the log-density."""
        return -np.asarray(self.mixture.score_samples(rows))

    def conditionals(self, rows: Array, blocks: list[slice]) -> tuple[Array, Array, Array]:
        """Return what the other features of a row say of each block of features.

        With K the inverse covariance of a component and δ = x - μ, a block b has, given the rest,
        the mean x_b - K_bb⁻¹ (K δ)_b and the covariance K_bb⁻¹. Components are weighted by what the
        other features say of them.

        Returns
        -------
        array (n, blocks)
            -log p(block | rest).
        array (n, features), array (n, features)
            The expected values, and their standard deviations.
        """
        mixture, n = self.mixture, len(rows)
        joint = mixture._estimate_weighted_log_prob(rows)
        nats = np.empty((len(blocks), n))
        expected, deviation = np.empty_like(rows), np.empty_like(rows)
        precisions = [root @ root.T for root in mixture.precisions_cholesky_]
        shifts = [
            (rows - mean) @ inverse
            for mean, inverse in zip(mixture.means_, precisions, strict=True)
        ]
        for i, block in enumerate(blocks):
            logs, means, variances = [], [], []
            for c, inverse in enumerate(precisions):
                own, shift = inverse[block, block], shifts[c][:, block]
                covariance = np.linalg.inv(own)
                missed = shift @ covariance
                _, determinant = np.linalg.slogdet(own)
                size = len(own) * np.log(2 * np.pi)
                logs.append(0.5 * (determinant - size - (missed * shift).sum(1)))
                means.append(rows[:, block] - missed)
                variances.append(np.diag(covariance))
            log = np.array(logs)
            weights = joint.T - log
            weights -= logsumexp(weights, 0)
            nats[i] = -logsumexp(weights + log, 0)
            share, mean = np.exp(weights)[..., None], np.array(means)
            expected[:, block] = (share * mean).sum(0)
            second = (share * (mean**2 + np.array(variances)[:, None])).sum(0)
            deviation[:, block] = np.sqrt(np.maximum(second - expected[:, block] ** 2, 1e-12))
        return nats.T, expected, deviation


@dataclass(frozen=True)
class Level:
    """What some of the rows, those that are kept, say of others.

    Attributes
    ----------
    kept : array of bool (n,)
    standardized : Standardized
    mixtures : list of list of Gaussians
        For each part of the rows, fitted on the others: one for each number of components.
    known : list of array (kept,)
        Scores of kept rows, which none was fitted on: distances, and -log p of each number of
        components.
    """

    kept: Mask
    standardized: Standardized
    mixtures: list[list[Gaussians]]
    known: list[Array]

    @classmethod
    def of(
        cls,
        x: Array,
        left: Array,
        kept: Mask,
        parts: NDArray[np.intp],
        standardized: Standardized,
        distances: Array,
        seed: int,
    ) -> tuple[Self, Array]:
        """Return what kept rows say, and -log p of all rows: (components, n).

        Parameters
        ----------
        x, left : array
            The standardized rows, and what their principal components leave.
        kept : array of bool (n,)
        parts : array of int (n,)
            The part of each row: it has no say in its own score.
        standardized : Standardized
        distances : array (n,)
        seed : int
        """
        nats, count, mixtures = np.zeros((len(COMPONENTS), len(x))), np.zeros(len(x)), []
        for part in range(FOLDS):
            own = kept & (parts != part)
            others = (parts == part) | ~kept
            count[others] += 1
            # One for each 20 rows, where these are few.
            numbers = [max(1, min(number, int(own.sum()) // 20)) for number in COMPONENTS]
            fitted = {c: Gaussians.fit(x[own], c, seed + part) for c in set(numbers)}
            said = {c: one.nats(x[others]) for c, one in fitted.items()}
            mixtures.append([fitted[c] for c in numbers])
            nats[:, others] += [said[c] for c in numbers]
        nats = nats / count + left
        known = [distances[kept], *(scores[kept] for scores in nats)]
        return cls(kept, standardized, mixtures, known), nats

    def tensors(self) -> dict[str, Tensor]:
        """Return all that :meth:`restored` needs."""
        own = {"kept": self.kept, "known": np.array(self.known)}
        found = {name: torch.from_numpy(array) for name, array in own.items()}
        found |= nested("standardized", self.standardized.tensors())
        for part, mixtures in enumerate(self.mixtures):
            for i, mixture in enumerate(mixtures):
                found |= nested(f"mixtures.{part}.{i}", mixture.tensors())
        return found

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the level of :meth:`tensors`."""
        mixtures = [
            [
                Gaussians.restored(unnested(f"mixtures.{part}.{i}", tensors))
                for i in range(len(COMPONENTS))
            ]
            for part in range(FOLDS)
        ]
        standardized = Standardized.restored(unnested("standardized", tensors))
        known = list(tensors["known"].numpy())
        return cls(tensors["kept"].numpy(), standardized, mixtures, known)

    def nats(self, rows: Array) -> list[Array]:
        """Return -log p of other rows: (n,) for each number of components."""
        x, left = self.standardized(rows)
        parts = zip(*self.mixtures, strict=True)
        return [left + np.mean([one.nats(x) for one in mixtures], axis=0) for mixtures in parts]

    def added(self, scores: list[Array]) -> Array:
        """Return the mean of calibrated scores."""
        pairs = zip(self.known, scores, strict=True)
        return np.asarray(np.mean([surprise(own, new) for own, new in pairs], axis=0))

    def own(self, scores: list[Array]) -> Array:
        """Return the mean of calibrated scores of the rows of the fit, none by itself."""
        found = self.added(scores)
        found[self.kept] = np.mean([own_surprise(known) for known in self.known], axis=0)
        return found

    def conditionals(self, rows: Array, columns: list[slice]) -> tuple[Array, Array, Array]:
        """Return -log p(column | rest) to a constant, expected values, and their deviations."""
        scale, mean = self.standardized.scale, self.standardized.mean
        components = self.standardized.components
        if components is not None:
            x, rest = (rows - mean) / scale, self.standardized.rest
            principal = Principal.of(components, self.standardized.variances, rest)
            shift, expected, deviation = principal.shift(x), x.copy(), np.empty_like(x)
            nats = np.empty((len(x), len(columns)))
            for i, at in enumerate(columns):
                missed, covariance = principal.missed(shift[:, at], at)
                nats[:, i] = (shift[:, at] * missed).sum(1) / 2
                expected[:, at] -= missed
                deviation[:, at] = np.sqrt(np.diag(covariance))
            return nats, expected * scale + mean, deviation * scale
        x, _ = self.standardized(rows)
        found = [m.conditionals(x, columns) for part in self.mixtures for m in part]
        nats, expected, deviation = (np.mean(each, axis=0) for each in zip(*found, strict=True))
        return nats, expected * scale + mean, deviation * scale


@dataclass(frozen=True)
class Explanation:
    """Which columns make rows odd, and what was expected there.

    Attributes
    ----------
    columns : array of int (n, most)
        The least likely first.
    nats : array (n, most)
        -log of the share of rows of the fit in which some column is as unlikely, as of a score.
    expected, deviation : array (n, features)
        The features of these columns, given all others.
    """

    columns: NDArray[np.intp]
    nats: Array
    expected: Array
    deviation: Array


@dataclass(frozen=True)
class Outlyingness:
    """How odd rows of numbers are, by neighbours and mixtures that add up.

    Both are fitted on all rows, and again without the oddest 5% and 20%, so that odd rows among
    those of the fit do not become usual ones. Each score becomes the logarithm of its tail
    probability among rows that it was not fitted on; the mean of these is the result.

    Attributes
    ----------
    rows : array (n, features)
        Those of the fit.
    middle, spread : array (features,)
        What rows are scaled by before distances are measured.
    levels : list of Level
    own : array (n,)
        How odd the rows of the fit are.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(300, 2))
    >>> found = Outlyingness.fit(rows).score(np.array([[0.0, 0.0], [6.0, -6.0]]))
    >>> bool(found[0] < 2 < found[1])
    True
    """

    rows: Array
    middle: Array
    spread: Array
    levels: list[Level]
    own: Array

    @classmethod
    def fit(cls, rows: Array, one_unit: bool = False, seed: int = 0) -> Self:
        """Return how odd rows are, by rows of which some may be odd.

        Parameters
        ----------
        rows : array (n, features)
        one_unit : bool
            Whether features share one unit, as pixels do.
        seed : int
        """
        middle, spread = np.median(rows, axis=0), spread_of(rows, one_unit)
        neighbours = Neighbours((rows - middle) / spread, FARTHER)
        near = neighbours.near(neighbours.rows)
        parts = np.random.default_rng(seed).permutation(len(rows)) % FOLDS
        levels, own, order = [], [], np.arange(len(rows))
        for trim in TRIMS:
            kept = np.zeros(len(rows), bool)
            kept[order[: max(2, round(len(rows) * (1 - trim)))]] = True
            distances = neighbours.distance(neighbours.rows, near, kept)
            standardized = Standardized.of(rows[kept], one_unit)
            level, nats = Level.of(*standardized(rows), kept, parts, standardized, distances, seed)
            levels.append(level)
            own.append(level.own([distances, *nats]))
            if not trim:
                far = neighbours.distance(neighbours.rows, near, kept, FARTHER)
                order = np.argsort(surprise(far, far) + surprise(nats[0], nats[0]))
        return cls(rows, middle, spread, levels, np.mean(own, axis=0))

    @cached_property
    def _neighbours(self) -> Neighbours:
        return Neighbours((self.rows - self.middle) / self.spread)

    def score(self, rows: Array) -> Array:
        """Return how odd rows are, in nats: (n,)."""
        starts = range(0, len(rows), AT_ONCE)
        return np.concatenate([self._score(rows[i : i + AT_ONCE]) for i in starts])

    def _score(self, rows: Array) -> Array:
        scaled = (rows - self.middle) / self.spread
        near, found = self._neighbours.near(scaled), []
        for level in self.levels:
            distances = self._neighbours.distance(scaled, near, level.kept)
            found.append(level.added([distances, *level.nats(rows)]))
        return np.asarray(np.mean(found, axis=0))

    def explain(self, rows: Array, columns: list[slice], most: int) -> Explanation:
        """Return which columns the other ones of each row make least likely.

        By the mixtures that were fitted without the oddest rows; of many features by their
        principal components and the noise that these leave. The least likely column is replaced by
        what was expected there before the next one is looked for, so that it makes no other one
        look odd.

        Parameters
        ----------
        rows : array (n, features)
        columns : list of slice
            The features of each column.
        most : int
            How many columns of each row are found.
        """
        step = -(-len(self.rows) // USUAL)
        known = self.levels[-1].conditionals(self.rows[::step], columns)[0]
        starts = range(0, len(rows), EXPLAINED)
        found = [self._explain(rows[i : i + EXPLAINED], columns, most, known) for i in starts]
        parts = zip(*(vars(part).values() for part in found), strict=True)
        return Explanation(*map(np.concatenate, parts))

    def _explain(self, rows: Array, columns: list[slice], most: int, known: Array) -> Explanation:
        level, usual, most = self.levels[-1], np.median(known, axis=0), min(most, len(columns))
        widths = [at.stop - at.start for at in columns]
        column_of, every = np.repeat(np.arange(len(columns)), widths), np.arange(len(rows))
        mended, found = rows.copy(), np.empty((len(rows), most), np.intp)
        for k in range(most):
            nats, expected, _ = level.conditionals(mended, columns)
            nats -= usual
            np.put_along_axis(nats, found[:, :k], -np.inf, 1)
            found[:, k] = nats.argmax(1)
            mended = np.where(column_of == found[:, k, None], expected, mended)
        chosen: Array = np.empty(found.shape)
        expected, deviation = mended, np.zeros(rows.shape)
        for k in range(most):
            own = column_of == found[:, k, None]
            nats, mean, spread = level.conditionals(np.where(own, rows, mended), columns)
            chosen[:, k] = (nats - usual)[every, found[:, k]]
            expected, deviation = np.where(own, mean, expected), np.where(own, spread, deviation)
        order, at = np.argsort(-chosen, axis=1), every[:, None]
        nats = surprise((known - usual).max(1), chosen[at, order])
        return Explanation(found[at, order], nats, expected, deviation)

    def tensors(self) -> dict[str, Tensor]:
        """Return all that :meth:`restored` needs."""
        own = {"rows": self.rows, "middle": self.middle, "spread": self.spread, "own": self.own}
        found = {name: torch.from_numpy(array) for name, array in own.items()}
        for i, level in enumerate(self.levels):
            found |= nested(f"levels.{i}", level.tensors())
        return found

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the outlyingness of :meth:`tensors`."""
        levels = [Level.restored(unnested(f"levels.{i}", tensors)) for i in range(len(TRIMS))]
        rows, middle, spread, own = (
            tensors[name].numpy() for name in ("rows", "middle", "spread", "own")
        )
        return cls(rows, middle, spread, levels, own)


def spread_of(rows: Array, one_unit: bool = False) -> Array:
    """Return the interquartile range of features, as that of a normal distribution of variance 1.

    Where it is 0, it is the standard deviation; features that share a unit have one.
    """
    deviation = rows.std(0)
    if one_unit:
        return np.full_like(deviation, np.sqrt(np.mean(deviation**2)) or 1.0)
    low, high = np.percentile(rows, [25, 75], axis=0)
    spread = (high - low) / np.diff(norm.ppf([0.25, 0.75]))
    return np.where(spread > 1e-9, spread, np.where(deviation > 1e-9, deviation, 1.0))
