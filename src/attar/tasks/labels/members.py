"""Members of a head: each predicts targets from features, and has held-out predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import log_softmax
from sklearn.ensemble import RandomForestRegressor
from torch import Tensor

from attar.tasks.labels.graph import LabelledGraph
from attar.tasks.neighbours import Array, Indices

# Parts of cross-validation.
PARTS = 5

# Logistic regression: penalties of weights, of which one is chosen on so many rows at most.
PENALTIES, COMPARED = tuple(10.0**k for k in np.arange(-2, 3.1, 0.5)), 2000

# A forest has so many trees, each of so many rows at most, and leaves of two rows at least.
TREES, GROWN_ON, LEAF = 200, 10_000, 2


def dealt(targets: Array, seed: int) -> Indices:
    """Return the part of cross-validation of each row: those of a class are dealt out in turn."""
    order = np.random.default_rng(seed).permutation(len(targets))
    parts = np.empty(len(targets), np.intp)
    of_class = order[np.argsort(targets[order].argmax(1), kind="stable")]
    parts[of_class] = np.arange(len(targets)) % PARTS
    return parts


class HeadMember(ABC):
    """A model that predicts targets (c,) from features (d,)."""

    @classmethod
    @abstractmethod
    def fit(
        cls,
        features: Array,
        labelled: Indices,
        targets: Array,
        graph: LabelledGraph | None,
        seed: int,
    ) -> tuple[Self, Array]:
        """Return the model, and what it predicts of each labelled row without its own label.

        Parameters
        ----------
        features : array (n, d)
            Of all rows, standardized.
        labelled : int array (m,)
            The places of labelled rows among them.
        targets : array (m, c)
            Numbers, or indicators of classes.
        graph : LabelledGraph or None
            None where others are not needed.
        seed : int
        """

    @abstractmethod
    def predict(self, features: Array, near: csr_array) -> Array:
        """Return predictions of rows.

        Parameters
        ----------
        features : array (m, d)
        near : sparse array (m, n)
            The weights of the rows of the graph.

        Returns
        -------
        array (m, c)
        """

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Return the numbers that :meth:`restored` needs."""

    @classmethod
    @abstractmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the model of :meth:`tensors`."""


@dataclass(frozen=True)
class Propagation(HeadMember):
    """Label propagation: labels spread over the graph of all rows, as shares of each row.

    Each class is divided by all that is spread of it, so that none wins by being frequent.

    Attributes
    ----------
    shares : array (n, c)
        Of the rows of the graph. Without one, where nearly all is labelled, shares are equal.

    References
    ----------
    Zhou et al., "Learning with local and global consistency", NIPS 2004. Zhu, Ghahramani and
    Lafferty, "Semi-supervised learning using Gaussian fields and harmonic functions", ICML 2003.
    """

    shares: Array

    @classmethod
    def fit(
        cls,
        features: Array,
        labelled: Indices,
        targets: Array,
        graph: LabelledGraph | None,
        seed: int,
    ) -> tuple[Self, Array]:
        """Return the shares of rows, and those of each part of labelled ones by the others."""
        if graph is None:
            return cls(targets[:0]), _shares(np.zeros_like(targets))
        parts, held_out = dealt(targets, seed), np.empty_like(targets)
        known = [np.where(parts[:, None] == part, 0, targets) for part in range(PARTS)]
        spread = np.split(graph.spread(np.concatenate([targets, *known], 1)), PARTS + 1, axis=1)
        for part, found in enumerate(spread[1:]):
            inside = np.flatnonzero(parts == part)
            held_out[inside] = _of_each(found)[inside]
        return cls(_of_each(spread[0])), held_out

    def predict(self, features: Array, near: csr_array) -> Array:
        """Return the mean shares of near rows of the graph."""
        return _shares(near @ self.shares)

    def tensors(self) -> dict[str, Tensor]:
        """Return the shares."""
        return {"shares": torch.from_numpy(self.shares)}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the propagation of :meth:`tensors`."""
        return cls(tensors["shares"].numpy())


def _of_each(spread: Array) -> Array:
    """Return the shares of classes, each divided by all that is spread of it."""
    return _shares(spread / np.maximum(spread.sum(0), np.finfo(np.float64).tiny))


def _shares(spread: Array) -> Array:
    """Return shares of classes that add up to 1, equal ones where no label reaches a row."""
    spread = np.maximum(spread, 0)
    total = spread.sum(1, keepdims=True)
    equal = np.full_like(spread, 1 / spread.shape[1])
    return np.asarray(np.divide(spread, total, out=equal, where=total > 0))


@dataclass(frozen=True)
class Logistic(HeadMember):
    """Multinomial logistic regression, log p = log softmax(W x + b), with a penalty on W².

    Attributes
    ----------
    weights : array (d + 1, c)
        W, and b last.
    """

    weights: Array

    @classmethod
    def fit(
        cls,
        features: Array,
        labelled: Indices,
        targets: Array,
        graph: LabelledGraph | None,
        seed: int,
    ) -> tuple[Self, Array]:
        """Return the regression of the best penalty in cross-validation, and its predictions."""
        known = features[labelled]
        parts = dealt(targets, seed)
        some = np.random.default_rng(seed).permutation(len(known))[:COMPARED]
        losses, path = [], [np.zeros((features.shape[1] + 1, targets.shape[1]))] * PARTS
        for penalty in PENALTIES[::-1]:
            held_out, path = _held_out(known[some], targets[some], parts[some], penalty, path)
            losses.append(-(held_out * targets[some]).sum())
        best = PENALTIES[::-1][int(np.argmin(losses))]
        held_out, _ = _held_out(known, targets, parts, best, path)
        return cls(_logistic(known, targets, best, path[0])), held_out

    def predict(self, features: Array, near: csr_array) -> Array:
        """Return log p of each class."""
        return _log_shares(features, self.weights)

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights."""
        return {"weights": torch.from_numpy(self.weights)}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the regression of :meth:`tensors`."""
        return cls(tensors["weights"].numpy())


def _log_shares(features: Array, weights: Array) -> Array:
    return np.asarray(log_softmax(features @ weights[:-1] + weights[-1], axis=1))


def _held_out(
    features: Array, targets: Array, parts: Indices, penalty: float, start: list[Array]
) -> tuple[Array, list[Array]]:
    """Return log p of rows, each part by a regression on the others, and their weights."""
    found, path = np.empty_like(targets), []
    for part in range(PARTS):
        inside = parts == part
        weights = _logistic(features[~inside], targets[~inside], penalty, start[part])
        found[inside] = _log_shares(features[inside], weights)
        path.append(weights)
    return found, path


def _logistic(features: Array, targets: Array, penalty: float, start: Array) -> Array:
    """Return the weights of the least log-loss, summed over rows, and penalty |W|² / 2."""
    shrunk = np.full(start.shape, penalty)
    shrunk[-1] = 1e-2  # a class that a part lacks has no finite intercept

    def loss(values: Array) -> tuple[float, Array]:
        weights = values.reshape(start.shape)
        logs = _log_shares(features, weights)
        errors = np.exp(logs) * targets.sum(1, keepdims=True) - targets
        slope = np.concatenate([features.T @ errors, errors.sum(0, keepdims=True)])
        total = -(targets * logs).sum() + (shrunk * weights**2).sum() / 2
        return float(total), (slope + shrunk * weights).ravel()

    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(found.x.reshape(start.shape))


@dataclass(frozen=True)
class Forest(HeadMember):
    """A random forest, as arrays of its nodes: the children of a node come after it.

    Attributes
    ----------
    roots : int array (trees,)
    children : int array (nodes, 2)
        The left and the right one; a leaf is its own.
    columns : int array (nodes,)
        The feature that is compared.
    thresholds : float array (nodes,)
        Rows of at most this value go left.
    values : array (nodes, c)
        The mean targets.

    References
    ----------
    Breiman, "Random forests", Machine Learning 45, 2001.
    """

    roots: Indices
    children: Indices
    columns: Indices
    thresholds: Array
    values: Array

    @classmethod
    def fit(
        cls,
        features: Array,
        labelled: Indices,
        targets: Array,
        graph: LabelledGraph | None,
        seed: int,
    ) -> tuple[Self, Array]:
        """Return the forest, and means of the trees that were grown without a row.

        Of indicators of classes, the squared error of a split is its Gini impurity.
        """
        grown = RandomForestRegressor(
            TREES,
            min_samples_leaf=min(LEAF, max(1, len(labelled) // 4)),
            max_features="sqrt",
            max_samples=min(len(labelled), GROWN_ON),
            random_state=seed,
        ).fit(features[labelled], targets if targets.shape[1] > 1 else targets[:, 0])
        start, parts = 0, []
        total, count = np.zeros_like(targets), np.zeros((len(targets), 1))
        for tree, sample in zip(grown.estimators_, grown.estimators_samples_, strict=True):
            nodes, places = tree.tree_, np.arange(tree.tree_.node_count)
            pair = np.stack([nodes.children_left, nodes.children_right], 1)
            pair = np.where(pair < 0, places[:, None], pair) + start
            values = nodes.value.reshape(len(places), -1)
            parts.append((pair, np.maximum(nodes.feature, 0), nodes.threshold, values))
            start += len(places)
            out = np.setdiff1d(np.arange(len(targets)), sample)
            if len(out):
                total[out] += values[tree.apply(features[labelled[out]])]
                count[out] += 1
        sizes = [len(pair) for pair, *_ in parts]
        children, columns, thresholds, values = map(np.concatenate, zip(*parts, strict=True))
        roots = np.cumsum([0, *sizes[:-1]])
        found = cls(roots, children, columns.astype(np.intp), thresholds, values)
        mean = targets.mean(0)
        return found, np.where(count > 0, total / np.maximum(count, 1), mean)

    def predict(self, features: Array, near: csr_array) -> Array:
        """Return the mean of the leaves that rows are in."""
        # Trees were grown on features in single precision.
        rows, total = features.astype(np.float32), np.zeros((len(features), self.values.shape[1]))
        every = np.arange(len(rows))
        for root in self.roots:
            at = np.full(len(rows), root)
            while True:
                right = rows[every, self.columns[at]] > self.thresholds[at]
                after = self.children[at, right.astype(np.intp)]
                if (after == at).all():
                    break
                at = after
            total += self.values[at]
        return total / len(self.roots)

    def tensors(self) -> dict[str, Tensor]:
        """Return the nodes."""
        names = ("roots", "children", "columns", "thresholds", "values")
        return {name: torch.from_numpy(getattr(self, name)) for name in names}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the forest of :meth:`tensors`."""
        return cls(**{name: tensor.numpy() for name, tensor in tensors.items()})
