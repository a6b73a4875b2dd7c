"""The size of a Jacobian, from a single derivative."""

from __future__ import annotations

import torch
from torch import Tensor


def squared_norm(outputs: Tensor, inputs: Tensor) -> Tensor:
    """Return Hutchinson's estimate of Σ (∂outputs/∂inputs)², a scalar with a gradient.

    It is |∂(v · outputs)/∂inputs|² with a random sign vector v, and right in the mean.

    References
    ----------
    Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian
    smoothing splines", Communications in Statistics 1990.
    """
    signs = torch.empty_like(outputs).bernoulli_(0.5).mul_(2).sub_(1)
    (slope,) = torch.autograd.grad((outputs * signs).sum(), inputs, create_graph=True)
    return slope.square().sum()
