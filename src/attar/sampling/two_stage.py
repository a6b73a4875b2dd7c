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
    """A second, small variational autoencoder of standardized codes, with codes of the same size.

    A new code is a sample of its decoder's Gaussian, given a sample of its prior N(0, I).

    Parameters
    ----------
    network : Network
        With a linear shortcut, by which the second code can equal the first.
    steps : int
        The number of training steps.

    Examples
    --------
    A constant dimension stays constant:

    >>> from attar.codes import Point
    >>> codes = torch.tensor([[0.0, 7.0], [1.0, 7.0]])
    >>> draw = TwoStage(steps=1).fit(Point().build(2), codes)
    >>> draw(3, torch.Generator())[:, 1]
    tensor([7., 7., 7.])

    References
    ----------
    Dai and Wipf, "Diagnosing and enhancing VAE models", ICLR 2019.
    """

    network: Network = field(default_factory=lambda: Mlp((64, 64), "silu", shortcut=True))
    steps: int = 1500

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the second autoencoder's draws."""
        standardizer, size = Standardizer.of(codes), codes.shape[1]
        second = trained(
            lambda: SecondStage(self.network, size),
            SecondStage.loss,
            standardizer.transform(codes),
            self.steps,
        )
        return lambda n, generator: standardizer.inverse(second.sample(n, generator))


class SecondStage(nn.Module):
    """A variational autoencoder of codes."""

    def __init__(self, network: Network, size: int) -> None:
        super().__init__()
        self.encoder = network.encoder((size,), 2 * size)
        self.code = GaussianModule(StandardNormal().build(size))
        self.decoder = network.decoder(size, (size,))
        self.likelihood = ColumnsGaussianModule(size)

    def loss(self, rows: Tensor) -> Tensor:
        """Return distortion plus rate of rows (b, d), in nats: (1, b)."""
        coded = self.code(self.encoder(rows))
        log_prob = self.likelihood.log_prob(self.decoder(coded.z[0])[None], rows)
        loss: Tensor = coded.rate - log_prob.sum(-1)
        return loss

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return samples of the decoder's Gaussian, given samples of the prior: (n, d)."""
        mean = self.decoder(self.code.prior.sample(n, generator))
        return sample_normal(mean, self.likelihood.log_variances().expand_as(mean), generator)
