"""What networks of series share: their rows, their settings, and patches of time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.errors import SettingError
from attar.networks.network import Network, Shape


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


class Joined(nn.Module):
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
