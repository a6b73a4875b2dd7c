"""Gaussian codes transformed by normalizing flows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.networks.mlp import hidden_features
from attar.parts import Part
from attar.priors import Prior, PriorModule, StandardNormal, log_normal, moments
from attar.records import Coded


class FlowModule(nn.Module, ABC):
    """An invertible map of codes."""

    @abstractmethod
    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return the transformed codes, and the log-determinants of the Jacobian.

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
    """An invertible map of codes that depends on the row.

    Attributes
    ----------
    steps : int
        The number of maps that it is composed of.
    """

    steps: int

    @abstractmethod
    def width(self, code_size: int) -> int:
        """Return the number of features of each row that it depends on."""

    @abstractmethod
    def build(self, code_size: int) -> FlowModule:
        """Return the module, which is initialized near the identity.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """


@dataclass(frozen=True)
class Planar(Flow, name="planar"):
    """Planar flows: f(z) = z + u tanh(w·z + b), with u, w and b predicted from the row.

    A multiple of w is added to u such that w·u > -1, which makes each step invertible.

    Parameters
    ----------
    steps : int

    Examples
    --------
    >>> import torch
    >>> from attar.codes import Planar
    >>> context = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]])  # u = (0, 0), w = (1, 0), b = 0
    >>> z, log_det = Planar(steps=1).build(code_size=2)(torch.ones(1, 1, 2), context)
    >>> torch.allclose(z, torch.ones(1, 1, 2)), log_det.abs().item() < 1e-6  # the identity
    (True, True)

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
    """A composition of planar flows."""

    def __init__(self, code_size: int, steps: int) -> None:
        super().__init__()
        self.code_size, self.steps = code_size, steps

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(z) and Σ log (1 + w·u / cosh²(w·z + b))."""
        d = self.code_size
        log_det = z.new_zeros(z.shape[:-1])
        for step in context.chunk(self.steps, dim=-1):
            u, w, b = torch.split(step, [d, d, 1], dim=-1)
            # Features of size 1 then give steps of about a tenth of a standard normal's radius.
            u, w = u / math.sqrt(d), w / math.sqrt(d)
            product = (w * u).sum(-1, keepdim=True)
            # Maps 0 to 1, so that u = 0 is the identity.
            scale = functional.softplus(product + math.log(math.e - 1))
            squared = w.square().sum(-1, keepdim=True).clamp_min(torch.finfo(w.dtype).tiny)
            u = u + (scale - 1 - product) * w / squared
            tanh = ((z * w).sum(-1, keepdim=True) + b).tanh()
            z = z + u * tanh
            # 1 + (1 - tanh²) w·u, in a form that does not round to 0.
            log_det = log_det + (tanh.square() + (1 - tanh.square()) * scale).log()[..., 0]
        return z, log_det


@dataclass(frozen=True)
class InverseAutoregressive(Flow, name="inverse-autoregressive"):
    """Autoregressive steps: z' = s z + (1 - s) m, with m and s from the dimensions before.

    Mean m and gate s come from a masked network of the code and the row's features; the order of
    dimensions is reversed after each step.

    Parameters
    ----------
    steps : int
    widths : tuple of int
        Units in each hidden layer of a step's network, at least the code size.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import InverseAutoregressive
    >>> flow = InverseAutoregressive(steps=1).build(code_size=3)
    >>> step = lambda z: flow(z[None, None], torch.zeros(1, 3))[0][0, 0].flip(0)
    >>> slopes = torch.autograd.functional.jacobian(step, torch.ones(3))
    >>> bool((slopes.triu(1) == 0).all())  # a dimension depends on those before it alone
    True

    References
    ----------
    Kingma et al., "Improved variational inference with inverse autoregressive flow", NeurIPS 2016.
    """

    steps: int = 2
    widths: tuple[int, ...] = (64,)

    def width(self, code_size: int) -> int:
        """Return one feature for each code dimension."""
        return code_size

    def build(self, code_size: int) -> FlowModule:
        """Return the module."""
        widths = hidden_features(code_size, self.widths, 2)
        return InverseAutoregressiveModule(code_size, self.positive_integer("steps"), widths)


class InverseAutoregressiveModule(FlowModule):
    """A composition of masked networks."""

    def __init__(self, code_size: int, steps: int, widths: list[int]) -> None:
        from zuko.nn import MaskedMLP

        super().__init__()
        with torch.device("cpu"):
            ones = torch.ones(code_size, code_size, dtype=torch.bool)
            adjacency = torch.cat([ones.tril(-1), ones], 1).repeat_interleave(2, 0)
            self.networks = nn.ModuleList(
                MaskedMLP(adjacency, widths, nn.SiLU) for _ in range(steps)
            )

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(z) and Σ log s."""
        log_det = z.new_zeros(z.shape[:-1])
        for network in self.networks:
            inputs = torch.cat([z, context.expand(*z.shape[:-1], -1)], dim=-1)
            mean, gate = network(inputs).unflatten(-1, (-1, 2)).unbind(-1)
            # The gate is nearly 1 at initialization.
            gate = gate + 2
            z = torch.lerp(mean, z, gate.sigmoid()).flip(-1)
            log_det = log_det + functional.logsigmoid(gate).sum(-1)
        return z, log_det


@dataclass(frozen=True)
class Flowed(Code, name="flowed"):
    """A Gaussian transformed by a normalizing flow: z = f(μ + σ ε).

    The rate is log q(z|x) - log p(z) at each sample, with log q = log N(μ + σ ε) - log |det f'|.

    Parameters
    ----------
    beta : float
        The weight of the rate; 1 gives the evidence lower bound.
    prior : Prior
    flow : Flow

    Examples
    --------
    >>> import torch
    >>> from attar.codes import Flowed, Planar
    >>> code = Flowed(flow=Planar(steps=2))
    >>> code.width(3)  # mean and log-variance, and for each step u, w and b
    20
    >>> coded = code.build(3)(torch.randn(4, 20))
    >>> torch.equal(coded.rate, coded.log_q - coded.log_p)
    True

    References
    ----------
    Rezende and Mohamed, "Variational inference with normalizing flows", ICML 2015.
    """

    beta: float = 1.0
    prior: Prior = field(default_factory=StandardNormal)
    flow: Flow = field(default_factory=Planar)

    provides = frozenset({"density"})

    def width(self, code_size: int) -> int:
        """Return mean and log-variance of each code dimension, and the flow's features."""
        return 2 * code_size + self.flow.width(code_size)

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        return FlowedModule(
            code_size, self.prior.build(code_size, shape), self.flow.build(code_size)
        )


class FlowedModule(CodeModule):
    """Samples from a Gaussian and transforms the samples."""

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
        """Return samples of the posterior, with their densities."""
        mean, log_variance, context = self._split(features)
        epsilon = torch.randn_like(mean)[None] if noise is None else noise
        z, log_det = self.flow(mean + epsilon * (0.5 * log_variance).exp(), context)
        log_q = log_normal(epsilon, log_variance) - log_det
        log_p = self.prior.log_prob(z)
        return Coded(z, log_q - log_p, log_q, log_p)

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the flow's image of the Gaussian's mean: (B, d)."""
        mean, _, context = self._split(features)
        z: Tensor = self.flow(mean[None], context)[0]
        return z[0]

    def _split(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean, log-variance and context."""
        d = self.code_size
        return *moments(features[:, : 2 * d]), features[:, 2 * d :]
