"""How likely rows are under a model."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor

from attar.applied import Applied
from attar.data.kind import Rows
from attar.errors import SettingError
from attar.evaluation.measures import log_mean_exp

# What is computed at once for one row has at most so many cells.
MOST_CELLS = 1 << 27


@torch.no_grad()
def log_likelihoods(applied: Applied, rows: Rows, draws: int) -> Rows:
    """Return the log-likelihood of rows (n, *shape), or its bound, in nats: (n,).

    A random code is weighed at so many draws, log Σ p(x, z) / q(z|x) / K, the same for every row:
    the bound is deterministic, and that of a row does not depend on the others.

    Raises
    ------
    SettingError
        If so many draws of one row would not fit into memory.

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016.
    """
    cells = prod(applied.preparation.kind.shape)
    if not 1 <= draws <= MOST_CELLS // cells:
        raise SettingError(
            f"{draws:,} draws of a row of {cells:,} cells are not possible: choose 1 to "
            f"{MOST_CELLS // cells:,}."
        )
    parts = []
    for trace in applied.traces(rows, _noise(draws, applied.model.noise_size)):
        coded, weights = trace.coded, trace.log_likelihood
        if coded.log_q is not None and coded.log_p is not None:
            weights = weights + coded.log_p - coded.log_q
        parts.append(log_mean_exp(weights.double().cpu().numpy()))
    return np.concatenate(parts)


def _noise(draws: int, size: int) -> Tensor:
    """Return fixed standard normal draws (K, 1, d), in pairs of opposite signs."""
    chance = torch.Generator().manual_seed(0)
    half = torch.randn(-(-draws // 2), 1, size, generator=chance)
    return torch.cat([half, -half])[:draws]
