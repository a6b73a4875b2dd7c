"""Labels on the graph of nearest neighbours: what they say of the rows around them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from scipy import sparse

from attar.isolation import one_thread
from attar.tasks.neighbours import Array, Indices, Landmarks, NeighbourGraph

# How much of what is known of a row its neighbours get.
SPREAD = 0.99

# Up to so many labelled rows others help, of which the graph takes so many at most.
FEW, JOINED = 5000, 1 << 16

# The kernel between labelled rows is computed of so many at most: it takes a column for each.
PAIRED = 200

# Conjugate gradients stop at this residual, relative to the right side, or after so many steps,
# and have so many numbers at once.
TOLERANCE, STEPS, AT_ONCE = 1e-3, 200, 1 << 22


@dataclass(frozen=True)
class LabelledGraph:
    """The graph of labelled rows, which come first, and of others.

    ::

        S = D^(-1/2) W D^(-1/2),    K = (I - a S)^(-1)

    where W are affinities, and D is the diagonal matrix of their sums. The columns of K are labels
    spread over the graph (Zhou et al., 2004), and K is a kernel: rows are alike where many paths of
    near rows join them.

    Attributes
    ----------
    landmarks : Landmarks
        The rows.
    links : sparse array (n, n)
        S.
    near : array (m, m) or None
        K between labelled rows; None where these are many.

    References
    ----------
    Zhou et al., "Learning with local and global consistency", NIPS 2004. Zhu, Lafferty and
    Ghahramani, "Semi-supervised learning: from Gaussian fields to Gaussian processes",
    CMU-CS-03-175, 2003.
    """

    landmarks: Landmarks
    links: sparse.csr_array
    near: Array | None

    @classmethod
    @one_thread()
    def of(cls, features: Array, labelled: Indices, seed: int) -> Self | None:
        """Return the graph; None where nearly all is labelled, or there are no others."""
        others = np.setdiff1d(np.arange(len(features)), labelled)
        if len(labelled) > FEW or not len(others):
            return None
        some = np.random.default_rng(seed).permutation(others)[: JOINED - len(labelled)]
        rows = features[np.concatenate([labelled, np.sort(some)])]
        graph = NeighbourGraph.of(torch.from_numpy(rows).float())
        root = sparse.diags_array(1 / np.sqrt(graph.affinity.sum(1)))
        links = sparse.csr_array(root @ graph.affinity @ root)
        found = cls(graph.landmarks, links, None)
        if len(labelled) > PAIRED:
            return found
        return replace(found, near=found.spread(np.eye(len(labelled)))[: len(labelled)])

    @one_thread()
    def spread(self, values: Array) -> Array:
        """Return K times values (m, c) of labelled rows, at all rows of the graph: (n, c)."""
        rows = self.links.shape[0]
        parts = np.array_split(values, -(-rows * values.shape[1] // AT_ONCE), axis=1)
        below = ((0, rows - len(values)), (0, 0))
        return np.concatenate([_spread(self.links, np.pad(part, below)) for part in parts], axis=1)


def _spread(links: sparse.csr_array, values: Array) -> Array:
    """Return (I - a S)^(-1) times values (n, c), by conjugate gradients, where S are links."""
    residuals, found = values.copy(), np.zeros_like(values)
    directions, before = residuals.copy(), (residuals**2).sum(0)
    enough = TOLERANCE**2 * before
    for _ in range(STEPS):
        if (before <= enough).all():
            break
        image = directions - SPREAD * (links @ directions)
        steps = before / np.maximum((directions * image).sum(0), np.finfo(float).tiny)
        found += steps * directions
        residuals -= steps * image
        after = (residuals**2).sum(0)
        directions = residuals + after / np.maximum(before, np.finfo(float).tiny) * directions
        before = after
    return found
