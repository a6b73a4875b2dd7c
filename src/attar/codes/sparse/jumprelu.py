"""Sparse by learnt thresholds: a unit is active above its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.codes.code import Code, CodeModule, Explain
from attar.records import Coded


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
        self, features: Tensor, noise: Tensor | None = None, explain: Explain | None = None
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

    def point(self, features: Tensor, explain: Explain | None = None) -> Tensor:
        """Return the features that are above their thresholds: (B, d)."""
        return self.constrain(features)

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with what is not above its threshold at zero."""
        return z.where(z > self.log_threshold.exp(), 0.0)
