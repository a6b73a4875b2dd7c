"""Samplers: new codes from a prior, or from a mixture of gaussians fitted to codes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attar.codes import CodeModule
from attar.priors import PriorModule

Codes = NDArray[Any]

MOST_COMPONENTS = 10


def new_codes(code: CodeModule, known: Codes, n: int, seed: int) -> Codes:
    """Return ``n`` codes from a code's prior, or from a mixture fitted to known codes (m, d)."""
    if code.prior is not None:
        drawn = from_prior(code.prior, n, known.shape[1], seed)
    else:
        drawn = from_mixture(known, n, seed)
    valid: Codes = code.constrain(torch.from_numpy(drawn)).numpy()
    return valid


def from_prior(prior: PriorModule, n: int, code_size: int, seed: int) -> Codes:
    """Return ``n`` codes drawn from a prior: (n, code_size)."""
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        codes: Codes = prior.sample(n, code_size, chance).numpy()
    return codes


def from_mixture(codes: Codes, n: int, seed: int) -> Codes:
    """Return ``n`` codes drawn from a mixture of gaussians fitted to codes (m, d): (n, d).

    One component for each 5 d rows or each distinct one at most, and ten at most; a single row
    gives itself.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    if len(codes) < 2:
        return np.repeat(codes, n, axis=0)
    distinct = len(np.unique(codes, axis=0))
    components = min(MOST_COMPONENTS, distinct, max(1, len(codes) // (5 * codes.shape[1])))
    mixture = GaussianMixture(components, reg_covar=1e-6, random_state=seed)
    with warnings.catch_warnings():
        # A fit that could still get a little better is good enough to draw from.
        warnings.simplefilter("ignore", ConvergenceWarning)
        drawn, _ = mixture.fit(codes.astype(np.float64)).sample(n)
    # Rows come in order of component: mix them.
    order = np.random.default_rng(seed).permutation(n)
    return np.asarray(drawn[order], dtype=codes.dtype)
