"""Samplers from a density: the prior, a Gaussian mixture, a kernel density, a flow."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Generator, Tensor

from attar.codes import CodeModule
from attar.errors import SettingError
from attar.priors import NormalizingFlow
from attar.sampling.base import Draw, Sampler, Standardizer, trained

# So many codes are drawn at once: samplers need far more memory than the codes themselves.
PART = 1 << 14


def fit_sampler(sampler: Sampler | None, code: CodeModule, codes: Tensor) -> Draw:
    """Return what draws new codes, valid ones.

    Parameters
    ----------
    sampler : Sampler or None
        None for the prior where the code has one, and a mixture of gaussians where it has none.
    code : CodeModule
    codes : Tensor (m, d)
        The codes of rows that were learnt from.
    """
    if sampler is None:
        sampler = GaussianMixture() if code.prior is None else FromPrior()
    draw = sampler.fit(code, codes)

    def valid(n: int, generator: Generator) -> Tensor:
        sizes = [min(PART, n - start) for start in range(0, n, PART)]
        with torch.no_grad():
            return torch.cat([code.constrain(draw(size, generator)) for size in sizes])

    return valid


@dataclass(frozen=True)
class FromPrior(Sampler, name="prior"):
    """The code's prior: where codes are expected to lie."""

    needs = frozenset({"draws"})

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the prior's own draws; the code must have a prior."""
        if code.prior is None:
            raise SettingError(
                "The sampler 'prior' needs a code with a prior, and this one has none: use "
                "'mixture', 'kernel-density' or 'flow'."
            )
        return code.prior.sample


@dataclass(frozen=True)
class GaussianMixture(Sampler, name="mixture"):
    """A mixture of gaussians.

    Parameters
    ----------
    components : int
        At most so many; one for each 5 d rows or each distinct one at most.

    References
    ----------
    Ghosh, Sajjadi, Vergari, Black and Schölkopf, "From variational to deterministic autoencoders",
    ICLR 2020.
    """

    components: int = 10

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the mixture's draws; a single row gives itself."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture as Mixture

        rows = codes.double().numpy()
        if len(rows) < 2:
            return lambda n, _: codes.expand(n, -1)
        distinct = len(np.unique(rows, axis=0))
        components = min(self.components, distinct, max(1, len(rows) // (5 * rows.shape[1])))
        mixture = Mixture(components, reg_covar=1e-6, random_state=0)
        with warnings.catch_warnings():
            # A fit that could still get a little better is good enough to draw from.
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(rows)
        shares = torch.from_numpy(mixture.weights_)
        means = torch.from_numpy(mixture.means_)
        spreads = torch.linalg.cholesky(torch.from_numpy(mixture.covariances_))

        def draw(n: int, generator: Generator) -> Tensor:
            which = torch.multinomial(shares, n, replacement=True, generator=generator)
            noise = torch.randn(n, means.shape[1], 1, dtype=means.dtype, generator=generator)
            drawn: Tensor = means[which] + (spreads[which] @ noise)[..., 0]
            return drawn.to(codes.dtype)

        return draw


@dataclass(frozen=True)
class KernelDensity(Sampler, name="kernel-density"):
    """A gaussian around a known code, each as likely as the others.

    Its covariance is that of all codes times (bandwidth · m^(-1 / (d + 4)))², Scott's rule for m
    codes of d numbers.

    Parameters
    ----------
    bandwidth : float
        In units of Scott's rule; 0 draws known codes themselves.

    References
    ----------
    Scott, "Multivariate density estimation", Wiley 1992.
    """

    bandwidth: float = 1.0

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the draws; a single code gives itself."""
        bandwidth = self.non_negative("bandwidth")
        m, d = codes.shape
        rows = codes.double()
        centred = (rows - rows.mean(0)) / max(1, m - 1) ** 0.5
        # A root of the covariance, which may have directions without any variance.
        _, scales, axes = torch.linalg.svd(centred, full_matrices=False)
        root = bandwidth * m ** (-1 / (d + 4)) * scales[:, None] * axes

        def draw(n: int, generator: Generator) -> Tensor:
            which = torch.randint(m, (n,), generator=generator)
            noise = torch.randn(n, len(root), dtype=root.dtype, generator=generator)
            drawn: Tensor = rows[which] + noise @ root
            return drawn.to(codes.dtype)

        return draw


@dataclass(frozen=True)
class FittedFlow(Sampler, name="flow"):
    """A normalizing flow that is fitted to standardised codes by their likelihood.

    Parameters
    ----------
    flow : Flow
    steps : int
        Of training.

    References
    ----------
    Böhm and Seljak, "Probabilistic autoencoder", TMLR 2022.
    """

    flow: NormalizingFlow = field(default_factory=NormalizingFlow)
    steps: int = 400

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the flow's draws."""
        standard = Standardizer.of(codes)
        flow = trained(
            lambda: self.flow.build(codes.shape[1]),
            lambda flow, rows: -flow.log_prob(rows),
            standard.there(codes),
            self.steps,
        )

        def draw(n: int, generator: Generator) -> Tensor:
            return standard.back(flow.sample(n, generator))

        return draw
