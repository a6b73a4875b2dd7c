"""Networks: bodies only, built from a shape."""

from attar.networks.bag import Bag
from attar.networks.conv import Conv
from attar.networks.mlp import Linear, Mlp
from attar.networks.modules import Modules
from attar.networks.network import Network
from attar.networks.sequence import Gru, Tcn, Transformer

__all__ = ["Bag", "Conv", "Gru", "Linear", "Mlp", "Modules", "Network", "Tcn", "Transformer"]
