"""Recurrent networks for series."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.networks.mlp import Shortcut, linear, zeroed
from attar.networks.network import Network, Shape, Shaped
from attar.networks.sequence.series import Cut, Joined, Places, series


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
            Joined(channels, time),
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
