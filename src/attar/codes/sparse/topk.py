"""Sparse codes that keep the largest units: TopK, BatchTopK and Matryoshka."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.codes.sparse.thresholds import with_slope
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
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the largest units of each row, the same with any noise."""
        z, auxiliary_loss = self.point(features), None
        if self.training and log_likelihood is not None:
            leaf = z.detach()
            explained, slope = with_slope(log_likelihood, leaf[None])
            helped = leaf + self.lent(features + self.bias, explained[0], slope[0])
            auxiliary_loss = -PRICE * log_likelihood(helped[None])
        return Coded(z[None], z.new_zeros(1, len(z)), auxiliary_loss=auxiliary_loss)

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

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
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

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
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
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the codes; in training, one draw for each of the nested dictionaries.

        The whole code is the first draw.
        """
        coded = self.inner(features, noise, log_likelihood)
        if noise is not None:
            z = coded.z.expand(len(noise), -1, -1)
        else:
            z = coded.z * self.inside if self.training else coded.z
        return Coded(z, z.new_zeros(z.shape[:2]), auxiliary_loss=coded.auxiliary_loss)

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the whole code of each row: (B, d)."""
        return self.inner.point(features)

    def constrain(self, z: Tensor) -> Tensor:
        """Return the nearest valid codes of the inner code."""
        return self.inner.constrain(z)

    def on_epoch(self) -> None:
        """Look after the inner code."""
        self.inner.on_epoch()
