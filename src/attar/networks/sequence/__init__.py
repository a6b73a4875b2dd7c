"""Networks for series: rows of channels that run along time, (channels, time)."""

from attar.networks.sequence.gru import Gru
from attar.networks.sequence.tcn import Tcn
from attar.networks.sequence.transformer import Transformer

__all__ = ["Gru", "Tcn", "Transformer"]
