"""Samplers that need no training: the prior, and a mixture of gaussians fitted to codes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from attar.codes import CodeModule
from attar.errors import SettingError
from attar.sampling.sampler import Draw, Sampler

# So many codes are drawn at once: samplers need far more memory than the codes themselves.
PART = 1 << 14


def drawing(sampler: Sampler | None, code: CodeModule, codes: Tensor) -> Draw:
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

    def valid(n: int, chance: Generator) -> Tensor:
        sizes = [min(PART, n - start) for start in range(0, n, PART)]
        with torch.no_grad():
            return torch.cat([code.constrain(draw(size, chance)) for size in sizes])

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

        def draw(n: int, chance: Generator) -> Tensor:
            which = torch.multinomial(shares, n, replacement=True, generator=chance)
            noise = torch.randn(n, means.shape[1], 1, dtype=means.dtype, generator=chance)
            drawn: Tensor = means[which] + (spreads[which] @ noise)[..., 0]
            return drawn.to(codes.dtype)

        return draw
