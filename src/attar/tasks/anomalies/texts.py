"""TextScorer: lines of text, each compared with the most similar ones by n-grams of characters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer
from torch import Tensor

from attar.data.kind import Json
from attar.data.lines import Lines
from attar.data.source import Data, Source
from attar.data.stream import Sample, pieces
from attar.data.text import Text, as_bytes, as_string
from attar.data.tokens import Vocabulary
from attar.errors import DataError, SettingError
from attar.tasks.anomalies.calibration import own_surprise, surprise
from attar.tasks.anomalies.neighbours import CosineNeighbours, nearest, sampled
from attar.tasks.anomalies.rows import FEWEST, ROWS
from attar.tasks.anomalies.scorer import Array, Scorer, Settings, Test, same
from attar.tasks.estimator import pieces_of

# Characters of an n-gram, and columns that these are hashed to.
N, COLUMNS = 4, 1 << 20

# The weight of an n-gram that all lines have. With less, a rare word, all of whose n-grams are
# rare, counts for more than the rest of its line.
LEAST = 4.0

WORD = re.compile(r"(\w+)")


@dataclass(frozen=True)
class TextScorer(Scorer):
    """What is usual in lines of text.

    A score is -log p of one minus the mean cosine similarity to the 20 nearest lines, of
    logarithmic counts of n-grams. One in m of n lines weighs 4 + log((1 + n) / (1 + m)).

    Attributes
    ----------
    kind : Text
        The form; it has no vocabulary, and lines have no greatest length.
    counts : CSR matrix (n, columns)
        Of n-grams in lines of the fit.
    distances : array (n,)
        One minus the similarities of lines of the fit to others.
    seen : int
        How many lines it was fitted on, or updated with.

    References
    ----------
    Cavnar and Trenkle, "N-gram-based text categorization", SDAIR 1994. He et al., "Drain: an online
    log parsing approach with fixed depth tree", ICWS 2017.
    """

    kind: Text
    counts: sparse.csr_array
    distances: Array
    seen: int

    name = "texts"

    @classmethod
    def fit(cls, data: Any, settings: Settings) -> Self:
        """Return what is usual in lines, of which at most 10,000 are used."""
        for name in ("recipe", "columns"):
            if getattr(settings, name) is not None:
                raise SettingError(f"{name} is for tables, not text: leave it out.")
        sample: Sample[list[bytes]] = Sample(lambda texts, at: [texts[i] for i in at])
        column, binary = None, False
        for piece in pieces(data):
            if isinstance(piece, pd.DataFrame):
                column = str(piece.columns[0])
            binary = binary or any(isinstance(text, bytes) for text in piece)
            texts = as_bytes(piece)
            sample.add(texts, len(texts))
        if sample.seen < FEWEST:
            raise DataError(
                f"X has {sample.seen} sample(s), and AnomalyDetector needs {FEWEST} at least to "
                "learn what is usual."
            )
        kept, _ = sample.result(lambda parts: [text for part in parts for text in part])
        chosen = np.random.default_rng(settings.seed).permutation(len(kept))[:ROWS]
        counts = _counts([kept[i] for i in np.sort(chosen)])
        if not abs(counts[1:] - counts[:-1]).nnz:
            raise DataError(
                "All lines of X are alike, but for numbers: there is nothing to tell them apart by."
            )
        read_as = (data.paragraphs, data.split) if isinstance(data, Lines) else (False, None)
        return cls._of(Text(Vocabulary(), 0, column, binary, *read_as), counts, sample.seen)

    @classmethod
    def _of(cls, kind: Text, counts: sparse.csr_array, seen: int) -> Self:
        """Return what is usual in a sample of the lines that were seen."""
        return cls(kind, counts, _distances(CosineNeighbours(counts, LEAST), counts), seen)

    def updated(self, pieces: Iterator[Any], seed: int) -> Self:
        """Return what is usual in a sample of which each new line takes the place of any other."""
        rng = np.random.default_rng((seed, self.seen))
        counts, added = sampled(self.counts, map(self._counts, pieces), rng)
        return self._of(self.kind, counts, self.seen + added)

    @cached_property
    def own(self) -> Array:  # type: ignore[override]
        """How odd the lines of the fit are."""
        return own_surprise(self.distances)

    @property
    def dimensions(self) -> int:
        """One: a line."""
        return 1

    @property
    def columns(self) -> list[str] | None:
        """The column of a table that the text is."""
        return None if self.kind.column is None else [self.kind.column]

    def pieces(self, X: Data | Source, infinite_as_missing: bool) -> Iterator[Any]:
        """Return lines in lists or columns that fit into memory."""
        return pieces_of(X, self.kind)

    def score(self, piece: Any) -> Array:
        """Return how odd lines are."""
        return surprise(self.distances, _distances(self._neighbours, self._counts(piece)))

    def explain(self, piece: Any, start: int, most: int) -> pd.DataFrame:
        """Return the words with the rarest n-grams; missing where a line has fewer words."""
        found: list[tuple[int, str | None, float]] = []
        for row, text in enumerate(as_bytes(piece, self.kind.column), start):
            words = list(dict.fromkeys(WORD.findall(as_string(text))))
            nats = self._nats(words) if words else []
            rarest = sorted(zip(words, nats, strict=True), key=lambda pair: -pair[1])[:most]
            found += [(row, word, rare) for word, rare in rarest]
            found += [(row, None, np.nan)] * (most - len(rarest))
        return pd.DataFrame(found, columns=["row", "word", "nats"])

    def tests(self, pieces: Iterator[Any]) -> tuple[dict[str, Test], int]:
        """Return the test of the distances."""
        counts = (self._counts(piece) for piece in pieces)
        new = np.concatenate([_distances(self._neighbours, part) for part in counts])
        return {"(scores)": same(self.distances, new)}, 1

    def tensors(self) -> dict[str, Tensor]:
        """Return the counts, and the distances of lines of the fit."""
        names = "data", "indices", "indptr"
        found = {name: torch.from_numpy(getattr(self.counts, name)) for name in names}
        return {**found, "distances": torch.from_numpy(self.distances)}

    def to_json(self) -> Json:
        """Return the form of the text."""
        return {"form": self.kind.to_json(), "seen": self.seen}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""
        parts = tuple(tensors[name].numpy() for name in ("data", "indices", "indptr"))
        distances = tensors["distances"].numpy()
        counts = sparse.csr_array(parts, (len(distances), COLUMNS))
        return cls(Text.from_json(description["form"]), counts, distances, description["seen"])

    @cached_property
    def _neighbours(self) -> CosineNeighbours:
        return CosineNeighbours(self.counts, LEAST)

    def _counts(self, piece: Any) -> sparse.csr_array:
        texts = as_bytes(piece, self.kind.column)
        if not texts:
            raise DataError("Found array with 0 sample(s): give at least one line.")
        return _counts(texts)

    def _nats(self, words: list[str]) -> list[float]:
        """Return -log of the share of lines that have the rarest n-gram of each word."""
        counts, rows = _counts([word.encode("utf-8", "surrogatepass") for word in words]), []
        for first, end in zip(counts.indptr[:-1], counts.indptr[1:], strict=True):
            rows.append(self._neighbours.rows[counts.indices[first:end]].min())
        nats: list[float] = np.log((1 + self.counts.shape[0]) / (1 + np.array(rows))).tolist()
        return nats


def ngrams(text: str) -> list[str]:
    """Return the n-grams of the words of a text, in lower case; words with digits are all alike.

    Examples
    --------
    >>> ngrams("Job 7f3a failed")
    [' job', 'job ', ' 0 ', ' fai', 'fail', 'aile', 'iled', 'led ']
    """
    found = []
    for word in WORD.findall(text.lower()):
        whole = " 0 " if any(map(str.isdigit, word)) else f" {word} "
        found += [whole[i : i + N] for i in range(max(1, len(whole) - N + 1))]
    # Lines without words are alike.
    return found or [" "]


def _distances(neighbours: CosineNeighbours, counts: sparse.csr_array) -> Array:
    """Return one minus the mean similarity of lines to the nearest ones, none of which is itself.

    It is rounded to what single precision has, so that lines that are alike have equal ones.
    """
    found = [1 - nearest(similar) for similar, _ in neighbours.similar(counts)]
    distances: Array = np.concatenate(found)
    return distances.round(5)


def _counts(texts: list[bytes]) -> sparse.csr_array:
    """Return how often each n-gram is in texts."""
    hashed = HashingVectorizer(
        analyzer=ngrams, n_features=COLUMNS, norm=None, alternate_sign=False
    ).transform([as_string(text) for text in texts])
    return sparse.csr_array(hashed)
