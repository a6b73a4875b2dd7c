"""Adversarial penalties: critics of codes and of reconstructions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from attar.model import Model
from attar.networks import Conv, Mlp, Network
from attar.networks.mlp import linear
from attar.penalties.base import Critic, Penalty, PenaltyTerm, prior_of, samples_like
from attar.penalties.smoothness import squared_norm
from attar.priors import PriorModule
from attar.records import Trace


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the cross-entropy of a critic's logits (n, 1) for real and generated rows: a scalar.

    Examples
    --------
    A critic that cannot tell them from each other has 2 log 2:

    >>> discriminator_loss(torch.zeros(5, 1), torch.zeros(5, 1))
    tensor(1.3863)
    """
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Return -log D, the non-saturating loss, of a critic's logits for generated rows: a scalar.

    References
    ----------
    Goodfellow et al., "Generative adversarial nets", NeurIPS 2014.
    """
    return functional.softplus(-fake).mean()


def r1_penalty(logits: Tensor, rows: Tensor) -> Tensor:
    """Return E |∂D/∂x|², the squared gradient of logits (n, 1) at rows (n, ...): a scalar.

    Training of a critic whose gradient vanishes at real rows converges locally.

    References
    ----------
    Mescheder, Geiger and Nowozin, "Which training methods for GANs do actually converge?", ICML
    2018.
    """
    # Hutchinson's estimate is exact here: each row has one output, and a sign's square is 1.
    return squared_norm(logits, rows) / len(rows)


def frozen(module: nn.Module, rows: Tensor) -> Tensor:
    """Return a module's output, with a gradient for the rows and none for its weights."""
    weights = {name: weight.detach() for name, weight in module.named_parameters()}
    output: Tensor = functional_call(module, weights, (rows,))
    return output


def _discriminator(code_size: int, widths: tuple[int, ...]) -> nn.Module:
    """Return a perceptron from codes (n, d) to the logits of being real (n, 1)."""
    return Mlp(widths, "leaky-relu").encoder((code_size,), 1)


@dataclass(frozen=True)
class Adversarial(Penalty, name="adversarial"):
    """-log D(z), where the critic D discriminates samples of the prior from codes.

    It is log 2 where codes are distributed as the prior.

    Parameters
    ----------
    weight : float
    widths : tuple of int
        Units in each hidden layer of the critic.
    gradient_penalty : float
        The weight of the critic's R1 penalty at samples of the prior; 0, as published, takes a
        smaller ``weight`` to be stable.

    Examples
    --------
    >>> from attar.codes import Point
    >>> from attar.likelihoods import FixedGaussian
    >>> from attar.networks import Linear
    >>> from attar.priors import StandardNormal
    >>> from attar.recipe import Recipe
    >>> recipe = Recipe(Point(prior=StandardNormal()), penalties=(Adversarial(widths=(16,)),))
    >>> objective = recipe.build((10,), 2, Linear(), FixedGaussian())
    >>> objective.critics["adversarial"].network(torch.randn(5, 2)).shape
    torch.Size([5, 1])

    References
    ----------
    Makhzani, Shlens, Jaitly, Goodfellow and Frey, "Adversarial autoencoders", ICLR workshop 2016.
    Mescheder, Geiger and Nowozin, "Which training methods for GANs do actually converge?", ICML
    2018.
    """

    weight: float = 2.0
    widths: tuple[int, ...] = (64, 64)
    gradient_penalty: float = 0.1

    needs = frozenset({"prior"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the encoder's loss, and its critic."""
        real = partial(samples_like, prior_of(self, model))
        weight = self.non_negative("gradient_penalty")
        critic = PriorCritic(_discriminator(code_size, self.widths), real, weight)
        return self.term(
            lambda trace: generator_loss(frozen(critic.network, trace.coded.z[0])), critic=critic
        )


class PriorCritic(Critic):
    """Discriminates samples of the prior from codes.

    Parameters
    ----------
    network : Module
        From codes (n, d) to logits (n, 1).
    real : callable
        From codes to as many samples of the prior; no module, so that the prior's weights are not
        the critic's.
    gradient_penalty : float
        The weight of the R1 penalty.
    """

    def __init__(
        self, network: nn.Module, real: Callable[[Tensor], Tensor], gradient_penalty: float
    ) -> None:
        super().__init__()
        self.network, self.real, self.gradient_penalty = network, real, gradient_penalty

    def loss(self, trace: Trace) -> Tensor:
        """Return the cross-entropy of samples of the prior and the batch's codes, plus R1."""
        z = trace.coded.z[0].detach()
        real = self.real(z).requires_grad_()
        logits = self.network(real)
        loss = discriminator_loss(logits, self.network(z))
        return loss + self.gradient_penalty * r1_penalty(logits, real)


@dataclass(frozen=True)
class DensityRatio(Penalty, name="factor"):
    r"""The total correlation of the code, as a critic estimates it.

    .. math:: KL(q(z) \,\|\, \textstyle\prod_j q(z_j)) ≈ E \log \frac{D(z)}{1 - D(z)}

    The critic D discriminates codes from codes whose dimensions are permuted independently over
    the batch.

    Parameters
    ----------
    weight : float
    widths : tuple of int
        Units in each hidden layer of the critic.

    Examples
    --------
    >>> from attar.codes import Gaussian
    >>> from attar.likelihoods import Bernoulli
    >>> from attar.networks import Linear
    >>> from attar.recipe import Recipe
    >>> recipe = Recipe(Gaussian(), penalties=(DensityRatio(widths=(16,)),))
    >>> objective = recipe.build((10,), 2, Linear(), Bernoulli())
    >>> objective.critics["factor"].network(torch.randn(5, 2)).shape
    torch.Size([5, 1])

    References
    ----------
    Kim and Mnih, "Disentangling by factorising", ICML 2018.
    """

    weight: float = 10.0
    widths: tuple[int, ...] = (256, 256)

    needs = frozenset({"density"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the estimate, and its critic."""
        critic = PermutedCritic(_discriminator(code_size, self.widths))
        return self.term(
            lambda trace: frozen(critic.network, trace.coded.z[0]).mean(), critic=critic
        )


class PermutedCritic(Critic):
    """Discriminates codes from codes whose dimensions are permuted over the batch.

    Parameters
    ----------
    network : Module
        From codes (n, d) to logits (n, 1).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def loss(self, trace: Trace) -> Tensor:
        """Return the cross-entropy of the batch's codes and the permuted ones."""
        z = trace.coded.z[0].detach()
        return discriminator_loss(self.network(z), self.network(permuted(z)))


def permuted(z: Tensor) -> Tensor:
    """Return codes (n, d) with each dimension permuted over the rows independently."""
    return z.gather(0, torch.rand(z.shape, device=z.device).argsort(0))


@dataclass(frozen=True)
class LearnedSimilarity(Penalty, name="learned-similarity"):
    r"""The distance of a row and its reconstruction in a critic's features, and its -log D.

    .. math:: \tfrac12 |h(x) - h(m)|^2 - α \, E \log D(m')

    Here α is ``adversarial``, m is the row's reconstruction and m' is decoded from samples of the
    prior and from the batch's codes. The critic D discriminates x from m'; h are the features of
    its last hidden layer. As published, the encoder gets no gradient from D; other than published,
    the likelihood of the cells stays in the loss, as the features mean little at first.

    Parameters
    ----------
    weight : float
    adversarial : float
        The weight of -log D.
    network : Network or None
        The critic's body; None for convolutions where rows are images, else a perceptron.
    width : int
        The number of features h, each between -1 and 1.
    gradient_penalty : float
        The weight of the critic's R1 penalty at the data.

    Examples
    --------
    >>> from attar.codes import Gaussian
    >>> from attar.likelihoods import Bernoulli
    >>> from attar.networks import Linear
    >>> from attar.recipe import Recipe
    >>> recipe = Recipe(Gaussian(), penalties=(LearnedSimilarity(width=4),))
    >>> objective = recipe.build((10,), 2, Linear(), Bernoulli())
    >>> features = objective.critics["learned-similarity"].body(100 * torch.randn(5, 10))
    >>> features.shape, bool(features.abs().max() <= 1)
    (torch.Size([5, 4]), True)

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
    gradient_penalty: float = 0.1

    needs = frozenset({"prior"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the model's loss, and its critic."""
        network = self.network
        if network is None:
            network = Conv((16, 32), "leaky-relu") if len(shape) == 3 else Mlp((64,), "leaky-relu")
        fake = partial(_generated, model, prior_of(self, model))
        adversarial = self.non_negative("adversarial")
        gradient_penalty = self.non_negative("gradient_penalty")
        width = self.positive_integer("width")
        critic = RowCritic(network.encoder(shape, width), width, fake, gradient_penalty)

        def value(trace: Trace) -> Tensor:
            reconstructed = masked(model.likelihood.mean(trace.parameters[0]), trace)
            rows = torch.cat([masked(trace.batch.target, trace), reconstructed, fake(trace)])
            n, features = len(reconstructed), frozen(critic.body, rows)
            distance = (features[:n] - features[n : 2 * n]).square().sum(1).mean() / 2
            logits = frozen(critic.head, features)
            return distance + adversarial * generator_loss(logits[2 * n :])

        return self.term(value, critic=critic)


class RowCritic(Critic):
    """Discriminates rows of data from decoded rows.

    Parameters
    ----------
    body : Module
        From rows (n, *shape) to features (n, width).
    width : int
    fake : callable
        From a trace to decoded rows; no module, so that the model's weights are not the critic's.
    gradient_penalty : float
        The weight of the R1 penalty.
    """

    def __init__(
        self, body: nn.Module, width: int, fake: Callable[[Trace], Tensor], gradient_penalty: float
    ) -> None:
        super().__init__()
        self.body, self.head = nn.Sequential(body, nn.Tanh()), linear(width, 1)
        self.fake, self.gradient_penalty = fake, gradient_penalty

    def forward(self, rows: Tensor) -> Tensor:
        """Return the logits of being data (n, 1) of rows (n, *shape)."""
        logits: Tensor = self.head(self.body(rows))
        return logits

    def loss(self, trace: Trace) -> Tensor:
        """Return the cross-entropy of the batch's rows and decoded ones, plus R1."""
        with torch.no_grad():
            fake = self.fake(trace)
        real = masked(trace.batch.target, trace).detach().requires_grad_()
        logits = self(real)
        loss = discriminator_loss(logits, self(fake))
        return loss + self.gradient_penalty * r1_penalty(logits, real)


def masked(rows: Tensor, trace: Trace) -> Tensor:
    """Return rows (B, *shape) with zeros where cells of the trace's batch are not observed."""
    observed = trace.batch.observed
    return rows if observed is None else rows * observed


def _generated(model: Model, prior: PriorModule, trace: Trace) -> Tensor:
    """Return the decoded rows of the batch's codes and of samples of the prior: (2 B, *shape)."""
    z, condition = trace.coded.z[0].detach(), trace.batch.condition
    codes = (z, samples_like(prior, z))
    return torch.cat([masked(model.decode(each, condition), trace) for each in codes])
