"""How likely rows are under a model."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from attar.applied import Applied
from attar.data.kind import Rows
from attar.evaluation.measures import log_mean_exp

DRAWS = 32


@torch.no_grad()
def log_likelihoods(applied: Applied, rows: Rows) -> Rows:
    """Return the log-likelihood of rows (n, *shape), or its bound, in nats: (n,).

    A random code is weighed at 32 draws, log Σ p(x, z) / q(z|x) / K, the same for every row: the
    bound is deterministic, and that of a row does not depend on the others.

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016.
    """
    parts = []
    for trace in applied.traces(rows, _draws(applied.code_size)):
        coded, weights = trace.coded, trace.log_likelihood
        if coded.log_q is not None and coded.log_p is not None:
            weights = weights + coded.log_p - coded.log_q
        parts.append(log_mean_exp(weights.double().cpu().numpy()))
    return np.concatenate(parts)


def _draws(code_size: int) -> Tensor:
    """Return fixed standard normal draws (K, 1, d), in pairs of opposite signs."""
    chance = torch.Generator().manual_seed(0)
    half = torch.randn(DRAWS // 2, 1, code_size, generator=chance)
    return torch.cat([half, -half])
