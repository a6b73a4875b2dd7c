"""Transformers for series: patches of time attend to each other."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from attar.errors import SettingError
from attar.networks.mlp import linear, zeroed
from attar.networks.network import Network, Shape, Shaped
from attar.networks.sequence.series import Cut, Joined, Places, series


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
            Joined(channels, time),
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
