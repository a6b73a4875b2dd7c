"""Temporal convolutional networks for series of any length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from attar.checks import positive_integer
from attar.errors import SettingError
from attar.networks.activations import activation
from attar.networks.mlp import Shortcut, linear, zeroed
from attar.networks.network import Network, Shape, Shaped, glorot
from attar.networks.sequence.series import series


@dataclass(frozen=True)
class Tcn(Network, name="tcn"):
    """Residual blocks of dilated convolutions along time, then a linear layer; mirrored to decode.

    Each block halves the time, rounding up, and doubles the dilation of the one before, so what a
    number sees grows fourfold from block to block: after n blocks of kernel k these are
    (k - 1)(4ⁿ - 1)/3 steps to either side. Unlike those that forecast, these blocks look ahead as
    they look back, since a code is made of a whole window. Blocks are a strided convolution and a
    correction that starts at zero: the network begins as a linear map.

    Parameters
    ----------
    channels : tuple of int
        Feature maps of each block; empty for a linear map.
    kernel : int
        Steps that a convolution weighs; odd.
    activation : str
        relu, leaky-relu, elu, gelu, silu, tanh or sigmoid.
    dropout : float
        Share of feature maps that are silenced at each step, 0 to 1.

    References
    ----------
    Bai, Kolter and Koltun, "An empirical evaluation of generic convolutional and recurrent networks
    for sequence modeling", arXiv:1803.01271.
    """

    channels: tuple[int, ...] = (16, 32, 64)
    kernel: int = 3
    activation: str = "relu"
    dropout: float = 0.0

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, C, T) -> (B, width)."""
        stages = self._stages(shape)
        layers: list[nn.Module] = []
        for number, ((before, _), (after, _)) in enumerate(pairwise(stages)):
            body = nn.Sequential(
                self._convolution(before, after, 2**number),
                *self._after(),
                zeroed(self._convolution(after, after, 2**number, stride=2)),
            )
            layers.append(Shortcut(body, self._convolution(before, after, stride=2)))
        return nn.Sequential(*layers, nn.Flatten(), linear(math.prod(stages[-1]), width))

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, C, T)."""
        stages = self._stages(shape)
        top = stages[-1]
        layers: list[nn.Module] = [linear(width, math.prod(top)), Shaped(top)]
        for number, ((after, time), (before, _)) in reversed(list(enumerate(pairwise(stages)))):
            body = nn.Sequential(
                self._convolution(before, before, 2**number),
                *self._after(),
                nn.Upsample(time),
                zeroed(self._convolution(before, after, 2**number)),
            )
            straight = nn.Sequential(nn.Upsample(time), self._convolution(before, after))
            layers.append(Shortcut(body, straight))
        return nn.Sequential(*layers)

    def _stages(self, shape: Shape) -> list[tuple[int, int]]:
        for channels in self.channels:
            positive_integer(f"Each of the channels of {self!r}", channels)
        if self.counted("kernel") % 2 == 0:
            raise SettingError(
                f"The kernel of the network 'tcn' must be odd, to have a middle, not {self.kernel}."
            )
        stages = [series(self, shape)]
        for channels in self.channels:
            stages.append((channels, -(-stages[-1][1] // 2)))
        return stages

    def _convolution(
        self, before: int, after: int, dilation: int = 1, stride: int = 1
    ) -> nn.Module:
        reach = dilation * (self.kernel // 2)
        layer = nn.Conv1d(before, after, self.kernel, stride, padding=reach, dilation=dilation)
        return glorot(layer)

    def _after(self) -> list[nn.Module]:
        after: list[nn.Module] = [activation(self.activation)]
        if self.dropout:
            after.append(nn.Dropout1d(self.dropout))
        return after
