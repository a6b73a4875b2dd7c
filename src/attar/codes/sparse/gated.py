"""Sparse by gates: whether a unit is active, and how much, are two questions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.codes.code import Code, CodeModule, Explain
from attar.codes.sparse.slope import with_slope
from attar.records import Coded


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
        self, features: Tensor, noise: Tensor | None = None, explain: Explain | None = None
    ) -> Coded:
        """Return the codes and the gates' openings, the same with any noise."""
        z, opening = self.point(features), (features + self.gate_bias).relu()
        upkeep = None
        if self.training and explain is not None:
            upkeep = -by_codes_alone(explain, opening[None])
        return Coded(z[None], opening.sum(-1)[None], upkeep=upkeep)

    def point(self, features: Tensor, explain: Explain | None = None) -> Tensor:
        """Return the magnitudes where the gates are open: (B, d)."""
        return self.constrain(self.log_scale.exp() * features + self.magnitude_bias)

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with what an open gate would not let through at zero."""
        # π > -b just where m > c - exp(r) b.
        least = self.magnitude_bias - self.log_scale.exp() * self.gate_bias
        return z.where(z > least.clamp_min(0), 0.0)


def by_codes_alone(explain: Explain, z: Tensor) -> Tensor:
    """Return log p(x | z) of codes (K, B, d), with its slope in the codes and in nothing else."""
    explained, slope = with_slope(explain, z)
    return explained + (slope * (z - z.detach())).sum(-1)
