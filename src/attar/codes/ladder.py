"""The ladder code: a hierarchy of levels of Gaussian latent variables."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.errors import SettingError
from attar.networks.mlp import linear
from attar.priors import PriorModule, log_density, moments, sample_normal
from attar.records import Coded

# Mean and log-variance of a diagonal Gaussian.
Moments = tuple[Tensor, Tensor]

# The log-variance of the prior of a level is bounded by this: it could else collapse a level.
MAX_PRIOR_LOG_VARIANCE = 2.0


@dataclass(frozen=True)
class Ladder(Code, name="ladder"):
    """A hierarchy of Gaussian levels, each about as large as all levels above it together.

    Small networks predict the prior of a level from the levels above, with a variance of e⁻² to
    e². The posterior of a level is the product of that prior and the encoder's Gaussian. The rate
    is the sum of the levels' KL(q || p), and the decoder receives all levels.

    Parameters
    ----------
    levels : int
    hidden : int
        Units in the hidden layer between levels.
    beta : float
        The weight of the rate; 1 gives the evidence lower bound.

    Examples
    --------
    >>> from attar.codes import Ladder
    >>> Ladder(levels=3).build(code_size=16).prior.sizes  # from the top down
    [4, 4, 8]

    References
    ----------
    Sønderby, Raiko, Maaløe, Sønderby and Winther, "Ladder variational autoencoders", NeurIPS 2016.
    """

    levels: int = 3
    hidden: int = 64
    beta: float = 1.0

    provides = frozenset({"density"})

    @property
    def least_size(self) -> int:
        """One dimension for each level."""
        return self.levels

    def width(self, code_size: int) -> int:
        """Return two features, mean and log-variance, for each code dimension."""
        return 2 * code_size

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; each level has at least one dimension."""
        if self.positive_integer("levels") > code_size:
            raise SettingError(
                f"A ladder code of size {code_size} cannot have {self.levels} levels: choose "
                f"levels between 1 and {code_size}."
            )
        ends = [max(i + 1, code_size >> (self.levels - 1 - i)) for i in range(self.levels)]
        sizes = [b - a for a, b in pairwise([0, *ends])]
        return LadderModule(LadderPrior(sizes, self.positive_integer("hidden")))


class LadderPrior(PriorModule):
    """A standard normal at the top, and conditional Gaussians below it.

    Parameters
    ----------
    sizes : list of int
        The dimensions of each level, from the top down.
    hidden : int
        Units in the hidden layer between levels.
    """

    def __init__(self, sizes: list[int], hidden: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.blocks = nn.ModuleList(
            nn.Sequential(linear(sum(sizes[:i]), hidden), nn.SiLU(), linear(hidden, 2 * sizes[i]))
            for i in range(1, len(sizes))
        )

    def conditional(self, above: Tensor, level: int) -> Moments:
        """Return the prior of a level (..., size) given all levels above (..., a)."""
        if level == 0:
            zeros = above.new_zeros(*above.shape[:-1], self.sizes[0])
            return zeros, zeros
        mean, log_variance = self.blocks[level - 1](above).chunk(2, dim=-1)
        # A prior of vanishing variance would hold the posterior there.
        return mean, MAX_PRIOR_LOG_VARIANCE * (log_variance / MAX_PRIOR_LOG_VARIANCE).tanh()

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the sum of the levels' log-densities."""
        log_p, above = z.new_zeros(z.shape[:-1]), z[..., :0]
        for level, part in enumerate(torch.split(z, self.sizes, dim=-1)):
            log_p = log_p + log_density(part, *self.conditional(above, level))
            above = torch.cat([above, part], dim=-1)
        return log_p

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return ancestral samples, from the top down: (n, code_size)."""
        weight = next(self.parameters(), torch.empty(0))
        z = weight.new_empty(n, 0)
        for level in range(len(self.sizes)):
            part = sample_normal(*self.conditional(z, level), generator)
            z = torch.cat([z, part.to(weight.device)], dim=-1)
        return z.cpu()


class LadderModule(CodeModule):
    """Samples the levels from the top down."""

    prior: LadderPrior

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return samples of all levels, and the sum of their divergences from their priors."""
        mean, _ = features.chunk(2, dim=-1)
        epsilon = torch.randn_like(mean)[None] if noise is None else noise
        z = mean.new_empty(len(epsilon), mean.shape[0], 0)
        rate, log_q, log_p = (z.new_zeros(z.shape[:2]) for _ in range(3))
        for level, normal in enumerate(torch.split(epsilon, self.prior.sizes, dim=-1)):
            q, p = self.posterior(features, z, level)
            part = q[0] + normal * (0.5 * q[1]).exp()
            rate = rate + divergence(q, p)
            log_q, log_p = log_q + log_density(part, *q), log_p + log_density(part, *p)
            z = torch.cat([z, part], dim=-1)
        return Coded(z, rate, log_q, log_p)

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the mean of each level, given the means above: (B, d)."""
        z = features[:, :0]
        for level in range(len(self.prior.sizes)):
            (mean, _), _ = self.posterior(features, z, level)
            z = torch.cat([z, mean], dim=-1)
        return z

    def posterior(self, features: Tensor, above: Tensor, level: int) -> tuple[Moments, Moments]:
        """Return posterior and prior of a level given all levels above."""
        p = self.prior.conditional(above, level)
        mean, log_variance = (
            torch.split(moment, self.prior.sizes, dim=-1)[level] for moment in moments(features)
        )
        encoded = mean, log_variance
        return (product(encoded, p) if level else encoded), p


def product(first: Moments, second: Moments) -> Moments:
    """Return the normalized product of two Gaussians: precisions add up, and weight the means."""
    weight = (second[1] - first[1]).sigmoid()
    return torch.lerp(second[0], first[0], weight), -torch.logaddexp(-first[1], -second[1])


def divergence(q: Moments, p: Moments) -> Tensor:
    """Return KL(q || p) of diagonal Gaussians (..., d), in nats: (...)."""
    ratio = q[1] - p[1]
    squares = (q[0] - p[0]).square() * (-p[1]).exp()
    return 0.5 * (squares + ratio.exp() - ratio - 1).sum(-1)
