"""The variational code: a Gaussian posterior for each row."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.priors import Prior, PriorModule, StandardNormal, log_normal, moments
from attar.records import Coded


@dataclass(frozen=True)
class Gaussian(Code, name="gaussian"):
    """A diagonal Gaussian posterior: z = μ + σ ε, with rate KL(N(μ, σ²) || prior).

    For a prior without a closed form of it, the rate is log q(z|x) - log p(z) at each sample.

    Parameters
    ----------
    beta : float
        The weight of the rate; 1 gives the evidence lower bound.
    prior : Prior

    Examples
    --------
    >>> import torch
    >>> from attar.codes import Gaussian
    >>> code = Gaussian().build(code_size=1)
    >>> features = torch.tensor([[2.0, 0.0]])  # mean 2, log-variance 0
    >>> code(features).rate, code.point(features)  # KL(N(2, 1) || N(0, 1)) = 2² / 2
    (tensor([[2.]]), tensor([[2.]]))

    References
    ----------
    Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.
    """

    beta: float = 1.0
    prior: Prior = field(default_factory=StandardNormal)

    provides = frozenset({"density", "moments"})

    def width(self, code_size: int) -> int:
        """Return two features, mean and log-variance, for each code dimension."""
        return 2 * code_size

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        return GaussianModule(self.prior.build(code_size, shape))


class GaussianModule(CodeModule):
    """Takes mean and log-variance from the features and samples."""

    prior: PriorModule

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return samples of the posterior, and its divergence from the prior."""
        mean, log_variance = moments(features)
        epsilon = torch.randn_like(mean)[None] if noise is None else noise
        z = mean + epsilon * (0.5 * log_variance).exp()
        rate = self.prior.divergence(mean, log_variance)
        if rate is not None and noise is None:
            return Coded(z, rate.expand(len(epsilon), -1), moments=(mean, log_variance))
        log_q = log_normal(epsilon, log_variance)
        log_p = self.prior.log_prob(z)
        rate = log_q - log_p if rate is None else rate.expand(len(epsilon), -1)
        return Coded(z, rate, log_q, log_p, moments=(mean, log_variance))

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the posterior's mean: (B, d)."""
        return features.chunk(2, dim=-1)[0]
