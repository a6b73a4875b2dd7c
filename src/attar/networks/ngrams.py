"""Probabilities of tokens by counts of n-grams."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from attar.networks.statistics import CorpusStatistics
from attar.token_ids import MASK, PAD

# The most tokens of an n-gram.
ORDER = 5

# So many n-grams are counted at most: 24 MB of a model file.
COUNTED = 2_000_000

# Where a class has no tokens.
TINY = 1e-30

# Discounts are between these, also where few n-grams were counted.
LEAST, MOST = 0.1, 0.95


class NGrams(CorpusStatistics):
    """Kneser-Ney smoothing: the probabilities of a token given the four before it.

    ::

        p(x | c) = (max(n(c, x) - d, 0) + d N(c) r(k | c) p(x | k, c')) / n(c)
        r(k | c) = (n(c, k) + p(k | c')) / (n(c) + 1)

    where c' is c without its first token, N(c) says how many tokens follow c, and n(c, x) counts
    how often x does; of shorter contexts it counts the tokens before c with which x was seen. The
    discount is d = n_1 / (n_1 + 2 n_2) for n_i n-grams that were seen i times. k is whether x
    continues a word, which a context tells better than x itself, so that few words are broken off.
    Before a text are four tokens MASK.

    Parameters
    ----------
    vocabulary : int
        The number of tokens.

    Attributes
    ----------
    order : int
        The tokens of an n-gram: five, or as many as have a number of 63 bits.

    Examples
    --------
    >>> ngrams = NGrams(300)
    >>> ngrams.start(torch.tensor([[70, 80, 1], [70, 90, 1], [60, 90, 1]]))
    >>> first = ngrams(torch.tensor([[MASK, MASK, MASK, MASK]])).exp()
    >>> first[0, 70].item() > first[0, 60].item() > first[0, 80].item()
    True

    References
    ----------
    Kneser and Ney, "Improved backing-off for m-gram language modeling", ICASSP 1995. Chen and
    Goodman, "An empirical study of smoothing techniques for language modeling", Computer Speech and
    Language 13, 1999.
    """

    texts: ClassVar[int] = 65536

    grams: Tensor
    counts: Tensor
    classes: Tensor

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.order = min(ORDER, int(math.log(2**63, vocabulary)))
        self.register_buffer("grams", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("counts", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("classes", torch.tensor([[True, False]]).repeat(vocabulary, 1))
        self._known: tuple[Tensor, list[_GramCounts]] | None = None

    def spell(self, pieces: Sequence[bytes]) -> None:
        """Take the bytes of each token, of which the first tells if it continues a word."""
        starts = (chr(piece[0]) if piece else " " for piece in pieces)
        continuing = torch.tensor([x.isalnum() or x > "\x7f" for x in starts])
        self.classes.copy_(torch.stack([~continuing, continuing], 1))

    def start(self, tokens: Tensor) -> None:
        """Count the n-grams of texts (B, length), up to 2 million of them."""
        tokens = tokens.long()
        seen = tokens != PAD
        grams = torch.cat([self.contexts(tokens)[seen], tokens[seen][:, None]], 1)[:COUNTED]
        self.grams, counts = torch.unique(self._number(grams), return_counts=True)
        self.counts = counts.int()

    def contexts(self, tokens: Tensor) -> Tensor:
        """Return the tokens (B, length, order - 1) before each of texts (B, length)."""
        n = self.order - 1
        return functional.pad(tokens, (n, -1), value=MASK).unfold(1, n, 1)

    @torch.no_grad()
    def forward(
        self, contexts: Tensor, known: Tensor | None = None, own: Tensor | None = None
    ) -> Tensor:
        """Return the log-probabilities (N, V) of tokens after contexts (N, order - 1).

        Parameters
        ----------
        contexts : int Tensor (N, order - 1)
        known : int Tensor (N,)
            How many tokens of each context are seen, from the last; None for all.
        own : int Tensor (N,)
            The token that followed where the context was counted: the counts are those of all
            other texts.
        """
        (first, *levels), removed = self._levels(), self._removed(contexts, own)
        p = first.frequencies(self.vocabulary).repeat(len(contexts), 1)
        classes = self.classes.to(p)
        for n, level in enumerate(levels, 1):
            begin = self._number(contexts[:, -n:]) * self.vocabulary
            start, end = level.place(begin), level.place(begin + self.vocabulary)
            found = end - start if known is None else (end - start) * (known >= n)
            row = torch.arange(len(begin), device=begin.device).repeat_interleave(found)
            rank = torch.arange(len(row), device=begin.device) - (found.cumsum(0) - found)[row]
            token, count = level.followers(start[row] + rank)
            token = token % self.vocabulary
            if own is not None:
                count = count - removed[n][row] * (token == own[row])
            discount = count.clamp_max(level.discount)
            rest = p.new_zeros(len(p)).index_add(0, row, discount)
            mass = p @ classes
            counted = torch.zeros_like(mass).index_add(0, row, count[:, None] * classes[token])
            total = counted.sum(1)
            shares = (counted + mass) / (total[:, None] + 1)
            total = total.masked_fill(total == 0, 1)
            rest = torch.where(rest > 0, rest / total, 1)
            p *= (rest[:, None] * shares / mass.clamp_min(TINY)) @ classes.T
            p.index_put_((row, token), (count - discount) / total[row], accumulate=True)
        return p.log()

    @property
    def frequencies(self) -> Tensor:
        """The logarithms of the frequencies of tokens (V,)."""
        counts = self.counts.new_zeros(self.vocabulary, dtype=torch.float32)
        counts.index_add_(0, self.grams % self.vocabulary, self.counts.float())
        return ((counts + 0.5) / (counts + 0.5).sum()).log()

    def _levels(self) -> list[_GramCounts]:
        """Return n-grams of 1 to ``order`` tokens, of which the longest tell all others."""
        if self._known is None or self._known[0] is not self.grams:
            grams, counts = self.grams, self.counts
            levels: list[_GramCounts] = []
            for n in range(self.order - 1, -1, -1):
                levels.insert(0, _GramCounts(grams, counts.float()))
                grams, counts = torch.unique(grams % self.vocabulary**n, return_counts=True)
            self._known = self.grams, levels
        return self._known[1]

    def _removed(self, contexts: Tensor, own: Tensor | None) -> list[Tensor]:
        """Return, for each level, by how much the count of a token is smaller without its text."""
        if own is None:
            return []
        gram = self._number(torch.cat([contexts, own[:, None]], 1))
        removed: list[Tensor] = []
        gone = torch.ones_like(own, dtype=torch.bool)
        for n, level in reversed(list(enumerate(self._levels(), 1))):
            count = level.count(gram % self.vocabulary**n)
            removed.insert(0, (gone & (count > 0)).float())
            gone = gone & (count == 1)
        return removed

    def _number(self, tokens: Tensor) -> Tensor:
        """Return the numbers (...,) of n-grams (..., n)."""
        places = torch.arange(tokens.shape[-1] - 1, -1, -1, device=tokens.device)
        return (tokens * self.vocabulary**places).sum(-1)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Tensor], prefix: str, *others: Any
    ) -> None:
        for name in ("grams", "counts"):
            if (saved := state_dict.get(prefix + name)) is not None:
                setattr(self, name, torch.empty_like(saved, device=self.grams.device))
        super()._load_from_state_dict(state_dict, prefix, *others)


class _GramCounts:
    """N-grams of one length, by their numbers."""

    def __init__(self, grams: Tensor, counts: Tensor) -> None:
        self.grams, self.counts = grams, counts
        once, twice = (int((counts == n).sum()) for n in (1, 2))
        self.discount = min(MOST, max(LEAST, once / max(1, once + 2 * twice)))

    def place(self, gram: Tensor) -> Tensor:
        """Return how many n-grams have smaller numbers."""
        return torch.searchsorted(self.grams, gram)

    def count(self, gram: Tensor) -> Tensor:
        """Return how often n-grams occur."""
        if not len(self.grams):
            return self.counts.new_zeros(len(gram))
        index = self.place(gram).clamp_max(len(self.grams) - 1)
        return self.counts[index] * (self.grams[index] == gram)

    def followers(self, place: Tensor) -> tuple[Tensor, Tensor]:
        """Return numbers and counts."""
        return self.grams[place], self.counts[place]

    def frequencies(self, vocabulary: int) -> Tensor:
        """Return the probabilities of tokens (V,), of which those never seen have some too."""
        counts = self.counts.new_zeros(vocabulary).index_add(0, self.grams, self.counts)
        rest = counts.clamp_max(self.discount)
        return (counts - rest + (rest.sum() + 1) / vocabulary) / (counts.sum() + 1)
