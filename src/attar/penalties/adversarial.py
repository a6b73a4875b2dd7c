"""Adversarial penalties: critics of codes and of reconstructions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from attar.model import Model
from attar.networks import Conv, Mlp, Network
from attar.networks.mlp import linear
from attar.penalties.base import Critic, Penalty, PenaltyTerm, draws, prior_of
from attar.penalties.smoothness import squared_norm
from attar.priors import PriorModule
from attar.records import Trace


def judge(shape: tuple[int, ...], widths: tuple[int, ...]) -> nn.Module:
    """Return a perceptron from rows (n, *shape) to how surely each is real, log-odds: (n, 1)."""
    return Mlp(widths, "leaky-relu").encoder(shape, 1)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the cross-entropy of a critic's log-odds for what is real and what is made: scalar."""
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def steepness(said: Tensor, rows: Tensor) -> Tensor:
    """Return the squared slope of log-odds (n, 1) at rows (n, ...), in the mean: a scalar.

    Critics that are flat where things are real come to rest instead of circling around the model.

    References
    ----------
    Mescheder, Geiger and Nowozin, "Which training methods for GANs do actually converge?", ICML
    2018.
    """
    # The estimate is exact: a row has no more than one number, and a sign has the square 1.
    return squared_norm(said, rows) / len(rows)


def generator_loss(fake: Tensor) -> Tensor:
    """Return what is punished where a critic sees through what is made: -log D, a scalar.

    References
    ----------
    Goodfellow et al., "Generative adversarial nets", NeurIPS 2014.
    """
    return functional.softplus(-fake).mean()


def unmoved(critic: nn.Module, rows: Tensor) -> Any:
    """Return what a critic says of rows, with a gradient for the rows and none for the critic."""
    weights = {name: weight.detach() for name, weight in critic.named_parameters()}
    return functional_call(critic, weights, (rows,))


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
        steep = self.non_negative("steep")
        critic = PriorCritic(judge((code_size,), self.widths), wanted, steep)
        return self.term(
            lambda trace: generator_loss(unmoved(critic.judge, trace.coded.z[0])),
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
        return discriminator_loss(said, self.judge(z)) + self.steep * steepness(said, real)


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
        return discriminator_loss(self.judge(z), self.judge(permuted(z)))


def permuted(z: Tensor) -> Tensor:
    """Return codes (n, d) with each number shuffled among the rows by itself."""
    return z.gather(0, torch.rand(z.shape, device=z.device).argsort(0))


@dataclass(frozen=True)
class LearnedSimilarity(Penalty, name="learned-similarity"):
    """How unlike a row its reconstruction is to a critic, and how surely it is seen to be made.

    |h(x) - h(m)|² / 2 - adversarial · E log D(m'), where m is the row's reconstruction and m' is
    decoded from draws of the prior and from the batch's codes. The critic D learns to tell x from
    m'; h is what it knows of a row before it decides. As published, the encoder does not learn to
    fool the critic; other than published, the likelihood of the cells stays in the loss: it keeps
    the reconstruction in place while the critic still learns what to look for.

    Parameters
    ----------
    weight : float
        In nats.
    adversarial : float
        How much fooling the critic counts beside likeness.
    network : Network or None
        The critic's body; None for convolutions where rows are images, else a perceptron.
    width : int
        How many numbers h has, each between -1 and 1.
    steep : float
        What the critic pays for its squared slope at the data.

    References
    ----------
    Larsen, Sønderby, Larochelle and Winther, "Autoencoding beyond pixels using a learned
    similarity metric", ICML 2016. Mescheder, Geiger and Nowozin, "Which training methods for GANs
    do actually converge?", ICML 2018.
    """

    weight: float = 1.0
    adversarial: float = 1.0
    network: Network | None = None
    width: int = 32
    steep: float = 0.1

    needs = frozenset({"prior"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the model's loss, and its critic."""
        network = self.network
        if network is None:
            network = Conv((16, 32), "leaky-relu") if len(shape) == 3 else Mlp((64,), "leaky-relu")
        fake = partial(_generated, model, prior_of(self, model))
        adversarial, steep = self.non_negative("adversarial"), self.non_negative("steep")
        width = self.positive_integer("width")
        critic = RowCritic(network.encoder(shape, width), width, fake, steep)

        def value(trace: Trace) -> Tensor:
            back = known(model.likelihood.mean(trace.parameters[0]), trace)
            rows = torch.cat([known(trace.batch.target, trace), back, fake(trace)])
            features, real = unmoved(critic, rows)
            n = len(back)
            unlike: Tensor = (features[:n] - features[n : 2 * n]).square().sum(1).mean() / 2
            return unlike + adversarial * generator_loss(real[2 * n :])

        return self.term(value, critic=critic)


class RowCritic(Critic):
    """Tells rows of data from rows that are decoded.

    Parameters
    ----------
    body : Module
    width : int
        How many features the body gives.
    fake : callable
        From a trace to decoded rows: no module, since its weights are not the critic's.
    steep : float
        The price of its squared slope.
    """

    def __init__(
        self, body: nn.Module, width: int, fake: Callable[[Trace], Tensor], steep: float
    ) -> None:
        super().__init__()
        self.body, self.judge = nn.Sequential(body, nn.Tanh()), linear(width, 1)
        self.fake, self.steep = fake, steep

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, width) of rows (n, *shape), and log-odds of being data (n, 1)."""
        features = self.body(rows)
        return features, self.judge(features)

    def loss(self, trace: Trace) -> Tensor:
        """Return the cross-entropy of the batch's rows and decoded ones, and the slope."""
        with torch.no_grad():
            fake = self.fake(trace)
        real = known(trace.batch.target, trace).detach().requires_grad_()
        said = self(real)[1]
        return discriminator_loss(said, self(fake)[1]) + self.steep * steepness(said, real)


def known(rows: Tensor, trace: Trace) -> Tensor:
    """Return rows (B, *shape) with zeros where those of the trace's batch are unknown."""
    observed = trace.batch.observed
    return rows if observed is None else rows * observed


def _generated(model: Model, prior: PriorModule, trace: Trace) -> Tensor:
    """Return what is decoded from the batch's codes, as they are, and from draws: (2 B, *shape)."""
    z, condition = trace.coded.z[0].detach(), trace.batch.condition
    halves = [known(model.decode(codes, condition), trace) for codes in (z, draws(prior, z))]
    return torch.cat(halves)
