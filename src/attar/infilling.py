"""Text infilling: gaps in texts, filled by what is most likely given all that is around them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.kind import Kind, Rows
from attar.data.source import Data
from attar.data.text import Text, Texts, as_bytes, is_binary
from attar.errors import DataError, SettingError
from attar.fitted import Fitted
from attar.isolation import default_settings
from attar.likelihoods.language import LanguageModule
from attar.predictor import Predictor
from attar.token_ids import END, MASK, PAD

# What stands for the tokens of a gap, of which there are so many at most.
GAP, LONGEST = b"[...]", 4

# So many first tokens of a gap are tried.
BEGINNINGS = 8

# By how much the log-probability of a token is smaller where it should not be.
UNLIKELY = 1e4


class Infilling(ABC):
    """The method of an estimator that fills gaps in texts."""

    @abstractmethod
    def _read(self, X: Data, part: str, kind: Kind | None = None) -> Any:
        """Return X as the user has it, from wherever it is."""

    @property
    @abstractmethod
    def _fitted(self) -> Fitted:
        """The fitted model."""

    @default_settings()
    def infill(self, X: Data, *, condition: Data | None = None) -> Texts:
        """Return texts with each ``[...]`` in them replaced by the most likely words.

        A gap gets one to four tokens, as many as fit at most. For each number of them, the encoder
        gets the text m with so many places left empty, as those of deleted tokens are in training.
        The decoder fills the first with each of the eight most likely tokens given the context c(m)
        of the code and the tokens before, and each other place with the most likely one. Of these
        texts x the one is taken that has the highest log-likelihood,

            log p(x | c(m)) = Σ_t log p(x_t | x_<t, c(m)).

        The first token begins a word where a space is before the gap. Of several gaps the first is
        filled first, while those behind it have one empty place. Everything outside of gaps stays
        as it is, byte for byte.

        Parameters
        ----------
        X : list, array, Series or table of texts, or Lines
        condition : label, array (n,) or table, default None
            The condition of the texts, where the model was fitted with one.

        Returns
        -------
        list, array, Series or table
            As X is.

        Raises
        ------
        SettingError
            If the model is not of text.
        DataError
            If a gap is behind the most tokens that a text of the model has.

        Examples
        --------
        >>> import attar
        >>> lines = [f"{who} is {place}" for who in ("she", "he") for place in ("away", "at sea")]
        >>> settings = {"epochs": 10, "random_state": 0, "verbose": False}
        >>> ae = attar.Autoencoder("text", **settings).fit(lines * 10)
        >>> ae.infill(["she is at [...]", "she is not here"])
        ['she is at sea', 'she is not here']

        References
        ----------
        Donahue, Lee and Liang, "Enabling language models to fill in the blanks", ACL 2020.
        """
        fitted, found = self._fitted, []
        kind = fitted.kind
        language = isinstance(fitted.predictor.model.likelihood, LanguageModule)
        if not isinstance(kind, Text) or not language:
            raise SettingError(
                "Gaps '[...]' are filled in text, and the model is of other data: attar.Imputer "
                "fills the missing cells of tables, series and images."
            )
        for piece in kind.pieces(self._read(X, part="test", kind=kind)):
            texts = as_bytes(piece, kind.column)
            predictor = fitted.conditioned(condition, len(texts))
            own = replace(kind, binary=is_binary(piece, kind.column))
            found.append(own.formed(_infilled(predictor, own, texts), kind.passthrough(piece)))
        return found[0] if len(found) == 1 else kind.joined(found)


@dataclass(frozen=True)
class _Candidates:
    """Texts with a gap, each several times, with other numbers of tokens in the gap.

    Attributes
    ----------
    text : int array (n,)
        The text of each candidate.
    rows : array (n, length)
        Tokens, hidden in gaps.
    start, size : int array (n,)
        The first place in the gap, and how many there are.
    spaced : bool array (n,)
        Whether a space is before the gap.
    """

    text: NDArray[np.intp]
    rows: Rows
    start: NDArray[np.intp]
    size: NDArray[np.intp]
    spaced: NDArray[np.bool_]

    @classmethod
    def of(cls, kind: Text, texts: Sequence[Sequence[bytes]]) -> Self:
        """Return the candidates for the first gap of texts, which are given as what is around gaps.

        Raises
        ------
        DataError
            If the gap is behind the most tokens of a text.
        """
        gaps, rows = [], []
        for i, (*parts, last) in enumerate(texts):
            # A token of a word has the space before it.
            around = kind.vocabulary.encode([*(part.removesuffix(b" ") for part in parts), last])
            before, second, *others = around
            after = [second, *(np.insert(tokens, 0, MASK) for tokens in others)]
            start, spaced = len(before), parts[0].endswith(b" ")
            if start >= kind.length:
                raise DataError(
                    f"The gap behind {parts[0][-40:].decode(errors='replace')!r} cannot be filled, "
                    f"as texts have at most {kind.length:,} tokens in this model: shorten the text."
                )
            room = kind.length - start - sum(map(len, after)) - 1  # for all tokens and an end
            for size in range(1, min(LONGEST, max(1, room)) + 1):
                gaps.append((i, start, size, spaced))
                rows.append(np.concatenate([before, np.full(size, MASK), *after]))
        text, start, size, spaced = np.array(gaps).T
        return cls(text, kind.padded(rows), start, size, spaced.astype(bool))

    def at(self, some: slice) -> Self:
        """Return some candidates."""
        return type(self)(*(values[some] for values in vars(self).values()))


def _infilled(predictor: Predictor, kind: Text, texts: Sequence[bytes]) -> list[bytes]:
    """Return texts whose gaps are filled, one after the other."""
    split = [text.split(GAP) for text in texts]
    while gapped := [i for i, parts in enumerate(split) if len(parts) > 1]:
        candidates = _Candidates.of(kind, [split[i] for i in gapped])
        fillings = _fillings(predictor.at(gapped), kind, candidates)
        for i, filling in zip(gapped, fillings, strict=True):
            before, after, *others = split[i]
            split[i] = [before + filling + after, *others]
    return [text for (text,) in split]


def _fillings(predictor: Predictor, kind: Text, candidates: _Candidates) -> list[bytes]:
    """Return what fills the first gap of each text best."""
    working, n = predictor.at(candidates.text), len(candidates.text)
    somes = [slice(i, i + predictor.chunk) for i in range(0, n, predictor.chunk)]
    parts = [_filled(working.at(some), kind, candidates.at(some)) for some in somes]
    tokens, log_likelihoods = (np.concatenate(part) for part in zip(*parts, strict=True))
    found = []
    for text in range(candidates.text[-1] + 1):
        own = np.flatnonzero(candidates.text == text)
        best = own[log_likelihoods[own].argmax()]
        start, size = candidates.start[best], candidates.size[best]
        filling = kind.vocabulary.decode(tokens[best, start : start + size])
        if candidates.spaced[best]:
            filling = filling.removeprefix(b" ")
        found.append(filling if kind.binary else filling.decode(errors="replace").encode())
    return found


@torch.no_grad()
def _filled(
    predictor: Predictor, kind: Text, candidates: _Candidates
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return tokens (n, length) of candidates that are filled, and their log-likelihoods (n,)."""
    model, device = predictor.model, predictor.device
    language = model.likelihood
    assert isinstance(language, LanguageModule)
    rows = candidates.rows
    codes = torch.from_numpy(predictor.encode(np.where(rows == MASK, PAD, rows))).to(device)
    condition = None if predictor.condition is None else predictor.condition.to(codes)
    parameters = model.parameters_of(codes[None], condition)[0]
    tokens = torch.from_numpy(rows).long().to(device)
    start, size, spaced = (
        torch.from_numpy(x).to(device)
        for x in (candidates.start, candidates.size, candidates.spaced)
    )
    start, size, spaced, parameters, tokens = (
        x.repeat_interleave(BEGINNINGS, 0) for x in (start, size, spaced, parameters, tokens)
    )
    rank = torch.arange(len(size), device=device) % BEGINNINGS
    opening, blank = _unlikely(kind, device)
    for i in range(int(size.max())):
        row = (size > i).nonzero()[:, 0]
        place = start[row] + i
        logits = language.log_prob_at(place, parameters[row], tokens[row])
        logits -= (
            opening * (spaced[row] & (i == 0))[:, None] + blank * (size[row] == i + 1)[:, None]
        )
        logits[:, [PAD, END, MASK]] = -torch.inf
        best = logits.topk(BEGINNINGS).indices
        tokens[row, place] = best.gather(1, rank[row, None] * (i == 0))[:, 0]
    log_prob = language.log_prob_in_context(parameters, tokens)
    known = (tokens != PAD) & (tokens != MASK)
    scores = (log_prob * known).sum(1).view(-1, BEGINNINGS)
    best = scores.argmax(1)
    tokens = tokens.view(len(best), BEGINNINGS, -1)[torch.arange(len(best)), best]
    return tokens.cpu().numpy(), scores.amax(1).cpu().numpy()


def _unlikely(kind: Text, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return by how much tokens are unlikely (V,): without a space before them; of blanks only."""
    pieces = kind.vocabulary.pieces
    opening = [UNLIKELY * (not piece.startswith(b" ")) for piece in pieces]
    blank = [UNLIKELY * (not piece.strip()) for piece in pieces]
    return torch.tensor(opening, device=device), torch.tensor(blank, device=device)
