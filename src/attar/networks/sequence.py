"""Networks for time series: GRU, temporal convolutions and transformer."""

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
from attar.networks.base import Network, Reshape, Shape, activation, glorot
from attar.networks.mlp import Shortcut, linear, zeroed


def series(network: Network, shape: Shape) -> tuple[int, int]:
    """Return the number of channels and of time steps of a row.

    Raises
    ------
    SettingError
        If it is not a series.
    """
    if len(shape) != 2:
        raise SettingError(
            f"The network {network.name!r} needs series (channels, time), but a row of this data "
            f"has shape {shape}: use 'mlp'."
        )
    return shape[0], shape[1]


class ToPatches(nn.Module):
    """Splits time into patches of all channels; the last one is padded with zeros."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, N, C · patch) for (B, C, T), N = ⌈T / patch⌉."""
        rows, channels, time = x.shape
        x = functional.pad(x, (0, -time % self.patch))
        return x.reshape(rows, channels, -1, self.patch).transpose(1, 2).flatten(2)


class FromPatches(nn.Module):
    """Joins patches to a series, without the padding at its end."""

    def __init__(self, channels: int, time: int) -> None:
        super().__init__()
        self.channels, self.time = channels, time

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, T) for (B, N, C · patch)."""
        x = x.reshape(*x.shape[:2], self.channels, -1).transpose(1, 2)
        return x.flatten(2)[..., : self.time]


class PositionalEmbedding(nn.Module):
    """Adds a trained embedding of each position in time."""

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(positions, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, positions, width) for as much, or for (B, 1, width) at every position."""
        return x + self.weight


@dataclass(frozen=True)
class Gru(Network, name="gru"):
    """A bidirectional GRU as encoder and a unidirectional one as decoder.

    The features come from the last states. The decoder's input at each time step is the code plus a
    positional embedding. A linear shortcut is added to each network, whose own output is
    initialized at zero: it starts as a linear model and learns what a linear model misses.

    Parameters
    ----------
    units : int
        The size of the hidden state.
    layers : int
        Stacked recurrent layers of encoder and decoder.
    patch : int
        Time steps per recurrent step, all channels together.

    Examples
    --------
    >>> import torch
    >>> from attar.networks import Gru
    >>> encoder, x = Gru().encoder((2, 50), 3), torch.randn(4, 2, 50)
    >>> torch.equal(encoder(x), encoder.straight(x))
    True

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
            ToPatches(self.patch),
            LastStates(self._gru(channels * self.patch, bidirectional=True)),
            zeroed(linear(2 * self.units, width)),
        )
        return Shortcut(body, nn.Sequential(nn.Flatten(), linear(math.prod(shape), width)))

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, C, T)."""
        channels, time = self._checked(shape)
        body = nn.Sequential(
            linear(width, self.units),
            Reshape((1, self.units)),
            PositionalEmbedding(-(-time // self.patch), self.units),
            States(self._gru(self.units)),
            zeroed(linear(self.units, channels * self.patch)),
            FromPatches(channels, time),
        )
        return Shortcut(body, nn.Sequential(linear(width, math.prod(shape)), Reshape(shape)))

    def _checked(self, shape: Shape) -> tuple[int, int]:
        for setting in ("units", "layers", "patch"):
            self.positive_integer(setting)
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
    """The hidden states of a GRU at all time steps."""

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        self.gru = gru

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, N, units) for (B, N, features)."""
        states: Tensor = self.gru(x)[0]
        return states


class LastStates(nn.Module):
    """The last hidden states of a GRU, forwards and backwards."""

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        self.gru = gru

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2 · units) for (B, N, features)."""
        *_, forwards, backwards = self.gru(x)[1]
        return torch.cat((forwards, backwards), 1)


@dataclass(frozen=True)
class Tcn(Network, name="tcn"):
    """A temporal convolutional network, then a linear layer; the decoder mirrors the encoder.

    Each residual block halves the time steps, rounding up, and doubles the dilation: after n blocks
    of kernel size k, the receptive field is (k - 1)(4ⁿ - 1)/3 steps to either side. Convolutions
    are not causal, since a code encodes a whole window. A block is a strided convolution plus a
    residual branch that is initialized at zero: the network starts as a linear map.

    Parameters
    ----------
    channels : tuple of int
        Feature maps of each block; empty for a linear map.
    kernel : int
        The kernel size; odd.
    activation : str
        relu, leaky-relu, elu, gelu, silu, tanh or sigmoid.
    dropout : float
        Probability of dropping a feature map in training, 0 to 1.

    Examples
    --------
    >>> import torch
    >>> from attar.networks import Tcn
    >>> encoder, x = Tcn(channels=(4, 8)).encoder((1, 21), 3), torch.zeros(1, 1, 21)
    >>> [tuple(encoder[:n](x).shape[1:]) for n in (1, 2)]
    [(4, 11), (8, 6)]

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
        layers: list[nn.Module] = [linear(width, math.prod(top)), Reshape(top)]
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
            raise SettingError(f"The kernel of the network 'tcn' must be odd, not {self.kernel}.")
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
    """A pre-norm transformer on patches of time with positional embeddings, and a linear layer.

    The decoder's tokens are a linear map of the code. The residual branches are initialized at
    zero: the network starts as a linear map and learns what a linear map misses.

    Parameters
    ----------
    width : int
        The size of a token; feed-forward layers are four times as wide.
    heads : int
        The number of attention heads.
    layers : int
        Transformer layers of encoder and decoder.
    patch : int
        Time steps in a token, all channels together.

    Examples
    --------
    >>> import torch
    >>> from attar.networks import Transformer
    >>> encoder = Transformer(width=16, patch=5).encoder((2, 48), 3)
    >>> tokens = encoder[:3](torch.randn(4, 2, 48))
    >>> tokens.shape, torch.equal(encoder[3](tokens), tokens)
    (torch.Size([4, 10, 16]), True)

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
        channels, _, positions = self._sizes(shape)
        return nn.Sequential(
            ToPatches(self.patch),
            linear(channels * self.patch, self.width),
            PositionalEmbedding(positions, self.width),
            Attention(self.width, self.heads, self.layers),
            nn.Flatten(),
            linear(positions * self.width, width),
        )

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a module (B, width) -> (B, C, T)."""
        channels, time, positions = self._sizes(shape)
        return nn.Sequential(
            linear(width, positions * self.width),
            Reshape((positions, self.width)),
            PositionalEmbedding(positions, self.width),
            Attention(self.width, self.heads, self.layers),
            linear(self.width, channels * self.patch),
            FromPatches(channels, time),
        )

    def _sizes(self, shape: Shape) -> tuple[int, int, int]:
        """Return the number of channels, of time steps, and of patches."""
        for setting in ("width", "heads", "layers", "patch"):
            self.positive_integer(setting)
        if self.width % self.heads:
            raise SettingError(
                f"The width of the network 'transformer' must be a multiple of its {self.heads} "
                f"heads, not {self.width}."
            )
        channels, time = series(self, shape)
        return channels, time, -(-time // self.patch)


class Attention(nn.Module):
    """Transformer layers that start as the identity."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(_layer(width, heads) for _ in range(layers)))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, positions, width) for as much."""
        # The only attention kernel with second derivatives, which a penalty may need.
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
