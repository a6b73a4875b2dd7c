"""How likely rows are under a model."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from attar.applied import Applied
from attar.data.kind import Rows
from attar.errors import SettingError
from attar.evaluation.measures import log_mean_exp
from attar.memory import memory_kept
from attar.records import Trace

# All draws are held at once, with at most so many numbers; they are weighed some at a time.
MOST_NUMBERS = 1 << 27


@torch.no_grad()
def log_likelihoods(applied: Applied, rows: Rows, draws: int) -> Rows:
    """Return the log-likelihood of rows (n, *shape), or its bound, in nats: (n,).

    A random code is weighed at so many draws, log Σ p(x, z) / q(z|x) / K, the same for every row:
    the bound is deterministic, and that of a row does not depend on the others.

    Raises
    ------
    SettingError
        If so many draws would not fit into memory.

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016.
    """
    size = applied.model.noise_size
    most = MOST_NUMBERS // max(1, size)
    if not 1 <= draws <= most:
        raise SettingError(
            f"{draws:,} draws of {size:,} numbers are not possible: choose 1 to {most:,}."
        )
    total = np.full(rows.shape[0], -np.inf)
    with memory_kept():
        for noise in torch.split(_noise(draws, size), applied.chunk):
            weights = [log_mean_exp(_log_weights(trace)) for trace in applied.traces(rows, noise)]
            total = np.logaddexp(total, np.concatenate(weights) + math.log(len(noise)))
    mean: Rows = total - math.log(draws)
    return mean


def _log_weights(trace: Trace) -> Rows:
    """Return log p(x, z) / q(z|x), or log p(x|z) where a code has no chance: (K, B)."""
    coded, weights = trace.coded, trace.log_likelihood
    if coded.log_q is not None and coded.log_p is not None:
        weights = weights + coded.log_p - coded.log_q
    return weights.double().cpu().numpy()


def _noise(draws: int, size: int) -> Tensor:
    """Return fixed standard normal draws (K, 1, d), in pairs of opposite signs."""
    chance = torch.Generator().manual_seed(0)
    half = torch.randn(-(-draws // 2), 1, size, generator=chance)
    return torch.cat([half, -half])[:draws]
