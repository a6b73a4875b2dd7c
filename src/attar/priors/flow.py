"""A normalizing flow over codes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from attar.errors import SettingError
from attar.networks.masked import autoregressive
from attar.priors.normal import StandardNormalModule
from attar.priors.prior import Prior, PriorModule


@dataclass(frozen=True)
class Flow(Prior, name="flow"):
    """A standard normal that an invertible network bends: log p(z) = log N(f(z)) + log |det f'(z)|.

    Each transform of f is a monotonic spline for each number, of knots that depend on the numbers
    before it; the order is reversed from one to the next. Beyond 5 from zero it changes nothing.

    Parameters
    ----------
    transforms : int
    widths : tuple of int
        Units in each hidden layer of a transform's network.
    bins : int
        Pieces of each spline.

    References
    ----------
    Durkan, Bekasov, Murray and Papamakarios, "Neural spline flows", NeurIPS 2019. As a prior:
    Chen et al., "Variational lossy autoencoder", ICLR 2017.
    """

    transforms: int = 2
    widths: tuple[int, ...] = (64,)
    bins: int = 8

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module; it needs a transform and two bins at least."""
        transforms, bins = self.counted("transforms"), self.counted("bins")
        if bins < 2:
            raise SettingError(f"The bins of {self!r} must be 2 at least.")
        networks = [autoregressive(code_size, self.widths, 3 * bins - 1) for _ in range(transforms)]
        return FlowModule(code_size, networks, bins)


class FlowModule(PriorModule):
    """Autoregressive splines from codes to standard normals."""

    def __init__(self, code_size: int, networks: list[nn.Module], bins: int) -> None:
        super().__init__()
        self.base = StandardNormalModule(code_size)
        self.networks = nn.ModuleList(networks)
        self.sizes = [bins, bins, bins - 1]

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log N(f(z)) + log |det f'(z)|."""
        log_det = z.new_zeros(z.shape[:-1])
        for transform in self._transforms():
            z, change = transform.call_and_ladj(z)
            z, log_det = z.flip(-1), log_det + change
        return self.base.log_prob(z) + log_det

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return standard normals sent back through the transforms: (n, code_size)."""
        weight = next(self.parameters())
        z = self.base.sample(n, generator).to(weight)
        for transform in reversed(self._transforms()):
            z = transform.inv(z.flip(-1))
        return z.cpu()

    def _transforms(self) -> list[Any]:
        from zuko.transforms import AutoregressiveTransform

        size = self.base.code_size
        return [AutoregressiveTransform(partial(self._splines, net), size) for net in self.networks]

    def _splines(self, network: nn.Module, z: Tensor) -> Any:
        from zuko.transforms import DependentTransform, MonotonicRQSTransform

        knots = network(z).unflatten(-1, (z.shape[-1], -1)).split(self.sizes, -1)
        return DependentTransform(MonotonicRQSTransform(*knots), 1)
