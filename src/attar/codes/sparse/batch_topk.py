"""Sparse by count over a batch: k units a row in the mean, more where a row has more to say."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.codes.code import CodeModule, Explain
from attar.codes.sparse.largest import LargestCode, LargestModule

# The weight of the newest batch in the running mean of the threshold.
NEWEST = 0.05


@dataclass(frozen=True)
class BatchTopK(LargestCode, name="batchtopk"):
    """The k B largest units of a batch of B rows, rectified; all others are zero.

    Outside training a row must not depend on its neighbours: what reaches a threshold is kept, the
    running mean of the smallest activity that was kept in training. Dead units are revived as in
    ``TopK``.

    Parameters
    ----------
    k : int
        Active units a row in the mean; no more than the code's size.

    References
    ----------
    Bussmann, Leask and Nanda, "BatchTopK sparse autoencoders", NeurIPS workshop 2024.
    """

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; k must lie between 1 and the code's size."""
        return BatchTopKModule(code_size, self.active(code_size))


class BatchTopKModule(LargestModule):
    """Keeps the k B largest units of a batch in training, and else what reaches the threshold."""

    threshold: Tensor
    batches: Tensor

    def __init__(self, code_size: int, k: int) -> None:
        super().__init__(code_size, k)
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("batches", torch.zeros(()))

    def point(self, features: Tensor, explain: Explain | None = None) -> Tensor:
        """Return features + bias where it reaches the threshold, else zero."""
        scores = features + self.bias
        if not self.training:
            return self.constrain(scores)
        largest = scores.detach().flatten().topk(self.k * len(scores), sorted=False).values
        threshold = largest.min().clamp_min(0)
        z = scores.where(scores >= threshold, 0.0)
        self.watch(scores.detach(), z.detach(), threshold)
        self.batches += 1
        self.threshold.lerp_(threshold, self.batches.reciprocal().clamp_min(NEWEST))
        return z

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with what is below the threshold at zero."""
        return z.where(z >= self.threshold, 0.0)
