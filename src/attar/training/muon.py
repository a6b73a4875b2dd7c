"""Muon: steps of matrices with equal singular values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

# Weights, or groups of them with settings of their own.
Weights = Iterable[nn.Parameter] | Iterable[dict[str, Any]]

# Eigenvalues of U Uᵀ below this fraction of the largest are treated as if they were this large.
SMALLEST = 1e-4
# The root mean square of a step of a matrix, over the learning rate: about that of Adam's.
SIZE = 0.2


class Muon(torch.optim.Adam):
    """Muon for matrices, with a whitening that is reused for some steps, and Adam for the rest.

    A matrix (m, n) loses lr · weight_decay of itself, and makes the step lr · 0.2 √n · W U, where U
    is the mean of gradients with Nesterov's momentum, m ≤ n (else its transpose), and W =
    (U Uᵀ)^(-1/2), so that all singular values of W U are 1. W is computed every few steps only, as
    U changes slowly; in between, W U is scaled to the norm that it had then. A kernel of a
    convolution is a matrix with a row for each output channel. Groups of weights with ``"adam":
    True``, such as the logits of rare symbols, make Adam's steps. Groups with ``"relative": True``,
    which start near where they end, make these times the root mean square of the weight, as
    Adafactor does.

    Parameters
    ----------
    params : iterable of Parameter, or of groups
    lr : float
    momentum : float
    every : int
        The number of steps that use the same W.
    betas : pair of float
        Adam's decay rates.
    eps : float
        Adam's.
    weight_decay : float
        What a matrix loses of itself in a step, over the learning rate.
    adam_rate : float
        Adam's learning rate over ``lr``.
    relative_rate : float
        That of relative groups.

    References
    ----------
    Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024. Liu et al.,
    "Muon is scalable for LLM training", 2025 (the size of a step). Shazeer and Stern, "Adafactor:
    adaptive learning rates with sublinear memory cost", ICML 2018.
    """

    def __init__(
        self,
        params: Weights,
        lr: float = 0.02,
        momentum: float = 0.95,
        every: int = 10,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.2,
        adam_rate: float = 0.3,
        relative_rate: float = 2.0,
    ) -> None:
        super().__init__(params, lr, betas, eps, fused=True)
        self.momentum, self.every, self.decay = momentum, every, weight_decay
        self.adam_rate, self.relative_rate = adam_rate, relative_rate

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make a step, and drop the gradients of matrices."""
        for group in self.param_groups:
            if not (group.get("relative") or group.get("adam")):
                self._step_matrices([w for w in group["params"] if _is_matrix(w)], group["lr"])
        rates = [group["lr"] for group in self.param_groups]
        for group, rate in zip(self.param_groups, rates, strict=True):
            factor = self.adam_rate
            if group.get("relative"):
                factor = self.relative_rate * max(_root_mean_square(w) for w in group["params"])
            group["lr"] = factor * rate
        super().step()
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = rate

    def _step_matrices(self, matrices: list[nn.Parameter], rate: float) -> None:
        # One call for all matrices: small ones take less time than calls.
        found = [(weight, weight.grad) for weight in matrices if weight.grad is not None]
        if not found:
            return
        weights: list[Tensor] = [weight for weight, _ in found]
        gradients = [gradient.flatten(1) for _, gradient in found]
        states = [self._state_of(*pair) for pair in zip(weights, gradients, strict=True)]
        means = [state["momentum"] for state in states]
        torch._foreach_lerp_(means, gradients, 1 - self.momentum)
        directions = torch._foreach_lerp(gradients, means, self.momentum)
        # Squares of gradients may be too small for single precision; a step has no scale of theirs.
        torch._foreach_div_(directions, _positive(torch._foreach_norm(directions, math.inf)))
        pairs = zip(states, directions, strict=True)
        steps = [self._whitened(state, direction) for state, direction in pairs]
        norms = _positive(torch._foreach_norm(steps))
        torch._foreach_mul_(steps, torch._foreach_div([state["norm"] for state in states], norms))
        torch._foreach_mul_(weights, 1 - self.decay * rate)
        shaped = [step.view_as(weight) for step, weight in zip(steps, weights, strict=True)]
        torch._foreach_add_(weights, shaped, alpha=-rate)
        for weight in weights:
            weight.grad = None  # Adam's step leaves out weights without a gradient

    def _state_of(self, weight: Tensor, gradient: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[weight]
        if not state:
            state["step"] = torch.zeros(())
            state["momentum"] = torch.zeros_like(gradient)
        return state

    def _whitened(self, state: dict[str, Tensor], direction: Tensor) -> Tensor:
        """Return W U of a direction U; W and its norm are computed anew where it is time."""
        wide = direction if direction.shape[0] <= direction.shape[1] else direction.mT
        if not int(state["step"]) % self.every:
            found = inverse_root(wide @ wide.mT)
            scale = SIZE * math.sqrt(wide.shape[1])
            state["whitening"], state["norm"] = found, scale * (found @ wide).norm()
        state["step"] += 1
        whitening = state["whitening"]
        return whitening @ direction if wide is direction else direction @ whitening


def _positive(norms: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    torch._foreach_clamp_min_(norms, 1e-30)
    return norms


def inverse_root(gram: Tensor) -> Tensor:
    """Return A^(-1/2) of a symmetric matrix A without negative eigenvalues: (m, m).

    Examples
    --------
    >>> inverse_root(torch.tensor([[4.0, 0.0], [0.0, 1.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 1.0000]])
    """
    gram = gram.nan_to_num(0.0, 0.0, 0.0)
    try:
        values, vectors = torch.linalg.eigh(gram)
        exact = bool(vectors.isfinite().all())
    except RuntimeError:  # of LAPACK
        exact = False
    if not exact:  # rows of very different sizes need double precision
        values, vectors = (found.to(gram) for found in torch.linalg.eigh(gram.double()))
    least = (SMALLEST * values[-1]).clamp_min(torch.finfo(gram.dtype).tiny)
    root: Tensor = (vectors * values.clamp_min(least).rsqrt()) @ vectors.mT
    return root


def _root_mean_square(weight: Tensor) -> float:
    return float(torch.linalg.vector_norm(weight)) / math.sqrt(weight.numel())


def _is_matrix(weight: Tensor) -> bool:
    return weight.ndim > 1 and 1 < len(weight) < weight.numel()
