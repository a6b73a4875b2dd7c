"""A critic that tells data from what is made, and sees how alike rows are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from attar.model import Model
from attar.networks import Conv, Mlp, Network
from attar.networks.mlp import linear
from attar.penalties.critics import fooling, steepness, telling_apart, unmoved
from attar.penalties.penalty import Critic, Penalty, PenaltyTerm, draws, prior_of
from attar.priors import PriorModule
from attar.records import Trace


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
        made = partial(_made, model, prior_of(self, model))
        adversarial, steep = self.not_negative("adversarial"), self.not_negative("steep")
        width = self.counted("width")
        critic = RowCritic(network.encoder(shape, width), width, made, steep)

        def value(trace: Trace) -> Tensor:
            back = known(model.likelihood.mean(trace.parameters[0]), trace)
            rows = torch.cat([known(trace.batch.target, trace), back, made(trace)])
            features, real = unmoved(critic, rows)
            n = len(back)
            unlike: Tensor = (features[:n] - features[n : 2 * n]).square().sum(1).mean() / 2
            return unlike + adversarial * fooling(real[2 * n :])

        return self.term(value, critic=critic)


class RowCritic(Critic):
    """Tells rows of data from rows that are decoded.

    Parameters
    ----------
    body : Module
    width : int
        How many features the body gives.
    made : callable
        From a trace to decoded rows: no module, since its weights are not the critic's.
    steep : float
        The price of its squared slope.
    """

    def __init__(
        self, body: nn.Module, width: int, made: Callable[[Trace], Tensor], steep: float
    ) -> None:
        super().__init__()
        self.body, self.judge = nn.Sequential(body, nn.Tanh()), linear(width, 1)
        self.made, self.steep = made, steep

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, width) of rows (n, *shape), and log-odds of being data (n, 1)."""
        features = self.body(rows)
        return features, self.judge(features)

    def loss(self, trace: Trace) -> Tensor:
        """Return the cross-entropy of the batch's rows and decoded ones, and the slope."""
        with torch.no_grad():
            made = self.made(trace)
        real = known(trace.batch.target, trace).detach().requires_grad_()
        said = self(real)[1]
        return telling_apart(said, self(made)[1]) + self.steep * steepness(said, real)


def known(rows: Tensor, trace: Trace) -> Tensor:
    """Return rows (B, *shape) with zeros where those of the trace's batch are unknown."""
    observed = trace.batch.observed
    return rows if observed is None else rows * observed


def _made(model: Model, prior: PriorModule, trace: Trace) -> Tensor:
    """Return what is decoded from the batch's codes, as they are, and from draws: (2 B, *shape)."""
    z, condition = trace.coded.z[0].detach(), trace.batch.condition
    halves = [known(model.decode(codes, condition), trace) for codes in (z, draws(prior, z))]
    return torch.cat(halves)
