"""Sparse and nested: the first units of the dictionary are a dictionary too."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.codes.code import CodeModule, Explain
from attar.codes.sparse.batch_topk import BatchTopK
from attar.codes.sparse.largest import LargestCode
from attar.errors import SettingError
from attar.records import Coded


@dataclass(frozen=True)
class Matryoshka(LargestCode, name="matryoshka"):
    """Nested dictionaries: in training the first d/2, d/4, ... units must do without the others.

    The active units are chosen as in ``BatchTopK``. Each row is decoded from all of them, from
    those in the first half of the code, in its first quarter, and so on; the loss is the mean over
    these. The first units take what is most common, and the later ones need not split it up.

    Parameters
    ----------
    k : int
        Active units a row in the mean.
    levels : int
        How many dictionaries there are, the whole code among them; each is half of the one before.

    References
    ----------
    Bussmann, Nabeshima, Karvonen and Nanda, "Learning multi-level features with Matryoshka sparse
    autoencoders", ICML 2025. Kusupati et al., "Matryoshka representation learning", NeurIPS 2022.
    """

    levels: int = 4

    @property
    def least_size(self) -> int:
        """Twice as many units as are active, and one for the smallest dictionary."""
        return max(super().least_size, 1 << (self.levels - 1))

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; the smallest dictionary must have a unit."""
        inner = BatchTopK(self.k).build(code_size, shape)
        if not isinstance(self.levels, int) or not 1 <= self.levels <= code_size.bit_length():
            raise SettingError(
                f"A code of size {code_size} cannot be halved to levels={self.levels} nested ones: "
                f"choose levels between 1 and {code_size.bit_length()}."
            )
        return MatryoshkaModule(inner, [code_size >> level for level in range(self.levels)])


class MatryoshkaModule(CodeModule):
    """Shows the decoder an inner code and its first units alone."""

    inside: Tensor

    def __init__(self, inner: CodeModule, sizes: list[int]) -> None:
        super().__init__()
        self.inner = inner
        inside = torch.arange(sizes[0]) < torch.tensor(sizes)[:, None]
        self.register_buffer("inside", inside[:, None])

    def forward(
        self, features: Tensor, noise: Tensor | None = None, explain: Explain | None = None
    ) -> Coded:
        """Return the codes; in training, one draw for each of the nested dictionaries.

        The whole code is the first draw.
        """
        coded = self.inner(features, noise, explain)
        if noise is not None:
            z = coded.z.expand(len(noise), -1, -1)
        else:
            z = coded.z * self.inside if self.training else coded.z
        return Coded(z, z.new_zeros(z.shape[:2]), upkeep=coded.upkeep)

    def point(self, features: Tensor, explain: Explain | None = None) -> Tensor:
        """Return the whole code of each row: (B, d)."""
        return self.inner.point(features)

    def constrain(self, z: Tensor) -> Tensor:
        """Return the nearest valid codes of the inner code."""
        return self.inner.constrain(z)

    def on_epoch(self) -> None:
        """Look after the inner code."""
        self.inner.on_epoch()
