"""What every network is: a spec that builds an encoder and its mirror, a decoder, from a shape."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from attar.parts import Part

Shape = tuple[int, ...]


class Network(Part):
    """A pair of bodies: from data to features, and from codes to a likelihood's parameters."""

    @abstractmethod
    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, *shape) -> (B, width)."""

    @abstractmethod
    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, *shape)."""


class Shaped(nn.Module):
    """Gives rows of numbers (B, n) a shape (B, *shape); torch's own way costs more in each step."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, *shape)."""
        return x.reshape(len(x), *self.shape)


def glorot(layer: nn.Linear | nn.Conv1d | nn.Conv2d) -> nn.Module:
    """Start a layer as Glorot and Bengio (2010) do: uniform weights, no bias.

    A bias that starts at zero keeps rectified units alive under large first steps.
    """
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
