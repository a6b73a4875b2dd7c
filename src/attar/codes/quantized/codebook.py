"""Codebooks: vectors, and the nearest of them."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from attar.codes.quantized.base import blocks, one_hot

# Steps of k-means before training, and the share of its fair part below which an entry is dead.
LLOYD, DEAD = 10, 0.1


class Codebook(nn.Module):
    """Entries (books, size, dim), and the search for the nearest.

    Positions take turns with the books: one book is shared by all, or each has its own.

    Attributes
    ----------
    size : int
        How many entries a book has.
    moving : bool
        Whether entries move by themselves; else they learn from the codebook loss.
    """

    def __init__(self, size: int, moving: bool) -> None:
        super().__init__()
        self.size, self.moving = size, moving

    @property
    @abstractmethod
    def table(self) -> Tensor:
        """The entries: (books, size, dim)."""

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the entries of symbols (n, positions), on any device: (n, positions · dim)."""
        table = self.table
        books = torch.arange(symbols.shape[1], device=symbols.device) % len(table)
        return table[books, symbols].flatten(1)

    @torch.no_grad()
    def nearest(self, x: Tensor) -> Tensor:
        """Return the symbols of the entries nearest to vectors (n, positions · dim)."""
        return self._unstacked(self._search(self._by_book(x)), len(x))

    @abstractmethod
    def start(self, x: Tensor) -> None:
        """Begin where vectors (n, positions · dim) are, before training."""

    def learn(self, x: Tensor, symbols: Tensor) -> None:
        """Follow vectors (n, positions · dim) that won symbols (n, positions)."""

    def revive(self) -> None:
        """Put entries to use that won next to nothing since the last call."""

    def _search(self, rows: Tensor) -> Tensor:
        # A product is faster; the differences themselves are exact, so that out of training an
        # entry is its own nearest, and a row's symbols don't depend on its neighbours.
        fast = "use_mm" if self.training else "donot_use_mm"
        return torch.cdist(rows, self.table, compute_mode=f"{fast}_for_euclid_dist").argmin(-1)

    def _by_book(self, x: Tensor) -> Tensor:
        """Bring what is at positions (n, positions · dim) to its book: (books, rows, dim)."""
        books, _, dim = self.table.shape
        return x.to(self.table.dtype).reshape(len(x), -1, books, dim).movedim(2, 0).flatten(1, 2)

    def _unstacked(self, symbols: Tensor, n: int) -> Tensor:
        """Bring symbols of books (books, rows) to their positions: (n, positions)."""
        return symbols.reshape(len(symbols), n, -1).movedim(0, 2).flatten(1)


class LearnedCodebook(Codebook):
    """Entries that are the means of what they win, or parameters.

    Attributes
    ----------
    entries : Tensor (books, size, dim)
        A parameter where there is no decay.
    share : Tensor (books, size)
        The part of the rows that each entry wins, averaged over steps.
    wins : Tensor (books, size)
        How much each has won in this epoch.
    recent : Tensor (books, size, dim)
        The latest rows, of which dead entries are made anew.
    """

    entries: Tensor
    share: Tensor
    wins: Tensor
    recent: Tensor

    def __init__(self, books: int, size: int, dim: int, decay: float | None) -> None:
        super().__init__(size, moving=decay is not None)
        self.decay = decay
        entries = torch.randn(books, size, dim)
        if decay is None:
            self.entries = nn.Parameter(entries)
        else:
            self.register_buffer("entries", entries)
        self.register_buffer("share", torch.full((books, size), 1 / size))
        self.register_buffer("wins", torch.zeros(books, size))
        self.register_buffer("recent", entries.clone())

    @property
    def table(self) -> Tensor:
        """The entries: (books, size, dim)."""
        return self.entries

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Put the entries where k-means finds clusters of vectors (n, positions · dim)."""
        rows, size = self._by_book(x), self.size
        picks = torch.randperm(rows.shape[1])[torch.arange(size) % rows.shape[1]]
        self.entries.copy_(rows[:, picks])
        self.recent.copy_(rows[:, picks])
        for _ in range(LLOYD):
            self._average(rows, self._chosen(self._search(rows)), 0.0)

    @torch.no_grad()
    def learn(self, x: Tensor, symbols: Tensor) -> None:
        """Follow vectors (n, positions · dim) that won symbols (n, positions)."""
        rows, size = self._by_book(x), self.size
        chosen = self._chosen(self._by_position(symbols))
        self.wins += chosen.sum(1)
        self.recent.copy_(torch.cat([rows, self.recent], 1)[:, :size])
        if self.decay is not None:
            self._average(rows, chosen, self.decay)

    @torch.no_grad()
    def revive(self) -> None:
        """Put entries that won next to nothing since the last call where vectors were lately."""
        dead = self.wins < DEAD * self.wins.mean(-1, keepdim=True)
        fresh = self.recent[:, torch.randperm(self.size)]
        self.entries.copy_(torch.where(dead[..., None], fresh, self.entries))
        # Without a past, an entry goes at once to the mean of what it wins next.
        self.share.masked_fill_(dead, 0.0)
        self.wins.zero_()

    def _average(self, rows: Tensor, chosen: Tensor, decay: float) -> None:
        """Move each entry to the running mean of the rows (books, rows, dim) that chose it."""
        won = chosen.mean(1)
        self.share.lerp_(won, 1 - decay)
        pull = chosen.mT @ rows / rows.shape[1] - won[..., None] * self.entries
        tiny = torch.finfo(rows.dtype).tiny
        self.entries += (1 - decay) * pull / self.share.clamp_min(tiny)[..., None]

    def _chosen(self, symbols: Tensor) -> Tensor:
        """Return ones where rows chose an entry, else zeros: (books, rows, size)."""
        return one_hot(symbols, self.size, self.entries.dtype)

    def _by_position(self, symbols: Tensor) -> Tensor:
        """Bring symbols (n, positions) to their books: (books, rows)."""
        return blocks(symbols, len(self.entries)).movedim(2, 0).flatten(1)
