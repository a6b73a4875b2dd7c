"""A normalizing flow over codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from attar.errors import SettingError
from attar.networks.masked import hidden_features
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
        Units in each hidden layer of a transform's network, no fewer than the code has numbers.
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
        return FlowModule(
            code_size, transforms, hidden_features(code_size, self.widths, 3 * bins - 1), bins
        )


class FlowModule(PriorModule):
    """zuko's neural spline flow, from codes to standard normals."""

    def __init__(self, code_size: int, transforms: int, widths: list[int], bins: int) -> None:
        from zuko.flows import NSF

        super().__init__()
        self.code_size = code_size
        with torch.device("cpu"):
            self.flow = NSF(
                code_size,
                transforms=transforms,
                bins=bins,
                hidden_features=widths,
                activation=nn.SiLU,
            )

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log N(f(z)) + log |det f'(z)|."""
        log_prob: Tensor = self.flow().log_prob(z)
        return log_prob

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return standard normals sent back through the transforms: (n, code_size)."""
        normals = torch.randn(n, self.code_size, generator=generator)
        z: Tensor = self.flow().transform.inv(normals.to(next(self.parameters())))
        return z.cpu()
