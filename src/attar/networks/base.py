"""What every network is."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from attar.errors import unknown
from attar.parts import Part

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "leaky-relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def activation(name: str) -> nn.Module:
    """Return the activation function of this name.

    Raises
    ------
    SettingError
        If there is none of this name; the nearest one is suggested.
    """
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


Shape = tuple[int, ...]


class Network(Part):
    """A pair of bodies: from data to features, and from codes to a likelihood's parameters.

    Attributes
    ----------
    masked : bool
        Whether the encoder gets the mask of missing cells as further channels.
    seconds : float or None
        Of the windows of samples that it takes of sound; None where it takes any view.
    """

    masked: ClassVar[bool] = True
    seconds: ClassVar[float | None] = None

    @abstractmethod
    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, *shape) -> (B, width)."""

    @abstractmethod
    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, *shape)."""

    def blocks(self, shape: Shape) -> int | None:
        """Return how many blocks of equal width features and codes have; None for any."""
        return None


class Reshape(nn.Module):
    """Reshapes (B, n) to (B, *shape); nn.Unflatten does the same at a higher cost in each step."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, *shape)."""
        # Not len(x), here and in codes: an exported program would take it for a constant.
        return x.reshape(x.shape[0], *self.shape)


def glorot(layer: nn.Linear | nn.Conv1d | nn.Conv2d) -> nn.Module:
    """Initialize a layer as Glorot and Bengio (2010) do: uniform weights, zero biases.

    Zero biases keep rectified units active under large first steps.
    """
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
