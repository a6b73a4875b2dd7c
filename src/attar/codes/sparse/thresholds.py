"""Sparse codes by a penalty or a threshold: L1, KL, gated and JumpReLU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar import workers
from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.codes.point import PointModule
from attar.errors import SettingError
from attar.records import Coded


def with_gradient(log_likelihood: LogLikelihood, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p(x | z) of codes (K, B, d) and its gradient in them, both detached.

    Returns
    -------
    log_p : Tensor (K, B)
    gradient : Tensor (K, B, d)

    Examples
    --------
    >>> import torch
    >>> with_gradient(lambda z: -z.square().sum(-1), torch.tensor([[[1.0, 2.0]]]))
    (tensor([[-5.]]), tensor([[[-2., -4.]]]))
    """
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        log_p = log_likelihood(leaf)
        (gradient,) = torch.autograd.grad(log_p.sum(), leaf)
    return log_p.detach(), gradient


@dataclass(frozen=True)
class SparseL1(Code, name="sparse-l1"):
    """ReLU units with an L1 penalty: z = relu(f), rate = Σ |z|, the Laplace prior up to a constant.

    Parameters
    ----------
    beta : float
        The weight of the L1 penalty.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import SparseL1
    >>> coded = SparseL1().build(3)(torch.tensor([[-1.0, 0.5, 2.0]]))
    >>> coded.z, coded.rate
    (tensor([[[0.0000, 0.5000, 2.0000]]]), tensor([[2.5000]]))

    References
    ----------
    Olshausen and Field, "Emergence of simple-cell receptive field properties by learning a sparse
    code for natural images", Nature 1996.
    """

    beta: float = 0.1

    provides = frozenset({"point", "sparse"})

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        return SparseL1Module("relu")


class SparseL1Module(PointModule):
    """ReLU units with the sum of their activations as rate."""

    def rate(self, z: Tensor) -> Tensor:
        """Return Σ |z|: (B,)."""
        return z.abs().sum(-1)

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with no negative activation."""
        return z.clamp_min(0)


@dataclass(frozen=True)
class SparseKL(Code, name="sparse-kl"):
    """Sigmoid units whose mean activation is penalized: rate = Σ KL(target || mean).

    The mean is that of the batch, and the rate of each row is the whole sum.

    Parameters
    ----------
    target : float
        The wanted mean activation of each unit, between 0 and 1.
    beta : float
        The weight of the rate.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import SparseKL
    >>> code = SparseKL(target=0.5).build(1)
    >>> code(torch.tensor([[-1.0], [1.0]])).rate  # the mean of both activations is 0.5
    tensor([[0., 0.]])

    References
    ----------
    Ng, "Sparse autoencoder", CS294A lecture notes, 2011.
    """

    target: float = 0.1
    beta: float = 1.0

    provides = frozenset({"point", "sparse"})

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; the target must lie between 0 and 1."""
        if not 0 < self.target < 1:
            raise SettingError(f"The target of {self!r} must lie between 0 and 1.")
        return SparseKLModule(self.target)


class SparseKLModule(PointModule):
    """Sigmoid units with the divergence of their mean activation from a target as rate."""

    def __init__(self, target: float) -> None:
        super().__init__("sigmoid")
        self.target = target

    def rate(self, z: Tensor) -> Tensor:
        """Return Σ ρ log(ρ/ρ̂) + (1-ρ) log((1-ρ)/(1-ρ̂)) with ρ̂ the batch's mean: (B,)."""
        tiny = torch.finfo(z.dtype).eps
        mean = workers.all_rows(z).mean(0).clamp(tiny, 1 - tiny)
        rho = z.new_full((), self.target)
        divergence = rho * (rho / mean).log() + (1 - rho) * ((1 - rho) / (1 - mean)).log()
        return divergence.sum().expand(z.shape[0])

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with every unit between 0 and 1."""
        return z.clamp(0, 1)


@dataclass(frozen=True)
class Gated(Code, name="gated"):
    """Units with a gate and a magnitude: z = 1[g > 0] relu(m), rate = Σ relu(g).

    Both are computed from the same features π: g = π + b, and m = exp(r) π + c, with r, b and c
    trained for each unit. Only the gates are penalized, so that magnitudes don't shrink. Since a
    step has no gradient, in training relu(g) must reconstruct the row too, with a frozen decoder.

    Parameters
    ----------
    beta : float
        The weight of the L1 penalty on the gates.

    Examples
    --------
    At the start a gate and a magnitude are equal:

    >>> import torch
    >>> from attar.codes import Gated
    >>> coded = Gated().build(2)(torch.tensor([[-1.0, 2.0]]))
    >>> coded.z.tolist(), coded.rate.tolist()
    ([[[0.0, 2.0]]], [[2.0]])

    References
    ----------
    Rajamanoharan et al., "Improving dictionary learning with gated sparse autoencoders",
    NeurIPS 2024.
    """

    beta: float = 0.1

    provides = frozenset({"point", "sparse"})

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        return GatedModule(code_size)


class GatedModule(CodeModule):
    """ReLU magnitudes behind gates."""

    def __init__(self, code_size: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(code_size))
        self.gate_bias = nn.Parameter(torch.zeros(code_size))
        self.magnitude_bias = nn.Parameter(torch.zeros(code_size))

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the codes, with the sum of the open gates as rate, the same with any noise."""
        z, gates = self.point(features), (features + self.gate_bias).relu()
        auxiliary_loss = None
        if self.training and log_likelihood is not None:
            # With its gradient in the gates alone, not in the decoder.
            log_p, gradient = with_gradient(log_likelihood, gates[None])
            auxiliary_loss = -(log_p + (gradient * (gates - gates.detach())).sum(-1))
        return Coded(z[None], gates.sum(-1)[None], auxiliary_loss=auxiliary_loss)

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the magnitudes where the gates are open: (B, d)."""
        return self.constrain(self.log_scale.exp() * features + self.magnitude_bias)

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with zeros where an open gate has larger magnitudes."""
        # π > -b exactly where m > c - exp(r) b.
        least = self.magnitude_bias - self.log_scale.exp() * self.gate_bias
        return z.where(z > least.clamp_min(0), 0.0)


@dataclass(frozen=True)
class JumpRelu(Code, name="jumprelu"):
    """Units with a trained threshold θ and an L0 penalty: z = x 1[x > θ], rate = Σ 1[x > θ].

    A step has no gradient in θ. It is replaced by that of the step smoothed by a rectangle of
    width ε: ∂1[x > θ]/∂θ = -1[|x - θ| < ε/2] / ε, and θ times as much for z.

    Parameters
    ----------
    beta : float
        The L0 penalty per active unit, in nats.
    threshold : float
        The initial θ, above 0.
    bandwidth : float
        ε, above 0: the width around a threshold in which units change it.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import JumpRelu
    >>> coded = JumpRelu(threshold=0.5).build(3)(torch.tensor([[0.25, 0.75, 3.0]]))
    >>> coded.z.tolist(), coded.rate.tolist()
    ([[[0.0, 0.75, 3.0]]], [[2.0]])

    References
    ----------
    Rajamanoharan et al., "Jumping ahead: improving reconstruction fidelity with JumpReLU sparse
    autoencoders", 2024.
    """

    beta: float = 0.1
    threshold: float = 0.1
    bandwidth: float = 0.1

    provides = frozenset({"point", "sparse"})

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; threshold and bandwidth must be positive."""
        return JumpReluModule(code_size, self.positive("threshold"), self.positive("bandwidth"))


class JumpReluModule(CodeModule):
    """ReLU units, each with its own threshold."""

    def __init__(self, code_size: int, threshold: float, bandwidth: float) -> None:
        super().__init__()
        self.bandwidth = bandwidth
        self.log_threshold = nn.Parameter(torch.full((code_size,), math.log(threshold)))

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the codes and the number of active units, the same with any noise."""
        z, threshold = self.point(features), self.log_threshold.exp()
        active = (z > 0).to(z.dtype)
        if self.training:
            near = (features - threshold).abs() < self.bandwidth / 2
            # Zero, with the gradient of the smoothed step.
            step = near * (threshold.detach() - threshold) / self.bandwidth
            z, active = z + threshold.detach() * step, active + step
        return Coded(z[None], active.sum(-1)[None])

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the features that are above their thresholds: (B, d)."""
        return self.constrain(features)

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with zeros up to the thresholds."""
        return z.where(z > self.log_threshold.exp(), 0.0)
