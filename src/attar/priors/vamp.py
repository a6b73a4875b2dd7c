"""The prior that is made of posteriors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.errors import SettingError
from attar.priors.mixture import Components, MixtureModule
from attar.priors.normal import moments
from attar.priors.prior import Prior, PriorModule


@dataclass(frozen=True)
class Vamp(Prior, name="vamp"):
    """The mean posterior of rows that are learnt: p(z) = Σ q(z|u_k) / K.

    With every row of the data for u it would be the best of priors, the aggregate posterior.

    Parameters
    ----------
    components : int
        K; the rows are some of the data's to begin with.

    References
    ----------
    Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018.
    """

    components: int = 50

    needs = frozenset({"moments"})
    encodes = True

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module."""
        return VampModule(self.counted("components"), code_size, shape)


class VampModule(MixtureModule):
    """Equal parts of the posteriors of learnt rows."""

    def __init__(self, components: int, code_size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.code_size = code_size
        self.rows = nn.Parameter(torch.randn(components, *shape))

    def attach(self, encode: Callable[[Tensor], Tensor]) -> None:
        """Keep how features are made; a method of the model is copied along with the model."""
        self.encode = encode

    @torch.no_grad()
    def on_data(self, values: Tensor) -> None:
        """Take rows evenly among those given, with a little noise on what is taken again."""
        wanted, rows = len(self.rows), len(values)
        order = torch.arange(wanted, device=values.device)
        taken = values.to_dense()[order * max(wanted, rows) // wanted % rows]
        again = order >= rows
        # Equal rows would have equal gradients, and stay equal.
        noise = 0.01 * torch.randn_like(taken) * again.reshape(-1, *[1] * (taken.ndim - 1))
        self.rows.copy_(taken + noise)

    def components(self) -> Components:
        """Return the posteriors of the learnt rows.

        Raises
        ------
        SettingError
            If the features are no mean and log-variance.
        """
        features = self.encode(self.rows)
        if features.shape[1] != 2 * self.code_size:
            raise SettingError(
                "The prior 'vamp' needs a gaussian code: use Gaussian(prior=Vamp())."
            )
        log_weights = features.new_full((len(features),), -math.log(len(features)))
        return Components(log_weights, *moments(features))
