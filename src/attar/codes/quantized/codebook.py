"""Codebooks: entries, and the search for the nearest of them."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from attar import workers
from attar.codes.quantized.base import blocks, one_hot

# Steps of k-means before training, and the fraction of the mean count below which entries are dead.
KMEANS_STEPS, DEAD = 10, 0.1


class Quantizer(nn.Module, ABC):
    """Maps vectors to symbols of codebooks, and back.

    Parameters
    ----------
    size : int
        The number of entries of a codebook.
    ema : bool
        Whether entries are running means; else they are trained by the codebook loss.
    """

    def __init__(self, size: int, ema: bool) -> None:
        super().__init__()
        self.size, self.ema = size, ema

    @abstractmethod
    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is rounded to entries (n, d), and its symbols (n, positions)."""

    @abstractmethod
    def nearest(self, z: Tensor) -> Tensor:
        """Return the symbols whose entries are nearest to vectors (n, d): (n, positions)."""

    @abstractmethod
    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the entries of symbols (n, positions): (n, d)."""

    @abstractmethod
    def initialize(self, x: Tensor) -> None:
        """Fit the entries to vectors (n, w), before training."""

    def update(self, inputs: Tensor, symbols: Tensor) -> None:
        """Follow the inputs (n, d) that were rounded to symbols (n, positions)."""

    def revive(self) -> None:
        """Replace entries that were hardly used since the last call."""


class Codebook(Quantizer):
    """Entries (books, size, dim), and the search for the nearest.

    Positions take turns with the books: one book is shared by all, or each has its own.
    """

    @property
    @abstractmethod
    def table(self) -> Tensor:
        """The entries: (books, size, dim)."""

    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors themselves, and the symbols of the nearest entries."""
        return x, self.nearest(x)

    @torch.no_grad()
    def nearest(self, z: Tensor) -> Tensor:
        """Return the symbols of the nearest entries."""
        symbols = self._search(self._by_book(z))
        return symbols.reshape(len(symbols), z.shape[0], -1).movedim(0, 2).flatten(1)

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the entries of symbols, on any device."""
        table = self.table
        books = torch.arange(symbols.shape[1], device=symbols.device) % len(table)
        return table[books, symbols].flatten(1)

    def _search(self, rows: Tensor) -> Tensor:
        # A product is faster; the differences themselves are exact, so that out of training an
        # entry is its own nearest, and a row's symbols don't depend on its neighbours.
        fast = "use_mm" if self.training else "donot_use_mm"
        return torch.cdist(rows, self.table, compute_mode=f"{fast}_for_euclid_dist").argmin(-1)

    def _by_book(self, x: Tensor) -> Tensor:
        """Return vectors (n, positions · dim) by their books: (books, rows, dim)."""
        books, _, dim = self.table.shape
        return (
            x.to(self.table.dtype).reshape(x.shape[0], -1, books, dim).movedim(2, 0).flatten(1, 2)
        )


class LearnedCodebook(Codebook):
    """Entries that are the running means of their vectors, or parameters.

    Attributes
    ----------
    entries : Tensor (books, size, dim)
        A parameter where there is no decay.
    usage : Tensor (books, size)
        The fraction of vectors that each entry is nearest to, a running mean.
    counts : Tensor (books, size)
        The number of such vectors in this epoch.
    recent : Tensor (books, size, dim)
        The latest vectors, which replace dead entries.
    """

    entries: Tensor
    usage: Tensor
    counts: Tensor
    recent: Tensor

    def __init__(self, books: int, size: int, dim: int, decay: float | None) -> None:
        super().__init__(size, ema=decay is not None)
        self.decay = decay
        entries = torch.randn(books, size, dim)
        if decay is None:
            self.entries = nn.Parameter(entries)
        else:
            self.register_buffer("entries", entries)
        self.register_buffer("usage", torch.full((books, size), 1 / size))
        self.register_buffer("counts", torch.zeros(books, size))
        self.register_buffer("recent", entries.clone())

    @property
    def table(self) -> Tensor:
        """The entries: (books, size, dim)."""
        return self.entries

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Set the entries to the cluster centres that k-means finds."""
        rows, size = self._by_book(x), self.size
        picks = torch.randperm(rows.shape[1])[torch.arange(size) % rows.shape[1]]
        self.entries.copy_(rows[:, picks])
        self.recent.copy_(rows[:, picks])
        for _ in range(KMEANS_STEPS):
            self._average(rows, self._one_hot(self._search(rows)), 0.0)

    @torch.no_grad()
    def update(self, inputs: Tensor, symbols: Tensor) -> None:
        """Count the symbols, and move the entries towards the means of their inputs."""
        rows = self._by_book(inputs)
        chosen = self._one_hot(blocks(symbols, len(self.entries)).movedim(2, 0).flatten(1))
        self.counts += chosen.sum(1)
        self.recent.copy_(torch.cat([rows, self.recent], 1)[:, : self.size])
        if self.decay is not None:
            self._average(rows, chosen, self.decay)

    @torch.no_grad()
    def revive(self) -> None:
        """Replace dead entries by recent inputs."""
        counts = workers.total(self.counts)
        dead = counts < DEAD * counts.mean(-1, keepdim=True)
        self.recent.copy_(workers.same(self.recent))
        fresh = self.recent[:, workers.same(torch.randperm(self.size))]
        self.entries.copy_(torch.where(dead[..., None], fresh, self.entries))
        # Without a past, an entry moves at once to the mean of its next inputs.
        self.usage.masked_fill_(dead, 0.0)
        self.counts.zero_()

    def _average(self, rows: Tensor, chosen: Tensor, decay: float) -> None:
        """Move each entry to the running mean of the rows (books, rows, dim) that chose it."""
        counts = chosen.sum(1)[..., None]
        sums = workers.total(torch.cat([counts, chosen.mT @ rows], -1))
        # Every row chooses one entry.
        means = sums / sums[..., :1].sum(1, keepdim=True)
        self.usage.lerp_(means[..., 0], 1 - decay)
        pull = means[..., 1:] - means[..., :1] * self.entries
        tiny = torch.finfo(rows.dtype).tiny
        self.entries += (1 - decay) * pull / self.usage.clamp_min(tiny)[..., None]

    def _one_hot(self, symbols: Tensor) -> Tensor:
        return one_hot(symbols, self.size, self.entries.dtype)


class MappedCodebook(Codebook):
    """One book of entries W r + b, of fixed random vectors r."""

    fixed: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__(size, ema=False)
        self.register_buffer("fixed", torch.randn(size, dim))
        self.map = nn.Linear(dim, dim)

    @property
    def table(self) -> Tensor:
        """The entries: (1, size, dim)."""
        if self.training:
            entries: Tensor = self.map(self.fixed)
        else:
            # The rounding of a product depends on where in memory a model was loaded.
            entries = (self.fixed[:, None] * self.map.weight).sum(-1) + self.map.bias
        return entries[None]

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Give the entries the mean and the covariance of the vectors."""
        rows = self._by_book(x)[0]
        # A little variance in every direction lets a covariance of any rank have a root.
        covariance = rows.mT.cov(correction=0).reshape(rows.shape[1], -1)
        jitter = 1e-6 * (1 + covariance.trace()) * torch.eye(len(covariance)).to(covariance)
        self.map.weight.copy_(torch.linalg.cholesky(covariance + jitter))
        self.map.bias.copy_(rows.mean(0))
