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

# The most codes that are drawn at once: samplers take far more memory than the codes themselves.
CHUNK = 1 << 14


def fit_sampler(sampler: Sampler | None, code: CodeModule, codes: Tensor) -> Draw:
    """Return the draws of a fitted sampler, constrained to valid codes.

    Parameters
    ----------
    sampler : Sampler or None
        None for the prior where the code has one, and a Gaussian mixture where it has none.
    code : CodeModule
    codes : Tensor (m, d)
        The codes of the training rows.

    Examples
    --------
    >>> from attar.codes import Sphere
    >>> draw = fit_sampler(None, Sphere().build(3), torch.zeros(1, 3))
    >>> torch.allclose(draw(5, torch.Generator()).norm(dim=1), torch.ones(5))
    True
    """
    if sampler is None:
        sampler = GaussianMixture() if code.prior is None else FromPrior()
    draw = sampler.fit(code, codes)

    def valid(n: int, generator: Generator) -> Tensor:
        sizes = [min(CHUNK, n - start) for start in range(0, n, CHUNK)]
        with torch.no_grad():
            return torch.cat([code.constrain(draw(size, generator)) for size in sizes])

    return valid


@dataclass(frozen=True)
class FromPrior(Sampler, name="prior"):
    """The code's prior p(z).

    Examples
    --------
    >>> from attar.codes import Gaussian
    >>> draw = FromPrior().fit(Gaussian().build(2), torch.zeros(1, 2))
    >>> z = draw(10_000, torch.Generator().manual_seed(0))
    >>> bool(z.mean().abs() < 0.02), bool((z.std() - 1).abs() < 0.02)
    (True, True)
    """

    needs = frozenset({"draws"})

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the prior's draws; the code must have a prior."""
        if code.prior is None:
            raise SettingError(
                "The sampler 'prior' needs a code with a prior, and this one has none: use "
                "'mixture', 'kernel-density' or 'flow'."
            )
        return code.prior.sample


@dataclass(frozen=True)
class GaussianMixture(Sampler, name="mixture"):
    """A mixture of Gaussians with full covariances: p(z) = Σ π_k N(z; μ_k, Σ_k).

    Parameters
    ----------
    components : int
        The most components; there is at most one for every 5 d codes and one for each distinct one.

    Examples
    --------
    >>> from attar.codes import Point
    >>> codes = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)) + 5
    >>> draw = GaussianMixture(components=1).fit(Point().build(2), codes)
    >>> bool((draw(10_000, torch.Generator()).mean() - 5).abs() < 0.1)
    True

    References
    ----------
    Ghosh, Sajjadi, Vergari, Black and Schölkopf, "From variational to deterministic autoencoders",
    ICLR 2020.
    """

    components: int = 10

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the mixture's draws; of a single code, that code."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture as Mixture

        rows = codes.double().numpy()
        if len(rows) < 2:
            return lambda n, _: codes.expand(n, -1)
        distinct = len(np.unique(rows, axis=0))
        components = min(self.components, distinct, max(1, len(rows) // (5 * rows.shape[1])))
        mixture = Mixture(components, reg_covar=1e-6, random_state=0)
        with warnings.catch_warnings():
            # A fit that has almost converged is good enough to draw from.
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(rows)
        weights = torch.from_numpy(mixture.weights_)
        means = torch.from_numpy(mixture.means_)
        roots = torch.linalg.cholesky(torch.from_numpy(mixture.covariances_))

        def draw(n: int, generator: Generator) -> Tensor:
            component = torch.multinomial(weights, n, replacement=True, generator=generator)
            noise = torch.randn(n, means.shape[1], 1, dtype=means.dtype, generator=generator)
            z: Tensor = means[component] + (roots[component] @ noise)[..., 0]
            return z.to(codes.dtype)

        return draw


@dataclass(frozen=True)
class KernelDensity(Sampler, name="kernel-density"):
    """A kernel density estimate with a Gaussian kernel at each training code.

    Its covariance is that of all codes times (bandwidth · m^(-1 / (d + 4)))², Scott's rule for m
    codes of size d.

    Parameters
    ----------
    bandwidth : float
        In units of Scott's rule; 0 draws training codes themselves.

    Examples
    --------
    >>> from attar.codes import Point
    >>> codes = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> draw = KernelDensity(bandwidth=0.0).fit(Point().build(2), codes)
    >>> sorted({tuple(z) for z in draw(50, torch.Generator()).tolist()})
    [(1.0, 2.0), (3.0, 4.0)]

    References
    ----------
    Scott, "Multivariate density estimation", Wiley 1992.
    """

    bandwidth: float = 1.0

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the draws; of a single code, that code."""
        bandwidth = self.non_negative("bandwidth")
        m, d = codes.shape
        rows = codes.double()
        centred = (rows - rows.mean(0)) / max(1, m - 1) ** 0.5
        # A root of the covariance, which may be singular.
        _, scales, axes = torch.linalg.svd(centred, full_matrices=False)
        root = bandwidth * m ** (-1 / (d + 4)) * scales[:, None] * axes

        def draw(n: int, generator: Generator) -> Tensor:
            centres = rows[torch.randint(m, (n,), generator=generator)]
            noise = torch.randn(n, len(root), dtype=root.dtype, generator=generator)
            z: Tensor = centres + noise @ root
            return z.to(codes.dtype)

        return draw


@dataclass(frozen=True)
class FittedFlow(Sampler, name="flow"):
    """A normalizing flow, fitted to standardized codes by maximum likelihood.

    Parameters
    ----------
    flow : NormalizingFlow
    steps : int
        The number of training steps.

    Examples
    --------
    A constant dimension stays constant:

    >>> from attar.codes import Point
    >>> codes = torch.tensor([[0.0, 7.0], [1.0, 7.0]])
    >>> draw = FittedFlow(steps=1).fit(Point().build(2), codes)
    >>> draw(3, torch.Generator())[:, 1]
    tensor([7., 7., 7.])

    References
    ----------
    Böhm and Seljak, "Probabilistic autoencoder", TMLR 2022.
    """

    flow: NormalizingFlow = field(default_factory=NormalizingFlow)
    steps: int = 400

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the flow's draws."""
        standardizer = Standardizer.of(codes)
        flow = trained(
            lambda: self.flow.build(codes.shape[1]),
            lambda flow, rows: -flow.log_prob(rows),
            standardizer.transform(codes),
            self.steps,
        )
        return lambda n, generator: standardizer.inverse(flow.sample(n, generator))
