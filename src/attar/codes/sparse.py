"""Codes of which few units are active for any one row."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.codes.code import Code, CodeModule
from attar.codes.point import PointModule
from attar.errors import SettingError
from attar.records import Coded


@dataclass(frozen=True)
class SparseL1(Code, name="sparse-l1"):
    """Rectified units that pay for their size: rate = Σ |z|, a Laplace prior but for a constant.

    Parameters
    ----------
    beta : float
        The price of a unit of activity, in nats.

    References
    ----------
    Olshausen and Field, "Emergence of simple-cell receptive field properties by learning a sparse
    code for natural images", Nature 1996.
    """

    beta: float = 0.1

    provides = frozenset({"sparse"})

    def build(self, code_size: int) -> CodeModule:
        """Return the module."""
        return SparseL1Module("relu")


class SparseL1Module(PointModule):
    """Rectified units with the sum of their activity as rate."""

    def rate(self, z: Tensor) -> Tensor:
        """Return Σ |z|: (B,)."""
        return z.abs().sum(-1)

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with no negative activity."""
        return z.clamp_min(0)


@dataclass(frozen=True)
class SparseKL(Code, name="sparse-kl"):
    """Sigmoid units whose mean activity is drawn to a target: rate = Σ KL(target || mean).

    The mean is taken over the batch, and each row carries the whole sum.

    Parameters
    ----------
    target : float
        The wanted mean activity of each unit, between 0 and 1.
    beta : float
        The weight of the rate.

    References
    ----------
    Ng, "Sparse autoencoder", CS294A lecture notes, 2011.
    """

    target: float = 0.1
    beta: float = 1.0

    provides = frozenset({"sparse"})

    def build(self, code_size: int) -> CodeModule:
        """Return the module; the target must lie between 0 and 1."""
        if not 0 < self.target < 1:
            raise SettingError(f"The target rate of {self!r} must lie between 0 and 1.")
        return SparseKLModule(self.target)


class SparseKLModule(PointModule):
    """Sigmoid units with the divergence of their mean activity from a target as rate."""

    def __init__(self, target: float) -> None:
        super().__init__("sigmoid")
        self.target = target

    def rate(self, z: Tensor) -> Tensor:
        """Return Σ ρ log(ρ/ρ̂) + (1-ρ) log((1-ρ)/(1-ρ̂)) with ρ̂ the batch's mean: (B,)."""
        tiny = torch.finfo(z.dtype).eps
        mean = z.mean(0).clamp(tiny, 1 - tiny)
        rho = torch.as_tensor(self.target, dtype=z.dtype, device=z.device)
        divergence = rho * (rho / mean).log() + (1 - rho) * ((1 - rho) / (1 - mean)).log()
        return divergence.sum().expand(len(z))

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with every unit between 0 and 1."""
        return z.clamp(0, 1)


@dataclass(frozen=True)
class TopK(Code, name="topk"):
    """The k largest units of each row, rectified; all others are zero.

    A unit that won nothing during an epoch has its bias raised to where the row that liked it
    best would just have chosen it, so that none stays dead.

    Parameters
    ----------
    k : int
        Active units a row; no more than the code's size.

    References
    ----------
    Makhzani and Frey, "k-Sparse autoencoders", ICLR 2014.
    """

    k: int = 8

    beta = 0.0
    provides = frozenset({"sparse"})

    @property
    def least_size(self) -> int:
        """Twice as many units as are active."""
        return 2 * self.k

    def build(self, code_size: int) -> CodeModule:
        """Return the module; k must lie between 1 and the code's size."""
        if not 1 <= self.k <= code_size:
            raise SettingError(
                f"A top-k code of size {code_size} cannot keep k={self.k} units: choose k between "
                f"1 and {code_size}."
            )
        return TopKModule(code_size, self.k)


class TopKModule(CodeModule):
    """Keeps the k largest units, and revives those that never are."""

    bias: Tensor
    wins: Tensor
    nearest: Tensor

    def __init__(self, code_size: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.register_buffer("bias", torch.zeros(code_size))
        self.register_buffer("wins", torch.zeros(code_size))
        self.register_buffer("nearest", torch.full((code_size,), -torch.inf))

    def forward(self, features: Tensor, noise: Tensor | None = None) -> Coded:
        """Return the k largest units of each row, the same with any noise."""
        z = self.point(features)
        return Coded(z[None], z.new_zeros(1, len(z)))

    def point(self, features: Tensor) -> Tensor:
        """Return relu(features + bias) where it is among the row's k largest, else zero."""
        scores = features + self.bias
        values, units = scores.topk(self.k, dim=-1)
        if self.training:
            self._watch(scores.detach(), values.detach(), units)
        return torch.zeros_like(scores).scatter(-1, units, values.relu())

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with all but the k largest units at zero, and none negative."""
        values, units = z.topk(self.k, dim=-1)
        return torch.zeros_like(z).scatter(-1, units, values.relu())

    def on_epoch(self) -> None:
        """Raise the bias of each unit that won nothing since the last call."""
        # A hair more than it lacks, since of equal scores either may win.
        lacks = self.nearest * (1 + 1e-6) - 1e-5
        self.bias -= torch.where(self.wins == 0, lacks, 0.0)
        self.wins.zero_()
        self.nearest.fill_(-torch.inf)

    def _watch(self, scores: Tensor, values: Tensor, units: Tensor) -> None:
        # What is kept but rectified to zero learns nothing: it has not won.
        won = (values > 0).to(scores.dtype)
        self.wins += torch.zeros_like(scores).scatter(-1, units, won).sum(0)
        threshold = values[:, -1:].clamp_min(0)
        torch.maximum(self.nearest, (scores - threshold).amax(0), out=self.nearest)
