"""Networks: bodies only, built from a shape."""

from attar.networks.conv import Conv
from attar.networks.mlp import Linear, Mlp
from attar.networks.modules import Modules
from attar.networks.network import Network

__all__ = ["Conv", "Linear", "Mlp", "Modules", "Network"]
