"""Categorical codes: each symbol is drawn from levels of its own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from attar.codes.code import CodeModule
from attar.codes.symbols.relaxed import Relaxed, RelaxedModule
from attar.codes.symbols.symbol import apart


@dataclass(frozen=True)
class Gumbel(Relaxed, name="gumbel"):
    """Each symbol is one of ``levels``, drawn with probabilities softmax(features), as one-hot.

    In training a draw is softmax((log p + gumbel noise) / temperature). The rate is
    KL(q || uniform).

    Parameters
    ----------
    levels : int
        How many symbols there are, each a number of the code: there are ``code_size / levels``
        positions.
    temperature : float
        Where the temperature starts.
    coolest : float
        Where it ends.
    cooling : float
        What it is multiplied with after each epoch.

    References
    ----------
    Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017. Maddison,
    Mnih and Teh, "The concrete distribution", ICLR 2017.
    """

    levels: int = 4
    temperature: float = 1.0
    coolest: float = 0.5
    cooling: float = 0.9

    @property
    def multiple(self) -> int:
        """A number for each level."""
        return self.levels

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        self.require(self.levels >= 2, "at least 2 levels")
        self.check()
        return GumbelModule(positions, self.levels, self)


class GumbelModule(RelaxedModule):
    """Draws of categorical distributions, as one-hot numbers."""

    def logits(self, features: Tensor) -> Tensor:
        """Return the features: (B, positions, levels)."""
        return apart(features, self.levels)

    def numbers(self, shares: Tensor) -> Tensor:
        """Return the shares themselves."""
        return shares.flatten(-2)

    def symbols(self, z: Tensor) -> Tensor:
        """Return which number is the largest at each position: (n, positions)."""
        return apart(z, self.levels).argmax(-1)
