"""The plain code: a point."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from attar.codes.code import Code, CodeModule, Explain
from attar.networks.activations import activation
from attar.priors import Prior, PriorModule
from attar.records import Coded


@dataclass(frozen=True)
class Point(Code, name="point"):
    """A point without a price: z = activation(features).

    Parameters
    ----------
    activation : str
        What the code layer ends in; ``"identity"`` leaves the features as they are.
    prior : Prior or None
        Where codes are expected to lie: penalties may draw them there, and new ones are drawn
        from it.
    """

    activation: str = "identity"
    prior: Prior | None = None

    beta = 0.0
    provides = frozenset({"point"})

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        prior = None if self.prior is None else self.prior.build(code_size, shape)
        return PointModule(self.activation, prior)


class PointModule(CodeModule):
    """z = activation(features), at no rate."""

    def __init__(self, name: str, prior: PriorModule | None = None) -> None:
        super().__init__(prior)
        self.activation = activation(name)

    def forward(
        self, features: Tensor, noise: Tensor | None = None, explain: Explain | None = None
    ) -> Coded:
        """Return the points of features (B, d), the same with any noise."""
        z = self.point(features)
        return Coded(z[None], self.rate(z)[None])

    def point(self, features: Tensor, explain: Explain | None = None) -> Tensor:
        """Return activation(features): (B, d)."""
        z: Tensor = self.activation(features)
        return z

    def rate(self, z: Tensor) -> Tensor:
        """Return what each code costs: (B,)."""
        return z.new_zeros(len(z))
