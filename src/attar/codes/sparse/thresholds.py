"""Sparse codes by a threshold: L1, KL, gated and JumpReLU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.codes.point import PointModule
from attar.errors import SettingError
from attar.records import Coded


def with_slope(log_likelihood: LogLikelihood, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p(x | z) of codes (K, B, d) and its slope in them, as numbers to learn nothing by.

    Returns
    -------
    explained : Tensor (K, B)
    slope : Tensor (K, B, d)
    """
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        explained = log_likelihood(leaf)
        (slope,) = torch.autograd.grad(explained.sum(), leaf)
    return explained.detach(), slope


@dataclass(frozen=True)
class SparseL1(Code, name="sparse-l1"):
    """Rectified units that pay for their size: rate = Σ |z|, a Laplace prior but for a constant.

    Parameters
    ----------
    beta : float
        The price of a unit of activity, in nats.

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
    """Rectified units with the sum of their activity as rate."""

    def rate(self, z: Tensor) -> Tensor:
        """Return Σ |z|: (B,)."""
        return z.abs().sum(-1)

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with no negative activity."""
        return z.clamp_min(0)


@dataclass(frozen=True)
class SparseKL(Code, name="sparse-kl"):
    """Sigmoid units whose mean activity is drawn to a target: rate = Σ KL(target || mean).

    The mean is taken over the batch, and each row carries the whole sum.

    Parameters
    ----------
    target : float
        The wanted mean activity of each unit, between 0 and 1.
    beta : float
        The weight of the rate.

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
            raise SettingError(f"The target rate of {self!r} must lie between 0 and 1.")
        return SparseKLModule(self.target)


class SparseKLModule(PointModule):
    """Sigmoid units with the divergence of their mean activity from a target as rate."""

    def __init__(self, target: float) -> None:
        super().__init__("sigmoid")
        self.target = target

    def rate(self, z: Tensor) -> Tensor:
        """Return Σ ρ log(ρ/ρ̂) + (1-ρ) log((1-ρ)/(1-ρ̂)) with ρ̂ the batch's mean: (B,)."""
        tiny = torch.finfo(z.dtype).eps
        mean = z.mean(0).clamp(tiny, 1 - tiny)
        rho = torch.as_tensor(self.target, dtype=z.dtype, device=z.device)
        divergence = rho * (rho / mean).log() + (1 - rho) * ((1 - rho) / (1 - mean)).log()
        return divergence.sum().expand(len(z))

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with every unit between 0 and 1."""
        return z.clamp(0, 1)


@dataclass(frozen=True)
class Gated(Code, name="gated"):
    """Units with a gate and a magnitude: z = 1[g > 0] relu(m), rate = Σ relu(g).

    Both are made from the same features π: g = π + b, and m = exp(r) π + c, with r, b and c learnt
    for each unit. The price is paid by the gates alone, so that it shrinks no magnitude. Since a
    step teaches its gate nothing, in training relu(g) must explain the row too; only the gates
    learn from this, not the decoder.

    Parameters
    ----------
    beta : float
        The price of a gate's opening, in nats.

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
    """Rectified magnitudes behind gates."""

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
        """Return the codes and the gates' openings, the same with any noise."""
        z, opening = self.point(features), (features + self.gate_bias).relu()
        auxiliary_loss = None
        if self.training and log_likelihood is not None:
            auxiliary_loss = -by_codes_alone(log_likelihood, opening[None])
        return Coded(z[None], opening.sum(-1)[None], auxiliary_loss=auxiliary_loss)

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the magnitudes where the gates are open: (B, d)."""
        return self.constrain(self.log_scale.exp() * features + self.magnitude_bias)

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with what an open gate would not let through at zero."""
        # π > -b just where m > c - exp(r) b.
        least = self.magnitude_bias - self.log_scale.exp() * self.gate_bias
        return z.where(z > least.clamp_min(0), 0.0)


def by_codes_alone(log_likelihood: LogLikelihood, z: Tensor) -> Tensor:
    """Return log p(x | z) of codes (K, B, d), with its slope in the codes and in nothing else."""
    explained, slope = with_slope(log_likelihood, z)
    return explained + (slope * (z - z.detach())).sum(-1)


@dataclass(frozen=True)
class JumpRelu(Code, name="jumprelu"):
    """Units that jump from zero at a learnt threshold: z = x 1[x > θ], rate = Σ 1[x > θ].

    A step has no slope in θ. Its place is taken by that of the step seen through a rectangle of
    width ε: ∂1[x > θ]/∂θ = -1[|x - θ| < ε/2] / ε, and θ times as much for z.

    Parameters
    ----------
    beta : float
        The price of an active unit, in nats.
    threshold : float
        Where all θ start, above 0.
    bandwidth : float
        ε, above 0: how near to its threshold a unit must come for the threshold to learn.

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
    """Rectified units, each with a threshold of its own."""

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
        """Return the codes and how many units are active, the same with any noise."""
        z, threshold = self.point(features), self.log_threshold.exp()
        active = (z > 0).to(z.dtype)
        if self.training:
            near = (features - threshold).abs() < self.bandwidth / 2
            # It is zero, and has the slope of the smoothed step.
            slack = near * (threshold.detach() - threshold) / self.bandwidth
            z, active = z + threshold.detach() * slack, active + slack
        return Coded(z[None], active.sum(-1)[None])

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the features that are above their thresholds: (B, d)."""
        return self.constrain(features)

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with what is not above its threshold at zero."""
        return z.where(z > self.log_threshold.exp(), 0.0)
