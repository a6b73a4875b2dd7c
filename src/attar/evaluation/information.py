"""How much gaussian codes say about their rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.evaluation.metrics import log_mean_exp

Rows = NDArray[Any]

# Pairs of rows that are looked at together.
PAIRS = 1 << 22


def active_units(means: Rows, threshold: float = 0.01) -> Rows:
    """Return which code dimensions are in use: those whose posterior mean varies with the row.

    Parameters
    ----------
    means : array (n, d)
        The posteriors' means.
    threshold : float, default 0.01
        The least variance of the mean over rows.

    Returns
    -------
    bool array (d,)

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016.
    """
    active: Rows = means.var(0, dtype=np.float64) > threshold
    return active


def mutual_information(means: Rows, log_variances: Rows, seed: int = 0) -> float:
    """Return the information that codes hold on which of n rows they are of, in nats.

    It is the mean of log q(z|x) - log Σ q(z|x') / n over the rows, with a draw z of each and
    the sum over all of them: log n at most, so that more rows are needed to see more.

    Parameters
    ----------
    means, log_variances : array (n, d)
        The posteriors, diagonal gaussians.
    seed : int, default 0
        Of the draws.

    References
    ----------
    Hoffman and Johnson, "ELBO surgery: yet another way to carve up the variational evidence lower
    bound", NeurIPS workshop on advances in approximate Bayesian inference, 2016.
    """
    means, log_variances = means.astype(np.float64), log_variances.astype(np.float64)
    noise = np.random.default_rng(seed).standard_normal(means.shape)
    draws = means + np.exp(0.5 * log_variances) * noise
    own = -0.5 * (noise**2 + log_variances).sum(1)
    # Σ (z - μ)² / σ² in parts that do not need a (rows, n, d) array.
    precisions = np.exp(-log_variances)
    terms = (means**2 * precisions + log_variances).sum(1)
    many = max(1, PAIRS // len(means))
    mixture = [
        log_mean_exp(
            -0.5 * (precisions @ (z**2).T - 2 * (means * precisions) @ z.T + terms[:, None])
        )
        for z in np.split(draws, range(many, len(draws), many))
    ]
    return float((own - np.concatenate(mixture)).mean())
