"""Nearest neighbours of points: exact distances, affinities, their graph, and its density."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

# The neighbours of each point, and the one whose distance is the scale of a point's affinities.
NEIGHBOURS, SCALE = 15, 7

# So many distances are held at once.
AT_ONCE = 1 << 25


def nearest(points: Tensor, among: Tensor, k: int) -> tuple[Array, Indices]:
    """Return the distances (n, k) to the k nearest points, ascending, and which these are.

    Squared distances are |x|² - 2xᵀy + |y|², in single precision; those of the points that are
    found are computed again from the differences.

    Parameters
    ----------
    points : Tensor (n, d)
    among : Tensor (m, d)
        In single precision both.
    k : int

    Examples
    --------
    >>> distances, places = nearest(torch.tensor([[0.0]]), torch.tensor([[3.0], [1.0]]), 2)
    >>> distances.tolist(), places.tolist()
    ([[1.0, 3.0]], [[1, 0]])
    """
    centre = among.mean(0)
    points, among = points - centre, among - centre
    norms, found = among.square().sum(1), []
    for part in torch.split(points, max(1, AT_ONCE // len(among))):
        squared = torch.addmm(norms, part, among.mT, alpha=-2)
        places = squared.topk(k, largest=False, sorted=False).indices
        exact = (part[:, None] - among[places]).double().square().sum(2)
        exact, order = exact.sort(dim=1, stable=True)
        found.append((exact.sqrt(), places.gather(1, order)))
    distances, places = (torch.cat(parts) for parts in zip(*found, strict=True))
    return distances.numpy(), places.numpy()


@dataclass(frozen=True)
class Landmarks:
    """Points among which others find their nearest ones, and what these say of them.

    The affinity of points i and j is exp(-|xᵢ - xⱼ|² / σᵢσⱼ), where σ is the distance to the
    seventh neighbour.

    Attributes
    ----------
    points : Tensor (m, d)
        In single precision.
    scales : array (m,)
        σ, above 0.

    Examples
    --------
    >>> line = Landmarks(torch.tensor([[0.0], [1.0]]), np.ones(2))
    >>> line.weights(torch.tensor([[0.5], [1.0]])).toarray().round(3).tolist()
    [[0.5, 0.5], [0.212, 0.788]]

    References
    ----------
    Zelnik-Manor and Perona, "Self-tuning spectral clustering", NeurIPS 2004.
    """

    points: Tensor
    scales: Array

    @classmethod
    def none(cls, dimensions: int) -> Self:
        """Return no landmarks, in a space of so many dimensions."""
        return cls(torch.zeros(0, dimensions), np.zeros(0))

    def weights(self, points: Tensor) -> sparse.csr_array:
        """Return the shares of the 15 nearest landmarks in the affinities of points: (n, m).

        Times values of landmarks they are means of these, weighted by affinities. Of a point that
        is a landmark, this one counts as much as the others together.
        """
        if not len(self.points):
            return sparse.csr_array((len(points), 0))
        distances, places = nearest(points, self.points, min(NEIGHBOURS, len(self.points)))
        own = np.maximum(scales(distances), self.scales.min())
        exponents = distances**2 / (own[:, None] * self.scales[places])
        # Far from all landmarks affinities are 0 in floating point, but not relative to each other.
        weights = np.exp(exponents.min(1, keepdims=True) - exponents)
        weights[:, 0] = np.where(distances[:, 0] == 0, weights.sum(1), weights[:, 0])
        return _rows_of(weights / weights.sum(1, keepdims=True), places, len(self.points))

    def tensors(self) -> dict[str, Tensor]:
        """Return what :meth:`restored` needs."""
        return {"points": self.points, "scales": torch.from_numpy(self.scales)}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the landmarks of :meth:`tensors`."""
        return cls(tensors["points"], tensors["scales"].numpy())


@dataclass(frozen=True)
class NeighbourGraph:
    """Points, each joined to its nearest neighbours.

    Attributes
    ----------
    points : Tensor (m, d)
        In single precision.
    distances : array (m, k)
        To the nearest others, ascending.
    places : int array (m, k)
    """

    points: Tensor
    distances: Array
    places: Indices

    @classmethod
    def of(cls, points: Tensor, neighbours: int = NEIGHBOURS) -> Self:
        """Return the graph of at least two points (m, d)."""
        k = min(neighbours, len(points) - 1)
        distances, places = nearest(points, points, k + 1)
        # A point is the nearest to itself, but for others that are equal to it.
        own = places == np.arange(len(points))[:, None]
        own[~own.any(1), -1] = True
        return cls(points, *(x[~own].reshape(len(points), k) for x in (distances, places)))

    @cached_property
    def landmarks(self) -> Landmarks:
        """The points, and σ of each; none is 0, also where points are equal."""
        found = scales(self.distances)
        least = found[found > 0].min() if found.any() else 1.0
        return Landmarks(self.points, np.maximum(found, least))

    @cached_property
    def affinity(self) -> sparse.csr_array:
        """The symmetric matrix (m, m) of affinities, the mean of both directions."""
        own = self.landmarks.scales
        weights = np.exp(-(self.distances**2) / (own[:, None] * own[self.places]))
        directed = _rows_of(weights, self.places, len(own))
        return sparse.csr_array((directed + directed.T) / 2)

    @cached_property
    def log_density(self) -> Array:
        """The logarithm of the density at each of different points, but for a constant: (m,).

        It is -d log r, where r is the distance to the last neighbour, and d the dimension of the
        data by maximum likelihood; that the points are a sample makes an error of 1 / √k.

        References
        ----------
        Levina and Bickel, "Maximum likelihood estimation of intrinsic dimension", NeurIPS 2004.
        """
        last = self.distances[:, -1]
        logs = np.log(last[:, None] / self.distances[:, :-1]).sum(1)
        dimension = max(self.distances.shape[1] - 2, 1) / max(float(logs.mean()), 1e-9)
        return np.asarray(-dimension * np.log(last))


def scales(distances: Array) -> Array:
    """Return the scale of affinities of points with these distances (n, k): (n,)."""
    return distances[:, min(SCALE, distances.shape[1]) - 1]


def _rows_of(weights: Array, places: Indices, columns: int) -> sparse.csr_array:
    """Return the sparse matrix (n, columns) with weights (n, k) at some places of each row."""
    starts = np.arange(0, weights.size + 1, weights.shape[1])
    return sparse.csr_array((weights.ravel(), places.ravel(), starts), (len(weights), columns))
