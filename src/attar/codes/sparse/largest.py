"""What the codes that keep only their largest units share: how many, and no dead units."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.codes.code import Code, CodeModule, Explain
from attar.codes.sparse.slope import with_slope
from attar.errors import SettingError
from attar.records import Coded

# A unit is idle after 8 times the rows in which one of an even share would have won once.
PATIENCE = 8
# How much what idle units leave unexplained weighs beside what the code does.
PRICE = 0.25


@dataclass(frozen=True)
class LargestCode(Code):
    """A code of which only the largest units are kept."""

    k: int = 8

    beta = 0.0
    provides = frozenset({"point", "sparse"})

    @property
    def least_size(self) -> int:
        """Twice as many units as are active."""
        return 2 * self.k

    def active(self, code_size: int) -> int:
        """Return k, which must lie between 1 and the code's size.

        Raises
        ------
        SettingError
            If it does not.
        """
        if not isinstance(self.k, int) or not 1 <= self.k <= code_size:
            raise SettingError(
                f"A code of size {code_size} cannot keep k={self.k} units a row: choose k between "
                f"1 and {code_size}."
            )
        return self.k


class LargestModule(CodeModule):
    """Keeps the largest of features + bias, and lets no unit die.

    In training, units that have not won for long are lent the rows where a little of them would
    explain the most, of those that the code explains worst, and must explain what is left of them:
    the auxiliary loss of Gao et al., but with each unit as sparse as it will have to be, so that
    they don't all learn the same. After an epoch without a win, a unit's bias is raised to where
    the row that liked it best would just have chosen it.

    References
    ----------
    Gao et al., "Scaling and evaluating sparse autoencoders", ICLR 2025.
    """

    bias: Tensor
    wins: Tensor
    nearest: Tensor
    idle: Tensor

    def __init__(self, code_size: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.register_buffer("bias", torch.zeros(code_size))
        self.register_buffer("wins", torch.zeros(code_size))
        self.register_buffer("nearest", torch.full((code_size,), -torch.inf))
        self.register_buffer("idle", torch.zeros(code_size))

    def forward(
        self, features: Tensor, noise: Tensor | None = None, explain: Explain | None = None
    ) -> Coded:
        """Return the largest units of each row, the same with any noise."""
        z, upkeep = self.point(features), None
        if self.training and explain is not None:
            alone = z.detach()
            explained, slope = with_slope(explain, alone[None])
            helped = alone + self.lent(features + self.bias, explained[0], slope[0])
            upkeep = -PRICE * explain(helped[None])
        return Coded(z[None], z.new_zeros(1, len(z)), upkeep=upkeep)

    def lent(self, scores: Tensor, explained: Tensor, slope: Tensor) -> Tensor:
        """Return codes (B, d) of the idle units alone.

        Each is active in half of an even share of rows, k B / 2d, by how much more it likes them
        than all rows in the mean.

        Parameters
        ----------
        scores : Tensor (B, d)
        explained : Tensor (B,)
            How well the code explains each row.
        slope : Tensor (B, d)
            How much better with a little more of each unit.
        """
        rows, size = scores.shape
        share = max(1, self.k * rows // (2 * size))
        idle = self.idle > PATIENCE * size / self.k
        # As many rows as are lent in all: else a unit goes on helping one that needs no help.
        worst = explained.argsort().argsort() < share * idle.sum()
        best = slope.where(worst[:, None], -torch.inf).topk(share, dim=0).indices
        chosen = torch.zeros_like(scores).scatter(0, best, 1.0)
        # The slope counts of all rows: else those that are not helped would push all scores down.
        liked = (scores - scores.mean(0)).relu() * chosen
        return liked.where(idle, 0.0)

    def on_epoch(self) -> None:
        """Raise the bias of each unit that won nothing since the last call."""
        # A hair more than it lacks, since of equal scores either may win.
        lacks = self.nearest * (1 + 1e-6) - 1e-5
        self.bias -= torch.where(self.wins == 0, lacks, 0.0)
        self.wins.zero_()
        self.nearest.fill_(-torch.inf)

    def watch(self, scores: Tensor, z: Tensor, threshold: Tensor) -> None:
        """Note who won, and how near the others came to the threshold (B or 1, 1)."""
        # What is kept but rectified to zero learns nothing: it has not won.
        wins = (z > 0).sum(0)
        self.wins += wins
        self.idle.add_(len(z)).masked_fill_(wins > 0, 0.0)
        torch.maximum(self.nearest, (scores - threshold).amax(0), out=self.nearest)
