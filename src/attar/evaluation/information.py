"""Information in gaussian codes: active units and mutual information."""

from __future__ import annotations

import numpy as np

from attar.data.kind import Rows
from attar.evaluation.metrics import log_mean_exp

# How many pairs of rows are processed at once.
PAIRS = 1 << 22


def active_units(means: Rows, threshold: float = 0.01) -> Rows:
    """Return which latent dimensions are active: the posterior mean varies with the row.

    Parameters
    ----------
    means : array (n, d)
        The posteriors' means.
    threshold : float, default 0.01
        The least variance of the mean over rows.

    Returns
    -------
    bool array (d,)

    Examples
    --------
    >>> import numpy as np
    >>> active_units(np.array([[-1.0, 0.01], [1.0, -0.01]]))
    array([ True, False])

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016.
    """
    active: Rows = means.var(0, dtype=np.float64) > threshold
    return active


def mutual_information(means: Rows, log_variances: Rows, seed: int = 0) -> float:
    """Return the mutual information of codes and the index of their row, in nats.

    It is the mean of log q(z|x) - log Σ q(z|x') / n over the n rows, with one draw z of each and
    the sum over all rows: log n at most.

    Parameters
    ----------
    means, log_variances : array (n, d)
        The posteriors, diagonal gaussians.
    seed : int, default 0
        The seed of the draws.

    Examples
    --------
    >>> import numpy as np
    >>> separate = np.array([[-9.0], [9.0]])
    >>> bool(np.isclose(mutual_information(separate, np.zeros((2, 1))), np.log(2)))
    True

    References
    ----------
    Hoffman and Johnson, "ELBO surgery: yet another way to carve up the variational evidence lower
    bound", NeurIPS workshop on advances in approximate Bayesian inference, 2016.
    """
    means, log_variances = means.astype(np.float64), log_variances.astype(np.float64)
    noise = np.random.default_rng(seed).standard_normal(means.shape)
    draws = means + np.exp(0.5 * log_variances) * noise
    own = -0.5 * (noise**2 + log_variances).sum(1)
    # Σ (z - μ)² / σ² is expanded, so that no (rows, n, d) array is needed.
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
