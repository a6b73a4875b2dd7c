"""Binary codes: each number is a coin that the features weigh."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.codes.code import CodeModule
from attar.codes.symbols.relaxed import Relaxed, RelaxedModule


@dataclass(frozen=True)
class BernoulliBits(Relaxed, name="bernoulli"):
    """Each number is 0 or 1, drawn with probability sigmoid(feature) of 1.

    In training a draw is sigmoid((feature + logistic noise) / temperature), the binary concrete
    distribution. The rate is KL(q || Bernoulli(1/2)).

    Parameters
    ----------
    temperature : float
        Where the temperature starts.
    coolest : float
        Where it ends.
    cooling : float
        What it is multiplied with after each epoch.

    References
    ----------
    Maddison, Mnih and Teh, "The concrete distribution: a continuous relaxation of discrete random
    variables", ICLR 2017.
    """

    temperature: float = 1.0
    coolest: float = 0.5
    cooling: float = 0.9

    multiple = 1

    def noise(self, code_size: int) -> int:
        """Return two normals for each bit: their gumbel draws differ by a logistic one."""
        return 2 * code_size

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        self.check()
        return BernoulliModule(self.blocks(code_size), 2, self)


class BernoulliModule(RelaxedModule):
    """Draws of bits."""

    def logits(self, features: Tensor) -> Tensor:
        """Return zero for 0 and the feature for 1: (B, d, 2)."""
        return torch.stack([torch.zeros_like(features), features], -1)

    def numbers(self, shares: Tensor) -> Tensor:
        """Return the shares of 1."""
        return shares[..., 1]

    def symbols(self, z: Tensor) -> Tensor:
        """Return the nearest bits: (n, d)."""
        return (z > 0.5).long()
