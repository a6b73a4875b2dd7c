"""The head: from features of rows, some of which are labelled, to what the others are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from torch import Tensor

from attar.storage import nested, unnested
from attar.tasks.labels.graph import LabelledGraph
from attar.tasks.labels.kernel import KernelRidge
from attar.tasks.labels.members import Forest, HeadMember, Logistic, Propagation
from attar.tasks.neighbours import Array, Indices, Landmarks

# The least share of trees that a class counts with.
LEAST = 1e-2

# The weight of the prior on how members are weighted, in rows: few rows that are all right would
# make all probabilities certain.
PRIOR = 0.2


@dataclass(frozen=True)
class LabelHead(ABC):
    """Members that predict targets each in its own way, as a weighted sum of their scores.

    The weights, none below zero, have the least loss of held-out predictions of labelled rows.

    Attributes
    ----------
    members : dict of str to HeadMember
    weights : array (members,)
    landmarks : Landmarks
        The rows of the graph, none where nearly all is labelled.
    """

    members: dict[str, HeadMember]
    weights: Array
    landmarks: Landmarks

    # Each member, how its predictions become scores, and the weight of these without any other.
    MEMBERS: ClassVar[Mapping[str, tuple[type[HeadMember], Callable[[Array], Array], float]]]

    @classmethod
    def fit(
        cls, features: Array, labelled: Indices, targets: Array, seed: int
    ) -> tuple[Self, Array]:
        """Return the head, and the scores of each labelled row without its own label: (m, c).

        Parameters are as of :meth:`HeadMember.fit`.
        """
        graph = LabelledGraph.of(features, labelled, seed)
        members, held_out = {}, []
        for name, (kind, link, _) in cls.MEMBERS.items():
            members[name], predicted = kind.fit(features, labelled, targets, graph, seed)
            held_out.append(link(predicted))
        scores = np.stack(held_out)
        usual = np.array([weight for *_, weight in cls.MEMBERS.values()]) / len(members)
        weights = pooled(cls.loss, scores, targets, usual)
        landmarks = Landmarks.none(features.shape[1]) if graph is None else graph.landmarks
        return cls(members, weights, landmarks), np.tensordot(weights, scores, 1)

    def scores(self, features: Array) -> Array:
        """Return the scores of rows (m, d): (m, c)."""
        near = self.landmarks.weights(torch.from_numpy(features).float())
        each = (
            link(self.members[name].predict(features, near))
            for name, (_, link, _) in self.MEMBERS.items()
        )
        return np.asarray(sum(w * score for w, score in zip(self.weights, each, strict=True)))

    @staticmethod
    @abstractmethod
    def loss(scores: Array, targets: Array) -> tuple[float, Array]:
        """Return the loss of scores (m, c), summed over rows, and its gradient."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the numbers that :meth:`restored` needs."""
        found = {"weights": torch.from_numpy(self.weights)}
        found |= nested("landmarks", self.landmarks.tensors())
        for name, member in self.members.items():
            found |= nested(name, member.tensors())
        return found

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the head of :meth:`tensors`."""
        members = {
            name: kind.restored(unnested(name, tensors))
            for name, (kind, _, _) in cls.MEMBERS.items()
        }
        landmarks = Landmarks.restored(unnested("landmarks", tensors))
        return cls(members, tensors["weights"].numpy(), landmarks)


def _same(predicted: Array) -> Array:
    return predicted


def _logs(shares: Array) -> Array:
    return np.log(shares + LEAST)


class ClassHead(LabelHead):
    """Classes, of probabilities p = softmax(Σ_j w_j s_j), by the log-loss.

    The sum of the weights is an inverse temperature: p is calibrated on held-out predictions.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.
    """

    MEMBERS: ClassVar = {
        "kernel": (KernelRidge, _same, 5.0),
        "propagation": (Propagation, _logs, 2.0),
        "linear": (Logistic, _same, 1.0),
        "forest": (Forest, _logs, 1.0),
    }

    @staticmethod
    def loss(scores: Array, targets: Array) -> tuple[float, Array]:
        """Return the log-loss, and its gradient."""
        loss = -(targets * log_softmax(scores, axis=1)).sum()
        return float(loss), softmax(scores, axis=1) - targets


class NumberHead(LabelHead):
    """Numbers, in units of their standard deviation, by the squared error."""

    MEMBERS: ClassVar = {"kernel": (KernelRidge, _same, 1.0), "forest": (Forest, _same, 1.0)}

    @staticmethod
    def loss(scores: Array, targets: Array) -> tuple[float, Array]:
        """Return half of the squared error, and its gradient."""
        return float(((scores - targets) ** 2).sum() / 2), scores - targets


def pooled(
    loss: Callable[[Array, Array], tuple[float, Array]],
    scores: Array,
    targets: Array,
    usual: Array,
    prior: float = PRIOR,
) -> Array:
    """Return the weights w of the least loss of Σ_j w_j s_j, none below zero.

    Parameters
    ----------
    loss : callable
        From scores (m, c) and targets to a loss and its gradient.
    scores : array (members, m, c)
        Of rows that were held out.
    targets : array (m, c)
    usual : array (members,)
        Where the prior has its mean.
    prior : float, default 0.2
        Of the penalty, prior / 2 Σ_j (w_j / usual_j - 1)².
    """

    def total(weights: Array) -> tuple[float, Array]:
        value, slope = loss(np.tensordot(weights, scores, 1), targets)
        apart = weights / usual - 1
        gradient = np.tensordot(scores, slope, 2) + prior * apart / usual
        return value + prior * (apart**2).sum() / 2, gradient

    options = {"ftol": 1e-12, "gtol": 1e-8}
    bounds = [(0, None)] * len(usual)
    found = minimize(total, usual, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x)
