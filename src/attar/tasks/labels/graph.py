"""The graph of nearest neighbours: what labels say of the rows around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

Array = NDArray[np.float64]

# A row is joined with so many others, each of which gets so much of what is known of the row.
NEAREST, SPREAD = 10, 0.98

# Of more features all distances are computed: no tree finds the nearest rows faster.
TREE = 8

# Up to so many labelled rows others help, of which the graph takes so many at most.
FEW, JOINED = 1000, 20_000

# Conjugate gradients stop at this residual, relative to the right side, or after so many steps.
TOLERANCE, STEPS = 1e-5, 200


@dataclass(frozen=True)
class Graph:
    """Rows joined with their nearest neighbours, with weights that decrease with the distance.

    ::

        W_ij = exp(-|x_i - x_j|² / (s_i s_j)),    S = D^(-1/2) W D^(-1/2),    K = (I - a S)^(-1)

    where s_i is the distance from x_i to its farthest neighbour (Zelnik-Manor and Perona, 2004),
    and D the diagonal matrix of the sums of W. The columns of K are labels spread over the graph
    (Zhou et al., 2004), and K is a kernel: rows are alike where many paths of near rows join them.

    Attributes
    ----------
    rows : array (n, d)
    scales : array (n,)
        s_i.
    links : sparse array (n, n) or None
        S; None in a graph that was read from a file.

    References
    ----------
    Zhou et al., "Learning with local and global consistency", NIPS 2004. Zelnik-Manor and Perona,
    "Self-tuning spectral clustering", NIPS 2004. Zhu, Lafferty and Ghahramani, "Semi-supervised
    learning: from Gaussian fields to Gaussian processes", CMU-CS-03-175, 2003.
    """

    rows: Array
    scales: Array
    links: sparse.csr_array | None = field(default=None, repr=False)

    @classmethod
    def of(cls, rows: Array) -> Self:
        """Return the graph of at least two rows."""
        found = cls(rows, np.ones(len(rows)))
        nearest = min(NEAREST, len(rows) - 1)
        # Each row is the nearest to itself, unless there is another like it.
        distances, places = found._search.kneighbors(rows, nearest + 1)
        own = places == np.arange(len(rows))[:, None]
        own[~own.any(1), -1] = True
        distances, places = (x[~own].reshape(len(rows), nearest) for x in (distances, places))
        scales = np.maximum(distances[:, -1], np.finfo(np.float32).tiny)
        weights = np.exp(-(distances**2) / (scales[:, None] * scales[places]))
        starts = np.arange(len(rows) + 1) * nearest
        one_way = sparse.csr_array((weights.ravel(), places.ravel(), starts), (len(rows),) * 2)
        both = one_way.maximum(one_way.T).tocsr()
        root = sparse.diags_array(1 / np.sqrt(both.sum(1)))
        return cls(rows, scales, (root @ both @ root).tocsr())

    def spread(self, values: Array) -> Array:
        """Return K times values (n, m), by conjugate gradients."""
        assert self.links is not None
        residuals, found = values.copy(), np.zeros_like(values)
        directions, before = residuals.copy(), (residuals**2).sum(0)
        enough = TOLERANCE**2 * before
        for _ in range(STEPS):
            if (before <= enough).all():
                break
            image = directions - SPREAD * (self.links @ directions)
            steps = before / np.maximum((directions * image).sum(0), np.finfo(float).tiny)
            found += steps * directions
            residuals -= steps * image
            after = (residuals**2).sum(0)
            directions = residuals + after / np.maximum(before, np.finfo(float).tiny) * directions
            before = after
        return found

    def interpolated(self, values: Array, rows: Array) -> Array:
        """Return for other rows (m, d) the weighted mean of values (n, c) of their neighbours."""
        distances, places = self._search.kneighbors(rows, min(NEAREST, len(self.rows)))
        own = np.maximum(distances[:, -1:], np.finfo(np.float32).tiny)
        exponents = distances**2 / (own * self.scales[places])
        weights = np.exp(exponents.min(1, keepdims=True) - exponents)
        weights /= weights.sum(1, keepdims=True)
        return np.asarray(np.einsum("mk,mkc->mc", weights, values[places]))

    def tensors(self) -> dict[str, Tensor]:
        """Return what :meth:`restored` needs."""
        return {"rows": torch.from_numpy(self.rows), "scales": torch.from_numpy(self.scales)}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the graph that :meth:`tensors` described, to interpolate in."""
        return cls(tensors["rows"].numpy(), tensors["scales"].numpy())

    @cached_property
    def _search(self) -> NearestNeighbors:
        algorithm = "kd_tree" if self.rows.shape[1] <= TREE else "brute"
        return NearestNeighbors(algorithm=algorithm).fit(self.rows)


@dataclass(frozen=True)
class LabelledGraph:
    """The graph of labelled rows, which come first, and of others.

    Attributes
    ----------
    graph : Graph
    near : array (m, m)
        K between labelled rows.
    """

    graph: Graph
    near: Array

    @classmethod
    def of(cls, features: Array, labelled: NDArray[np.intp], seed: int) -> Self | None:
        """Return the graph; None where nearly all is labelled, or there are no others."""
        others = np.setdiff1d(np.arange(len(features)), labelled)
        if len(labelled) > FEW or not len(others):
            return None
        some = np.random.default_rng(seed).permutation(others)[: JOINED - len(labelled)]
        graph = Graph.of(features[np.concatenate([labelled, np.sort(some)])])
        return cls(graph, graph.spread(np.eye(len(graph.rows), len(labelled)))[: len(labelled)])

    def spread(self, values: Array) -> Array:
        """Return K times values (m, c) of labelled rows, at all rows of the graph: (n, c)."""
        sources = np.zeros((len(self.graph.rows), values.shape[1]))
        sources[: len(values)] = values
        return self.graph.spread(sources)
