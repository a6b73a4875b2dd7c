"""Networks of series: GRU, temporal convolutions and transformer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from attar.checks import positive_integer
from attar.errors import SettingError
from attar.networks.base import Network, Shape, Shaped, activation, glorot
from attar.networks.mlp import Shortcut, linear, zeroed


def series(network: Network, shape: Shape) -> tuple[int, int]:
    """Return how many channels and steps of time a row has.

    Raises
    ------
    SettingError
        If it is no series.
    """
    if len(shape) != 2:
        raise SettingError(
            f"The network {network.name!r} needs series (channels, time), but a row of this data "
            f"has shape {shape}: use 'mlp'."
        )
    return shape[0], shape[1]


class Cut(nn.Module):
    """Cuts time into patches, each with all its channels; zeros fill up the last one."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, N, C · patch) for (B, C, T), N = ⌈T / patch⌉."""
        rows, channels, time = x.shape
        x = functional.pad(x, (0, -time % self.patch))
        return x.reshape(rows, channels, -1, self.patch).transpose(1, 2).flatten(2)


class Concatenated(nn.Module):
    """Joins patches to a series again; what is beyond its end is left out."""

    def __init__(self, channels: int, time: int) -> None:
        super().__init__()
        self.channels, self.time = channels, time

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, T) for (B, N, C · patch)."""
        x = x.reshape(*x.shape[:2], self.channels, -1).transpose(1, 2)
        return x.flatten(2)[..., : self.time]


class Places(nn.Module):
    """Adds to each place in time what is learnt of it."""

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(places, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, places, width) for as much, or for (B, 1, width) at all places."""
        return x + self.weight


@dataclass(frozen=True)
class Gru(Network, name="gru"):
    """Gated recurrent units that read a series both ways; from the code, others write it again.

    The code is made of the last states. The decoder gets it at every place in time, beside what is
    learnt of the place. Both are added to linear maps from end to end, and start at zero: the
    network begins as a linear model and learns what a linear model misses.

    Parameters
    ----------
    units : int
        Numbers in a state.
    layers : int
        Recurrent layers on top of each other, each way.
    patch : int
        Steps of time that are read and written at once, all channels together.

    References
    ----------
    Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
    translation", EMNLP 2014; Srivastava, Mansimov and Salakhutdinov, "Unsupervised learning of
    video representations using LSTMs", ICML 2015.
    """

    units: int = 96
    layers: int = 1
    patch: int = 8

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, C, T) -> (B, width)."""
        channels, _ = self._checked(shape)
        body = nn.Sequential(
            Cut(self.patch),
            LastStates(self._gru(channels * self.patch, bidirectional=True)),
            zeroed(linear(2 * self.units, width)),
        )
        return Shortcut(body, nn.Sequential(nn.Flatten(), linear(math.prod(shape), width)))

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, C, T)."""
        channels, time = self._checked(shape)
        body = nn.Sequential(
            linear(width, self.units),
            Shaped((1, self.units)),
            Places(-(-time // self.patch), self.units),
            States(self._gru(self.units)),
            zeroed(linear(self.units, channels * self.patch)),
            Concatenated(channels, time),
        )
        return Shortcut(body, nn.Sequential(linear(width, math.prod(shape)), Shaped(shape)))

    def _checked(self, shape: Shape) -> tuple[int, int]:
        for setting in ("units", "layers", "patch"):
            self.counted(setting)
        return series(self, shape)

    def _gru(self, features: int, bidirectional: bool = False) -> nn.GRU:
        gru = nn.GRU(
            features, self.units, self.layers, batch_first=True, bidirectional=bidirectional
        )
        for name, weight in gru.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(weight)
            elif name.startswith("weight_ih"):
                nn.init.xavier_uniform_(weight)
            else:
                for gate in weight.chunk(3):
                    nn.init.orthogonal_(gate)
        return gru


class States(nn.Module):
    """The states of recurrent units at all places."""

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        self.gru = gru

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, N, units) for (B, N, features)."""
        states: Tensor = self.gru(x)[0]
        return states


class LastStates(nn.Module):
    """The states of recurrent units once they have read everything, forwards and backwards."""

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        self.gru = gru

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2 · units) for (B, N, features)."""
        *_, forwards, backwards = self.gru(x)[1]
        return torch.cat((forwards, backwards), 1)


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
        if self.positive_integer("kernel") % 2 == 0:
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


@dataclass(frozen=True)
class Transformer(Network, name="transformer"):
    """Patches of time as tokens with learnt places, layers of attention, and a linear layer.

    The decoder's tokens are what a linear layer makes of the code for each place. The layers' part
    starts at zero: the network begins as a linear map and learns what a linear map misses.

    Parameters
    ----------
    width : int
        Numbers in a token.
    heads : int
        Into how many parts attention splits them.
    layers : int
        Layers of attention, each way; normalized before each part, four times as wide inside.
    patch : int
        Steps of time in a token, all channels together.

    References
    ----------
    Vaswani et al., "Attention is all you need", NeurIPS 2017; Nie et al., "A time series is worth
    64 words: long-term forecasting with transformers", ICLR 2023, for patches.
    """

    width: int = 64
    heads: int = 4
    layers: int = 2
    patch: int = 8

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a module (B, C, T) -> (B, width)."""
        channels, _, places = self._sizes(shape)
        return nn.Sequential(
            Cut(self.patch),
            linear(channels * self.patch, self.width),
            Places(places, self.width),
            Attention(self.width, self.heads, self.layers),
            nn.Flatten(),
            linear(places * self.width, width),
        )

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, C, T)."""
        channels, time, places = self._sizes(shape)
        return nn.Sequential(
            linear(width, places * self.width),
            Shaped((places, self.width)),
            Places(places, self.width),
            Attention(self.width, self.heads, self.layers),
            linear(self.width, channels * self.patch),
            Concatenated(channels, time),
        )

    def _sizes(self, shape: Shape) -> tuple[int, int, int]:
        """Return the channels, the steps of time, and the patches."""
        for setting in ("width", "heads", "layers", "patch"):
            self.counted(setting)
        if self.width % self.heads:
            raise SettingError(
                f"The {self.heads} heads of the network 'transformer' cannot share {self.width} "
                "numbers: make its width a multiple of its heads."
            )
        channels, time = series(self, shape)
        return channels, time, -(-time // self.patch)


class Attention(nn.Module):
    """Layers of attention that begin by changing nothing."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(_layer(width, heads) for _ in range(layers)))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, places, width) for as much."""
        # The only way of attention that has second derivatives, which a penalty may ask for.
        with sdpa_kernel(SDPBackend.MATH):
            y: Tensor = self.layers(x)
        return y


def _layer(width: int, heads: int) -> nn.Module:
    layer = nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    zeroed(layer.self_attn.out_proj)
    zeroed(layer.linear2)
    return layer
