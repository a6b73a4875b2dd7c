"""Networks: bodies only, built from a shape."""

from attar.networks.base import Network
from attar.networks.conv import Asymmetric, Conv
from attar.networks.custom import CustomNetwork
from attar.networks.lapped import Lapped
from attar.networks.layers import Layered
from attar.networks.mlp import Bag, Linear, Mlp
from attar.networks.sequence import Gru, Tcn, Transformer
from attar.networks.spectral import Spectral
from attar.networks.spectrogram import Spectrogram
from attar.networks.statistics import statistics_of
from attar.networks.text import TextTransformer

__all__ = [
    "Asymmetric",
    "Bag",
    "Conv",
    "CustomNetwork",
    "Gru",
    "Lapped",
    "Layered",
    "Linear",
    "Mlp",
    "Network",
    "Spectral",
    "Spectrogram",
    "Tcn",
    "TextTransformer",
    "Transformer",
    "statistics_of",
]
