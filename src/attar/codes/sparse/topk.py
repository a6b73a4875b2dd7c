"""Sparse by count: k units of each row."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.codes.code import CodeModule, Explain
from attar.codes.sparse.largest import LargestCode, LargestModule


@dataclass(frozen=True)
class TopK(LargestCode, name="topk"):
    """The k largest units of each row, rectified; all others are zero.

    Units that are never among them are taught what the others leave unexplained, and their bias
    is raised, so that none stays dead.

    Parameters
    ----------
    k : int
        Active units a row; no more than the code's size.

    References
    ----------
    Makhzani and Frey, "k-Sparse autoencoders", ICLR 2014. Gao et al., "Scaling and evaluating
    sparse autoencoders", ICLR 2025.
    """

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; k must lie between 1 and the code's size."""
        return TopKModule(code_size, self.active(code_size))


class TopKModule(LargestModule):
    """Keeps the k largest units of each row."""

    def point(self, features: Tensor, explain: Explain | None = None) -> Tensor:
        """Return relu(features + bias) where it is among the row's k largest, else zero."""
        scores = features + self.bias
        values, units = scores.topk(self.k, dim=-1)
        z = torch.zeros_like(scores).scatter(-1, units, values.relu())
        if self.training:
            self.watch(scores.detach(), z.detach(), values[:, -1:].detach().clamp_min(0))
        return z

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with all but the k largest units at zero, and none negative."""
        values, units = z.topk(self.k, dim=-1)
        return torch.zeros_like(z).scatter(-1, units, values.relu())
