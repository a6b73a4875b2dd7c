"""Partitions of a neighbour graph: modes of the density, eigenvectors, and the block model."""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from attar.tasks.neighbours import Array, Indices, NeighbourGraph

# Eigenvectors of so many points are those of a dense matrix.
FEW = 1000

# Clusters that are found at most where their number is not given.
MOST = 100

# How many times the noise of a sample peaks are above passes: moons, rings, and even and normal
# rows of many seeds have the right number of modes from here on.
MARGIN = 1.2

# Passes of the refinement of a partition.
PASSES = 50


def number_of_modes(graph: NeighbourGraph) -> int:
    """Return how many modes the density has: peaks that are not noise of a sample.

    The persistence of a peak is how much the logarithm of the density falls from it to the pass to
    a higher one, on paths in the graph. Noise reaches √(2 log m / k), the largest of m errors of
    1 / √k; a mode has 1.2 times as much. A part of the graph that is joined to no other has one
    mode at least.

    Examples
    --------
    >>> import torch
    >>> rows = np.random.default_rng(0).normal(size=(200, 2)) + [[0, 0], [9, 0]] * 100
    >>> number_of_modes(NeighbourGraph.of(torch.from_numpy(rows).float()))
    2

    References
    ----------
    Chazal, Guibas, Oudot and Skraba, "Persistence-based clustering in Riemannian manifolds",
    Journal of the ACM 60, 2013.
    """
    m, k = graph.distances.shape
    noise = MARGIN * np.sqrt(2 * np.log(m) / k)
    _, falls = basins(graph.affinity, graph.log_density)
    return min(int((falls > noise).sum()), MOST)


def basins(graph: sparse.csr_array, height: Array, least: float = np.inf) -> tuple[Indices, Array]:
    """Return the basins of the peaks of a function on a graph, and the persistences of all peaks.

    Parameters
    ----------
    graph : CSR matrix (m, m)
        Symmetric; its entries are the edges.
    height : array (m,)
    least : float
        A peak of less persistence is part of the next higher one.

    Returns
    -------
    basins : int array (m,)
    persistences : array (peaks,)
        In descending order; that of the highest peak of a connected component is infinite. They
        are those of all peaks where ``least`` is infinite.

    Examples
    --------
    >>> path = sparse.csr_array(sparse.diags_array([1.0] * 4, offsets=1, shape=(5, 5)))
    >>> height = np.array([3.0, 1.0, 2.0, 0.0, 5.0])
    >>> basins(path + path.T, height)[1].tolist()
    [inf, 3.0, 1.0]
    >>> basins(path + path.T, height, least=2.0)[0].tolist()
    [1, 1, 1, 0, 0]
    """
    order = np.argsort(-height, kind="stable")
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    # Points are numbered from the highest to the lowest; each leads to a higher one.
    above = [list[int]() for _ in order]
    rows, columns = (rank[places].tolist() for places in graph.nonzero())
    for row, column in zip(rows, columns, strict=True):
        if column < row:
            above[row].append(column)
    leads, falls, levels = list(range(len(order))), list[float](), height[order].tolist()
    for point, higher in enumerate(above):
        if not higher:
            continue
        peaks = sorted({_peak(leads, other) for other in higher})
        own = _peak(leads, min(higher))
        leads[point] = own
        for peak in peaks:
            low, high = max(_peak(leads, peak), own), min(_peak(leads, peak), own)
            if low == high:
                continue
            falls.append(levels[low] - levels[point])
            if falls[-1] < least:
                leads[low], own = high, high
    found = np.array([_peak(leads, point) for point in range(len(order))])
    highest = len(np.unique(found)) if least == np.inf else 0
    _, labels = np.unique(found[rank], return_inverse=True)
    return labels, np.array([np.inf] * highest + sorted(falls, reverse=True))


def _peak(leads: list[int], point: int) -> int:
    """Return the peak that a point leads to, and shorten the way there."""
    while leads[point] != point:
        leads[point] = leads[leads[point]]
        point = leads[point]
    return point


def spectral_embedding(affinity: sparse.csr_array, size: int, seed: int = 0) -> tuple[Array, Array]:
    """Return the smallest eigenvalues (size,) of a graph's Laplacian, and eigenvectors (m, size).

    The Laplacian is I - D^(-1/2) W D^(-1/2), normalized, with regularized affinities
    W = A + τ / m: τ is the mean degree of A, so that no few points are cheap to cut off.

    Examples
    --------
    >>> values, _ = spectral_embedding(sparse.csr_array(np.ones((4, 4))), 2)
    >>> values.round(6).tolist()
    [0.0, 1.0]

    References
    ----------
    Qin and Rohe, "Regularized spectral clustering under the degree-corrected stochastic
    blockmodel", NeurIPS 2013.
    """
    m, degrees = affinity.shape[0], affinity.sum(1)
    tau = degrees.mean()
    root = 1 / np.sqrt(degrees + tau)
    scaled = sparse.csr_array(affinity * root[:, None] * root)

    def product(x: Array) -> Array:
        return np.asarray(scaled @ x + tau / m * root * (root @ x))

    if m <= FEW:
        dense = scaled.toarray() + tau / m * np.outer(root, root)
        values, vectors = linalg.eigh(dense, subset_by_index=(m - size, m - 1))
    else:  # of equal eigenvalues Lanczos' iterations may find some only
        operator = LinearOperator((m, m), matvec=lambda x: product(x.ravel()), dtype=np.float64)
        start = np.random.default_rng(seed).normal(size=m)
        values, vectors = eigsh(operator, size, which="LA", v0=start, tol=1e-5)
    order = np.argsort(-values, kind="stable")
    return 1 - values[order], vectors[:, order]


def spectral_partition(affinity: sparse.csr_array, clusters: int, seed: int = 0) -> Indices:
    """Return a partition by the eigenvectors of the Laplacian: (m,).

    Rows of the eigenvectors are divided by their length; a pivoted QR decomposition finds a row
    for each cluster, and the rotation that brings these nearest to the axes gives the clusters.

    References
    ----------
    Ng, Jordan and Weiss, "On spectral clustering: analysis and an algorithm", NeurIPS 2001. Damle,
    Minden and Ying, "Simple, direct and efficient multi-way spectral clustering", Information and
    Inference 8, 2019.
    """
    _, vectors = spectral_embedding(affinity, clusters, seed)
    rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-300)
    _, _, pivots = linalg.qr(rows.T, mode="economic", pivoting=True)
    left, _, right = linalg.svd(rows[pivots[:clusters]].T)
    return np.asarray(np.abs(rows @ (left @ right)).argmax(1))


def normalized_cut(affinity: sparse.csr_array, labels: Indices) -> float:
    """Return the sum over clusters of the share of their affinities that leads to others.

    Examples
    --------
    >>> path = sparse.csr_array(sparse.diags_array([1.0] * 3, offsets=1, shape=(4, 4)))
    >>> normalized_cut(path + path.T, np.array([0, 0, 1, 1])) == 1 / 3 + 1 / 3
    True

    References
    ----------
    Shi and Malik, "Normalized cuts and image segmentation", IEEE TPAMI 22, 2000.
    """
    edges, volumes = affinity.tocoo(), np.bincount(labels, affinity.sum(1))
    cut = labels[edges.row] != labels[edges.col]
    leaving = np.bincount(labels[edges.row[cut]], edges.data[cut], minlength=len(volumes))
    return float((leaving[volumes > 0] / volumes[volumes > 0]).sum())


def refined(affinity: sparse.csr_array, labels: Indices, clusters: int, seed: int = 0) -> Indices:
    """Return a partition of larger modularity: points move to the cluster where it grows most.

    That is Σ_c (w_cc / w - (d_c / w)²), the affinities within clusters beyond those by chance: but
    for constants the log-likelihood of a mixture of graphs, the degree-corrected stochastic block
    model. In each pass a random half of the points moves.

    References
    ----------
    Newman, "Equivalence between modularity optimization and maximum likelihood methods for
    community detection", Physical Review E 94, 2016.
    """
    rng, degrees = np.random.default_rng(seed), affinity.sum(1)
    m, points = len(labels), np.arange(len(labels))
    for _ in range(PASSES):
        members = sparse.csr_array((np.ones(m), (points, labels)), (m, clusters))
        volumes = degrees @ members
        gains = (affinity @ members).toarray() - np.outer(degrees / degrees.sum(), volumes)
        gains[points, labels] += degrees**2 / degrees.sum()  # its cluster is that of the others
        better = gains.argmax(1)
        better = np.where(gains[points, better] > gains[points, labels] + 1e-12, better, labels)
        if (better == labels).all():
            break
        moved = np.where(rng.random(m) < 0.5, better, labels)
        if len(np.unique(moved)) < clusters:  # a few points have no cluster of their own then
            break
        labels = moved
    return labels


def partition(graph: NeighbourGraph, clusters: int, seed: int = 0) -> Indices:
    """Return the partition of smaller normalized cut, of two that are refined: (m,).

    One starts at the basins of the most persistent modes of the density, where there are as many;
    the other at the eigenvectors of the Laplacian. Clusters are numbered from the largest on.
    """
    m = len(graph.distances)
    if clusters in (1, m):
        return np.arange(m) % clusters
    affinity, starts = graph.affinity, [spectral_partition(graph.affinity, clusters, seed)]
    _, falls = basins(affinity, graph.log_density)
    if clusters <= len(falls):
        own, _ = basins(affinity, graph.log_density, falls[clusters - 1])
        starts += [own] if own.max() + 1 == clusters else []
    found = [refined(affinity, labels, clusters, seed) for labels in starts]
    best = min(found, key=lambda labels: normalized_cut(affinity, labels))
    sizes = np.bincount(best, minlength=clusters)
    place = np.empty(clusters, np.intp)
    place[np.argsort(-sizes, kind="stable")] = np.arange(clusters)
    return place[best]
