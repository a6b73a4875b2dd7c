"""Convolutional networks for images of any size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from attar.errors import SettingError
from attar.networks.base import Network, Reshape, Shape, activation, glorot
from attar.networks.mlp import Shortcut, linear, zeroed


@dataclass(frozen=True)
class Conv(Network, name="conv"):
    """Strided convolutions, then a linear layer; the decoder mirrors the encoder.

    Each stage halves height and width, rounding up, and the decoder restores them: images
    (channels, height, width) may have any size.

    Parameters
    ----------
    channels : tuple of int
        Feature maps of each stage.
    activation : str
        relu, leaky-relu, elu, gelu, silu, tanh or sigmoid.
    dropout : float
        Probability of dropping a feature map in training, 0 to 1.
    normalization : bool
        Group normalization (Wu and He, 2018) before each activation.
    shortcut : bool
        Add a linear map from pixels to code and back, and initialize the convolutions' output at
        zero: the network starts as a linear model and learns what a linear model misses.

    Examples
    --------
    >>> import torch
    >>> from attar.networks import Conv
    >>> encoder = Conv(channels=(8, 16)).encoder((3, 27, 18), 10)
    >>> [tuple(encoder[:n](torch.zeros(1, 3, 27, 18)).shape[1:]) for n in (1, 3)]
    [(8, 14, 9), (16, 7, 5)]
    """

    channels: tuple[int, ...] = (32, 64, 128)
    activation: str = "silu"
    dropout: float = 0.0
    normalization: bool = False
    shortcut: bool = False

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, C, H, W) -> (B, width)."""
        stages = stages_of(self, self.channels, shape)
        layers: list[nn.Module] = []
        for (before, _, _), (after, _, _) in pairwise(stages):
            layers += [glorot(nn.Conv2d(before, after, 3, stride=2, padding=1))]
            layers += self._after(after)
        body = nn.Sequential(*layers, nn.Flatten(), linear(math.prod(stages[-1]), width))
        if not self.shortcut:
            return body
        zeroed(body[-1])
        return Shortcut(body, nn.Sequential(nn.Flatten(), linear(math.prod(shape), width)))

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, C, H, W)."""
        stages = stages_of(self, self.channels, shape)
        top = stages[-1]
        layers: list[nn.Module] = [linear(width, math.prod(top)), Reshape(top)]
        for (before, _, _), (after, *size) in pairwise(stages[::-1]):
            layers += self._after(before)
            layers += [nn.Upsample(tuple(size)), glorot(nn.Conv2d(before, after, 3, padding=1))]
        body = nn.Sequential(*layers)
        if not self.shortcut:
            return body
        zeroed(body[-1])
        return Shortcut(body, nn.Sequential(linear(width, math.prod(shape)), Reshape(shape)))

    def _after(self, channels: int) -> list[nn.Module]:
        after: list[nn.Module] = [activation(self.activation)]
        if self.normalization:
            after.insert(0, nn.GroupNorm(math.gcd(8, channels), channels))
        if self.dropout:
            after.append(nn.Dropout2d(self.dropout))
        return after


@dataclass(frozen=True)
class Asymmetric(Network, name="asymmetric"):
    """Strided convolutions with group normalization, and a light decoder of one hidden layer.

    It is for codes that recognize: the encoder learns most, and two views of a row pass through it.

    Parameters
    ----------
    channels : tuple of int
        Feature maps of each stage, which halves height and width, rounding up.
    hidden : int
        Units of the decoder's hidden layer.

    Examples
    --------
    >>> import torch
    >>> from attar.networks import Asymmetric
    >>> encoder = Asymmetric(channels=(8, 16)).encoder((3, 27, 18), 10)
    >>> [tuple(encoder[:n](torch.zeros(2, 3, 27, 18)).shape[1:]) for n in (1, 4)]
    [(8, 14, 9), (16, 7, 5)]

    References
    ----------
    He, Chen, Xie, Li, Dollár and Girshick, "Masked autoencoders are scalable vision learners",
    CVPR 2022. Wu and He, "Group normalization", ECCV 2018.
    """

    channels: tuple[int, ...] = (32, 64, 128)
    hidden: int = 512

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, C, H, W) -> (B, width)."""
        stages = stages_of(self, self.channels, shape)
        layers: list[nn.Module] = []
        for (before, _, _), (after, _, _) in pairwise(stages):
            layers += [glorot(nn.Conv2d(before, after, 3, stride=2, padding=1))]
            layers += [nn.GroupNorm(math.gcd(8, after), after), nn.SiLU()]
        return nn.Sequential(*layers, nn.Flatten(), linear(math.prod(stages[-1]), width))

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, C, H, W)."""
        stages_of(self, (), shape)
        hidden = self.positive_integer("hidden")
        layers = [linear(width, hidden), nn.SiLU(), linear(hidden, math.prod(shape))]
        return nn.Sequential(*layers, Reshape(shape))


def stages_of(network: Network, channels: tuple[int, ...], shape: Shape) -> list[tuple[int, ...]]:
    """Return the shapes (channels, height, width) before and after each stage.

    Raises
    ------
    SettingError
        If rows are no images.
    """
    if len(shape) != 3:
        raise SettingError(
            f"The network {network.name!r} needs images (channels, height, width), but a row of "
            f"this data has shape {shape}: use 'mlp'."
        )
    stages: list[tuple[int, ...]] = [shape]
    for maps in channels:
        _, height, width = stages[-1]
        stages.append((maps, -(-height // 2), -(-width // 2)))
    return stages
