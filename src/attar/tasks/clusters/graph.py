"""The graph of nearest neighbours: exact distances, affinities, density."""

from __future__ import annotations

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
class NeighbourGraph:
    """Different points, each joined to its nearest neighbours.

    The affinity of points i and j is exp(-|xᵢ - xⱼ|² / σᵢσⱼ), where σ is the distance to the
    seventh neighbour, and the mean of both directions.

    Attributes
    ----------
    points : Tensor (m, d)
        In single precision.
    distances : array (m, k)
        To the nearest others, ascending.
    places : int array (m, k)

    References
    ----------
    Zelnik-Manor and Perona, "Self-tuning spectral clustering", NeurIPS 2004.
    """

    points: Tensor
    distances: Array
    places: Indices

    @classmethod
    def of(cls, points: Tensor, neighbours: int = NEIGHBOURS) -> Self:
        """Return the graph of points (m, d), which are different."""
        k = min(neighbours, len(points) - 1)
        distances, places = nearest(points, points, k + 1)
        # A point itself is the first of its neighbours, as no other is at the distance 0.
        return cls(points, distances[:, 1:], places[:, 1:])

    @cached_property
    def scales(self) -> Array:
        """σ of each point: (m,)."""
        return scales(self.distances)

    @cached_property
    def affinity(self) -> sparse.csr_array:
        """The symmetric matrix of affinities: (m, m)."""
        own = affinities(self.distances, self.scales, self.scales[self.places])
        m, k = own.shape
        starts = np.arange(0, m * k + 1, k)
        directed = sparse.csr_array((own.ravel(), self.places.ravel(), starts), (m, m))
        return sparse.csr_array((directed + directed.T) / 2)

    @cached_property
    def log_density(self) -> Array:
        """The logarithm of the density at each point, but for a constant: (m,).

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


def affinities(distances: Array, own: Array, of_neighbours: Array) -> Array:
    """Return exp(-r² / σᵢσⱼ) of distances (n, k), scales (n,) and those of neighbours (n, k)."""
    return np.exp(-(distances**2) / (own[:, None] * of_neighbours))
