"""Gaussian codes transformed by normalizing flows."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.codes.gaussian import log_normal
from attar.networks.masked import hidden_features
from attar.parts import Part
from attar.priors import Prior, PriorModule, StandardNormal, moments
from attar.records import Coded


class FlowModule(nn.Module):
    """Sends codes somewhere else."""

    @abstractmethod
    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return where codes go, and the log of how much space is stretched there.

        Parameters
        ----------
        z : Tensor (K, B, d)
        context : Tensor (B, c)
            Features of each row.

        Returns
        -------
        Tensor (K, B, d), Tensor (K, B)
            f(z) and log |det f'(z)|.
        """


class Flow(Part):
    """An invertible map of codes, that may differ from row to row.

    Attributes
    ----------
    steps : int
        How many simple maps it is made of.
    """

    steps: int

    @abstractmethod
    def width(self, code_size: int) -> int:
        """Return how many features of each row it asks for."""

    @abstractmethod
    def build(self, code_size: int) -> FlowModule:
        """Return the module, that starts near the identity.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """


@dataclass(frozen=True)
class Planar(Flow, name="planar"):
    """Steps that push codes away from a plane or towards it: f(z) = z + u tanh(w·z + b).

    Every u, w and b is made from the row. Where a step could not be undone, u is changed along w
    until w·u > -1.

    Parameters
    ----------
    steps : int

    References
    ----------
    Rezende and Mohamed, "Variational inference with normalizing flows", ICML 2015.
    """

    steps: int = 4

    def width(self, code_size: int) -> int:
        """Return u, w and b of each step."""
        return self.steps * (2 * code_size + 1)

    def build(self, code_size: int) -> FlowModule:
        """Return the module."""
        return PlanarModule(code_size, self.positive_integer("steps"))


class PlanarModule(FlowModule):
    """One plane after another."""

    def __init__(self, code_size: int, steps: int) -> None:
        super().__init__()
        self.code_size, self.steps = code_size, steps

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(z) and Σ log (1 + w·u / cosh²(w·z + b))."""
        d = self.code_size
        log_det = z.new_zeros(z.shape[:-1])
        for step in context.chunk(self.steps, dim=-1):
            u, w, b = torch.split(step, [d, d, 1], dim=-1)
            # Features near one in size then make steps of about a tenth of a gaussian's radius.
            u, w = u / math.sqrt(d), w / math.sqrt(d)
            along = (w * u).sum(-1, keepdim=True)
            # Zero stays zero, so that no u is no step.
            stretch = functional.softplus(along + math.log(math.e - 1))
            squared = w.square().sum(-1, keepdim=True).clamp_min(torch.finfo(w.dtype).tiny)
            u = u + (stretch - 1 - along) * w / squared
            bend = ((z * w).sum(-1, keepdim=True) + b).tanh()
            z = z + u * bend
            # 1 + (1 - tanh²) w·u, in a form that rounding cannot bring to zero.
            log_det = log_det + (bend.square() + (1 - bend.square()) * stretch).log()[..., 0]
        return z, log_det


@dataclass(frozen=True)
class InverseAutoregressive(Flow, name="inverse-autoregressive"):
    """Steps that mix each number with a guess from those before it: z' = s z + (1 - s) m.

    Guess m and gate s come from a masked network of the codes and features of the row; the order
    is reversed from step to step.

    Parameters
    ----------
    steps : int
    widths : tuple of int
        Units in each hidden layer of a step's network, no fewer than the code has numbers.

    References
    ----------
    Kingma et al., "Improved variational inference with inverse autoregressive flow", NeurIPS 2016.
    """

    steps: int = 2
    widths: tuple[int, ...] = (64,)

    def width(self, code_size: int) -> int:
        """Return as many features as the code has numbers."""
        return code_size

    def build(self, code_size: int) -> FlowModule:
        """Return the module."""
        widths = hidden_features(code_size, self.widths, 2)
        return InverseAutoregressiveModule(code_size, self.positive_integer("steps"), widths)


class InverseAutoregressiveModule(FlowModule):
    """One masked network after another."""

    def __init__(self, code_size: int, steps: int, widths: list[int]) -> None:
        from zuko.nn import MaskedMLP

        super().__init__()
        with torch.device("cpu"):
            row = torch.ones(code_size, code_size, dtype=torch.bool)
            reads = torch.cat([row.tril(-1), row], 1).repeat_interleave(2, 0)
            self.networks = nn.ModuleList(MaskedMLP(reads, widths, nn.SiLU) for _ in range(steps))

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(z) and Σ log s."""
        log_det = z.new_zeros(z.shape[:-1])
        for network in self.networks:
            seen = torch.cat([z, context.expand(*z.shape[:-1], -1)], dim=-1)
            guess, gate = network(seen).unflatten(-1, (-1, 2)).unbind(-1)
            # The gate is nearly open to begin with.
            gate = gate + 2
            z = torch.lerp(guess, z, gate.sigmoid()).flip(-1)
            log_det = log_det + functional.logsigmoid(gate).sum(-1)
        return z, log_det


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
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return draws of the posterior, with their densities."""
        mean, log_variance, context = self._parts(features)
        epsilon = torch.randn_like(mean)[None] if noise is None else noise
        z, log_det = self.flow(mean + epsilon * (0.5 * log_variance).exp(), context)
        log_q = log_normal(epsilon, log_variance) - log_det
        log_p = self.prior.log_prob(z)
        return Coded(z, log_q - log_p, log_q, log_p)

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return where the flow sends the gaussian's mean: (B, d)."""
        mean, _, context = self._parts(features)
        z: Tensor = self.flow(mean[None], context)[0]
        return z[0]

    def _parts(self, features: Tensor) -> tuple[Tensor, ...]:
        both = 2 * self.code_size
        return *moments(features[:, :both]), features[:, both:]
