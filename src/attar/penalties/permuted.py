"""A critic that tells codes from codes whose numbers are independent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.model import Model
from attar.penalties.critics import judge, telling_apart, unmoved
from attar.penalties.penalty import Critic, Penalty, PenaltyTerm
from attar.records import Trace


@dataclass(frozen=True)
class Permuted(Penalty, name="factor"):
    """How far the numbers of a code are from independent, as a critic sees it.

    The critic D learns to tell codes from codes with each number permuted over the batch; then
    E log D(z) / (1 - D(z)) estimates the total correlation KL(q(z) || Π_j q(z_j)).

    Parameters
    ----------
    weight : float
        In nats a nat.
    widths : tuple of int
        Units in each hidden layer of the critic.

    References
    ----------
    Kim and Mnih, "Disentangling by factorising", ICML 2018.
    """

    weight: float = 10.0
    widths: tuple[int, ...] = (256, 256)

    needs = frozenset({"density"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the estimate, and its critic."""
        critic = PermutedCritic(judge((code_size,), self.widths))
        return self.term(
            lambda trace: unmoved(critic.judge, trace.coded.z[0]).mean(),
            critic=critic,
        )


class PermutedCritic(Critic):
    """Tells codes from codes with each number permuted over the batch."""

    def __init__(self, judge: nn.Module) -> None:
        super().__init__()
        self.judge = judge

    def loss(self, trace: Trace) -> Tensor:
        """Return the cross-entropy of the batch's codes and the permuted ones."""
        z = trace.coded.z[0].detach()
        return telling_apart(self.judge(z), self.judge(permuted(z)))


def permuted(z: Tensor) -> Tensor:
    """Return codes (n, d) with each number shuffled among the rows by itself."""
    return z.gather(0, torch.rand(z.shape, device=z.device).argsort(0))
