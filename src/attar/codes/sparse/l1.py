"""Sparse by price: activity costs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from attar.codes.code import Code, CodeModule
from attar.codes.point import PointModule


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
