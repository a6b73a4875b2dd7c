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
# Coefficients of x, x³ and x⁵: composed, these polynomials bring singular values from 0.001 to 1 as
# near to 1 as any of their degrees do.
POLAR = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    (1.875, -1.25, 0.375),
)


class Muon(torch.optim.Adam):
    """Muon for matrices, with a whitening that is reused for some steps, and Adam for the rest.

    A matrix (m, n) loses lr · weight_decay of itself, and makes the step lr · 0.2 √n · W U, where U
    is the mean of gradients with Nesterov's momentum, m ≤ n (else its transpose), and W =
    (U Uᵀ)^(-1/2), so that all singular values of W U are 1. W is computed every few steps only, as
    U changes slowly; in between, W U is scaled to the norm that it had then. A kernel of a
    convolution is a matrix with a row for each output channel. On a GPU, where eigenvalues take
    long, W U is computed by products of matrices, in each step. Groups of weights with ``"adam":
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
    "Muon is scalable for LLM training", 2025 (the size of a step). Amsel et al., "The Polar
    Express: optimal matrix sign methods and their application to the Muon algorithm", 2025. Shazeer
    and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", ICML 2018.
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
            factor: float | Tensor = self.adam_rate
            if group.get("relative"):
                sizes = [_root_mean_square(weight) for weight in group["params"]]
                factor = self.relative_rate * torch.stack(sizes).max()
            group["lr"] = factor * rate
        super().step()
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = rate

    def _step_matrices(self, matrices: list[nn.Parameter], rate: float | Tensor) -> None:
        # One call for all matrices: small ones take less time than calls.
        moved = [(weight, weight.grad) for weight in matrices if weight.grad is not None]
        if not moved:
            return
        weights: list[Tensor] = [weight for weight, _ in moved]
        gradients = [gradient.flatten(1) for _, gradient in moved]
        states = [self._state_of(*pair) for pair in zip(weights, gradients, strict=True)]
        means = [state["momentum"] for state in states]
        torch._foreach_lerp_(means, gradients, 1 - self.momentum)
        directions = torch._foreach_lerp(gradients, means, self.momentum)
        # Squares of gradients may be too small for single precision; a step has no scale of theirs.
        torch._foreach_div_(directions, _positive(torch._foreach_norm(directions, math.inf)))
        pairs = zip(states, directions, strict=True)
        found = [self._whitened(state, direction) for state, direction in pairs]
        steps, wanted = [step for step, _ in found], [norm for _, norm in found]
        norms = _positive(torch._foreach_norm(steps))
        torch._foreach_mul_(steps, torch._foreach_div(wanted, norms))
        torch._foreach_mul_(steps, rate)
        torch._foreach_mul_(weights, 1 - self.decay * rate)
        shaped = [step.view_as(weight) for step, weight in zip(steps, weights, strict=True)]
        torch._foreach_sub_(weights, shaped)
        for weight in weights:
            weight.grad = None  # Adam's step leaves out weights without a gradient

    def _state_of(self, weight: Tensor, gradient: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[weight]
        if not state:
            state["step"] = torch.zeros(())
            state["momentum"] = torch.zeros_like(gradient)
        return state

    def _whitened(self, state: dict[str, Tensor], direction: Tensor) -> tuple[Tensor, Tensor]:
        """Return W U of a direction U, and the norm of a step; W is computed anew when due."""
        wide = direction if direction.shape[0] <= direction.shape[1] else direction.mT
        if direction.is_cuda:
            step = polar(direction)
            return step, SIZE * math.sqrt(wide.shape[1]) * step.norm()
        if not int(state["step"]) % self.every:
            found = inverse_root(wide @ wide.mT)
            scale = SIZE * math.sqrt(wide.shape[1])
            state["whitening"], state["norm"] = found, scale * (found @ wide).norm()
        state["step"] += 1
        whitening = state["whitening"]
        step = whitening @ direction if wide is direction else direction @ whitening
        return step, state["norm"]


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


def polar(matrix: Tensor) -> Tensor:
    """Return a matrix with singular values of 1 in place of its own, by products alone.

    Singular values below a thousandth of the norm of the matrix become less than 1.

    Examples
    --------
    >>> step = polar(torch.tensor([[0.0, 2.0, 0.0], [-1.0, 0.0, 0.0]]))
    >>> torch.allclose(step, torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]), atol=1e-3)
    True
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    # Slightly below 1, beyond which roundings would grow.
    x = wide / (1.01 * wide.norm()).clamp_min(torch.finfo(wide.dtype).tiny)
    for first, third, fifth in POLAR:
        gram = x @ x.mT
        x = first * x + (third * gram + fifth * (gram @ gram)) @ x
    step: Tensor = x if wide is matrix else x.mT
    return step


def _root_mean_square(weight: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(weight.detach())
    return norm / math.sqrt(weight.numel())


def _is_matrix(weight: Tensor) -> bool:
    return weight.ndim > 1 and 1 < len(weight) < weight.numel()
