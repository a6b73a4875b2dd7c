"""The plain code: a point."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from attar.codes.code import Code, CodeModule
from attar.networks.activations import activation
from attar.records import Coded


@dataclass(frozen=True)
class Point(Code, name="point"):
    """A point without a price: z = activation(features).

    Parameters
    ----------
    activation : str
        What the code layer ends in; ``"identity"`` leaves the features as they are.
    """

    activation: str = "identity"

    beta = 0.0

    def build(self, code_size: int) -> CodeModule:
        """Return the module."""
        return PointModule(self.activation)


class PointModule(CodeModule):
    """z = activation(features), at no rate."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.activation = activation(name)

    def forward(self, features: Tensor, noise: Tensor | None = None) -> Coded:
        """Return the points of features (B, d), the same with any noise."""
        z = self.point(features)
        return Coded(z[None], self.rate(z)[None])

    def point(self, features: Tensor) -> Tensor:
        """Return activation(features): (B, d)."""
        z: Tensor = self.activation(features)
        return z

    def rate(self, z: Tensor) -> Tensor:
        """Return what each code costs: (B,)."""
        return z.new_zeros(len(z))
