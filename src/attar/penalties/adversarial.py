"""A critic that tells codes from draws of the prior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from attar.model import Model
from attar.penalties.critics import (
    fooling,
    judge,
    steepness,
    telling_apart,
    unmoved,
)
from attar.penalties.penalty import Critic, Penalty, PenaltyTerm, draws, prior_of
from attar.records import Trace


@dataclass(frozen=True)
class Adversarial(Penalty, name="adversarial"):
    """How surely a critic tells codes from draws of the prior: -log D(z).

    Where codes lie as the prior says it is log 2.

    Parameters
    ----------
    weight : float
        In nats a nat.
    widths : tuple of int
        Units in each hidden layer of the critic.
    steep : float
        What the critic pays for its squared slope at draws of the prior; with 0, as published, it
        takes a smaller weight for players not to run in circles.

    References
    ----------
    Makhzani, Shlens, Jaitly, Goodfellow and Frey, "Adversarial autoencoders", ICLR workshop 2016.
    Mescheder, Geiger and Nowozin, "Which training methods for GANs do actually converge?", ICML
    2018.
    """

    weight: float = 2.0
    widths: tuple[int, ...] = (64, 64)
    steep: float = 0.1

    needs = frozenset({"prior"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the encoder's loss, and its critic."""
        wanted = partial(draws, prior_of(self, model))
        steep = self.not_negative("steep")
        critic = PriorCritic(judge((code_size,), self.widths), wanted, steep)
        return self.term(
            lambda trace: fooling(unmoved(critic.judge, trace.coded.z[0])),
            critic=critic,
        )


class PriorCritic(Critic):
    """Tells codes from draws of the prior.

    Parameters
    ----------
    judge : Module
    wanted : callable
        From codes to as many draws of the prior: no module, since its weights are not the critic's.
    steep : float
        The price of its squared slope.
    """

    def __init__(self, judge: nn.Module, wanted: Callable[[Tensor], Tensor], steep: float) -> None:
        super().__init__()
        self.judge, self.wanted, self.steep = judge, wanted, steep

    def loss(self, trace: Trace) -> Tensor:
        """Return the cross-entropy of draws of the prior and the batch's codes, and the slope."""
        z = trace.coded.z[0].detach()
        real = self.wanted(z).requires_grad_()
        said = self.judge(real)
        return telling_apart(said, self.judge(z)) + self.steep * steepness(said, real)
