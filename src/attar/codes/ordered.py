"""The ordered code: its first k numbers are a code by themselves, for every k."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.codes.code import Code, CodeModule, Explain
from attar.errors import SettingError
from attar.records import Coded


@dataclass(frozen=True)
class Ordered(Code, name="ordered"):
    """A point whose numbers are learnt in order of what they carry: nested dropout.

    In training each row keeps its first k numbers, the rest are zero; k is drawn evenly from 1 to
    the code size. With linear networks and mean squared error the numbers are the principal
    components, in their order.

    Parameters
    ----------
    learnt : int or None
        How many numbers were learnt, where the code has been cut to fewer; None for all.

    References
    ----------
    Rippel, Gelbart and Adams, "Learning ordered representations with nested dropout", ICML 2014.
    """

    learnt: int | None = None

    beta = 0.0
    provides = frozenset({"point", "ordered"})

    def width(self, code_size: int) -> int:
        """Return how many numbers were learnt."""
        return self.learnt or code_size

    def shown(self, code_size: int) -> int:
        """Return how many numbers were learnt: those cut off are zero."""
        return self.learnt or code_size

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        if self.learnt is not None and not 1 <= code_size <= self.counted("learnt"):
            raise SettingError(
                f"An ordered code of {self.learnt} numbers can be cut to 1 to {self.learnt} of "
                f"them, not to {code_size}."
            )
        return OrderedModule(code_size, self.width(code_size) - code_size)


class OrderedModule(CodeModule):
    """Keeps the first numbers of each row."""

    def __init__(self, kept: int, cut: int) -> None:
        super().__init__()
        self.kept, self.cut = kept, cut

    def forward(
        self, features: Tensor, noise: Tensor | None = None, explain: Explain | None = None
    ) -> Coded:
        """Return the codes, in training with a random number of them kept in each row."""
        z = self.point(features)
        if self.training and noise is None:
            # As many rows with each k as can be, so that chance is spent on which rows these are.
            last = torch.randperm(len(z), device=z.device) % self.kept
            z = z * (torch.arange(self.kept, device=z.device) <= last[:, None])
        return Coded(z[None], z.new_zeros(1, len(z)))

    def point(self, features: Tensor, explain: Explain | None = None) -> Tensor:
        """Return the numbers that are kept: (B, d)."""
        return features[:, : self.kept]

    def shown(self, z: Tensor) -> Tensor:
        """Return codes (n, d) with zeros where numbers were cut off."""
        return nn.functional.pad(z, (0, self.cut)) if self.cut else z
