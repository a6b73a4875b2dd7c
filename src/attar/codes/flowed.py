"""The variational code whose gaussians are bent by a flow."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from attar.codes.code import Code, CodeModule, Explain
from attar.codes.flows import Flow, FlowModule, Planar
from attar.codes.gaussian import log_normal
from attar.priors import Prior, PriorModule, StandardNormal
from attar.priors.normal import moments
from attar.records import Coded


@dataclass(frozen=True)
class Flowed(Code, name="flowed"):
    """A gaussian for each row, sent through a flow: z = f(μ + σ ε), as free as the flow is.

    The rate is log q(z|x) - log p(z) at the draws, with log q = log N(μ + σ ε) - log |det f'|.

    Parameters
    ----------
    beta : float
        The weight of the rate; 1 gives the evidence lower bound.
    prior : Prior
        Where codes are expected to lie.
    flow : Flow

    References
    ----------
    Rezende and Mohamed, "Variational inference with normalizing flows", ICML 2015.
    """

    beta: float = 1.0
    prior: Prior = field(default_factory=StandardNormal)
    flow: Flow = field(default_factory=Planar)

    provides = frozenset({"density"})

    def width(self, code_size: int) -> int:
        """Return mean and log-variance of each code dimension, and what the flow asks for."""
        return 2 * code_size + self.flow.width(code_size)

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        return FlowedModule(
            code_size, self.prior.build(code_size, shape), self.flow.build(code_size)
        )


class FlowedModule(CodeModule):
    """Reads mean, log-variance and the flow's features, draws, and lets the draws flow."""

    prior: PriorModule

    def __init__(self, code_size: int, prior: PriorModule, flow: FlowModule) -> None:
        super().__init__(prior)
        self.code_size, self.flow = code_size, flow

    def forward(
        self, features: Tensor, noise: Tensor | None = None, explain: Explain | None = None
    ) -> Coded:
        """Return draws of the posterior, with their densities."""
        mean, log_variance, context = self._parts(features)
        epsilon = torch.randn_like(mean)[None] if noise is None else noise
        z, log_det = self.flow(mean + epsilon * (0.5 * log_variance).exp(), context)
        log_q = log_normal(epsilon, log_variance) - log_det
        log_p = self.prior.log_prob(z)
        return Coded(z, log_q - log_p, log_q, log_p)

    def point(self, features: Tensor, explain: Explain | None = None) -> Tensor:
        """Return where the flow sends the gaussian's mean: (B, d)."""
        mean, _, context = self._parts(features)
        z: Tensor = self.flow(mean[None], context)[0]
        return z[0]

    def _parts(self, features: Tensor) -> tuple[Tensor, ...]:
        both = 2 * self.code_size
        return *moments(features[:, :both]), features[:, both:]
