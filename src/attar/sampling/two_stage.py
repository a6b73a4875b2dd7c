"""Sampling from a second variational autoencoder, of the codes of the first."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from attar.codes import CodeModule
from attar.codes.gaussian import GaussianModule
from attar.likelihoods.continuous import ColumnsGaussianModule
from attar.networks import Mlp, Network
from attar.priors import StandardNormal, sample_normal
from attar.sampling.base import Draw, Sampler, Standardizer, trained


@dataclass(frozen=True)
class TwoStage(Sampler, name="two-stage"):
    """A second, small variational autoencoder of standardised codes, with codes of the same size.

    A new code is drawn from its decoder's gaussian, at a draw of its prior.

    Parameters
    ----------
    network : Network
        A straight path beside it lets the second code be the first, where there is no more to find.
    steps : int
        Of training.

    References
    ----------
    Dai and Wipf, "Diagnosing and enhancing VAE models", ICLR 2019.
    """

    network: Network = field(default_factory=lambda: Mlp((64, 64), "silu", shortcut=True))
    steps: int = 1500

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the second autoencoder's draws."""
        standard, size = Standardizer.of(codes), codes.shape[1]
        second = trained(
            lambda: SecondStage(self.network, size),
            SecondStage.loss,
            standard.there(codes),
            self.steps,
        )

        def draw(n: int, generator: Generator) -> Tensor:
            return standard.back(second.sample(n, generator))

        return draw


class SecondStage(nn.Module):
    """A variational autoencoder of codes."""

    def __init__(self, network: Network, size: int) -> None:
        super().__init__()
        self.encoder = network.encoder((size,), 2 * size)
        self.code = GaussianModule(StandardNormal().build(size))
        self.decoder = network.decoder(size, (size,))
        self.likelihood = ColumnsGaussianModule(size)

    def loss(self, rows: Tensor) -> Tensor:
        """Return distortion and rate of rows (b, d), in nats: (1, b)."""
        coded = self.code(self.encoder(rows))
        cells = self.likelihood.log_prob(self.decoder(coded.z[0])[None], rows)
        loss: Tensor = coded.rate - cells.sum(-1)
        return loss

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return draws around what the decoder makes of draws of the prior: (n, d)."""
        mean = self.decoder(self.code.prior.sample(n, generator))
        return sample_normal(mean, self.likelihood.log_variances().expand_as(mean), generator)
