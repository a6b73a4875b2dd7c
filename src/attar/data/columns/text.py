"""Columns of free text, as vectors of latent semantic analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.cells import Cell, Component
from attar.data.columns.arrow import TEXT, plain_text
from attar.data.columns.base import Array, Column, ColumnProfile, DroppedColumn, unscaled
from attar.data.kind import Json
from attar.data.stream import evenly_spaced
from attar.data.summary import Moments
from attar.storage import nested, unnested

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import CountVectorizer

Vectors = NDArray[np.float32]

# Words are of two letters or more; the most frequent ones, each of two texts or more, have vectors.
WORD, WORDS, FEWEST_TEXTS = r"[^\W\d_]{2,}", 4096, 2

# A vector has a component for so many texts, within these limits; those of smaller singular values,
# relative to the largest, are rounding errors.
TEXTS_PER_COMPONENT, FEWEST, COMPONENTS, RANK = 10, 2, 32, 1e-6

# So many texts, and bytes of them, are kept at most; so many rows are compared with them at once.
KEPT, KEPT_BYTES, AT_ONCE = 2048, 1 << 20, 4096

# The median text of a column of free text has so many words, which are between spaces.
SPACED, FREE = r"(?:^|\s)\S*\pL\pL", 3


@dataclass(frozen=True)
class TextColumn(Column, tag="text"):
    """Free text: a vector of its words, by latent semantic analysis.

    ::

        v = s / |s|,   s = sum of (1 + log n_w) idf_w u_w over words w

    for n_w occurrences of w, upper and lower case alike, with u_w row w of the right singular
    vectors of the sublinear TF-IDF of texts of the fit; 0 for a text without a known word. The
    cells are (v - mean) / deviation, whose variances add up to 1: a text counts as much as a
    number. They are decoded as that kept text of the fit whose cells have the largest cosine.

    Parameters
    ----------
    mean : tuple of float
        Of v, for each component.
    deviation : float
        The root of the summed variances of v.
    words, texts : tuple of str
        The known words, and the kept texts.
    vectors : array (words, components)
        idf_w u_w.

    References
    ----------
    Deerwester, Dumais, Furnas, Landauer and Harshman, "Indexing by latent semantic analysis",
    Journal of the American Society for Information Science 41, 1990.
    """

    mean: tuple[float, ...]
    deviation: float
    words: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    vectors: Vectors = field(default_factory=lambda: np.zeros((0, 1), np.float32), compare=False)

    @classmethod
    def of(cls, name: str, type_: pa.DataType, sample: pa.ChunkedArray) -> Self | None:
        """Return the column that suits texts; None if no shared words distinguish them."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.utils.extmath import randomized_svd

        texts: list[str] = sample.drop_null().to_pylist()
        tfidf = TfidfVectorizer(
            token_pattern=WORD, min_df=FEWEST_TEXTS, max_features=WORDS, sublinear_tf=True
        )
        try:
            matrix = tfidf.fit_transform(texts)
        except ValueError:  # no words are left
            return None
        most = min(COMPONENTS, max(FEWEST, len(texts) // TEXTS_PER_COMPONENT), *matrix.shape)
        _, values, axes = randomized_svd(matrix, most, n_iter=5, random_state=0)
        axes = axes[values > RANK * values[0]]
        words = tuple(tfidf.get_feature_names_out().tolist())
        vectors = (tfidf.idf_[:, None] * axes.T).astype(np.float32)
        column = cls(name, type_, (0.0,) * len(axes), 1.0, words, (), vectors)
        found = column._cells(texts)
        deviation = float(np.sqrt(found.var(0).sum()))
        if deviation < RANK:
            return None
        # One text without a known word is always kept, such as the empty one.
        different = dict.fromkeys(texts[i] for i in np.argsort(found.any(1), kind="stable")[:1])
        kept = _kept([*(different | dict.fromkeys(texts))])
        mean = tuple(found.mean(0).tolist())
        return replace(column, mean=mean, deviation=deviation, texts=kept)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The components."""
        size = len(self.mean)
        return tuple(Component(self.name, i, size) for i in range(size))

    @property
    def remark(self) -> str:
        """How it is encoded and decoded."""
        return (
            f"its words become a vector of size {len(self.mean)}, decoded as the most similar of "
            f"{len(self.texts):,} training texts"
        )

    @property
    def single(self) -> bool:
        """True: vectors are in single precision."""
        return True

    def moments(self, count: int) -> Moments:
        """Return the moments of so many texts: components are not scaled."""
        return unscaled(count, *[1.0] * len(self.mean))

    def encode(self, array: pa.ChunkedArray) -> Array:
        """Return the cells of texts."""
        rows = self._cells(plain_text(array).cast(TEXT).fill_null("").to_pylist())
        rows[array.is_null().to_numpy()] = np.nan
        return rows.astype(np.float64)

    def decode(self, rows: Array) -> pa.Array:
        """Return the kept texts whose cells have the largest cosine to the rows."""
        missing = np.isnan(rows).any(1)
        nearest = np.zeros(len(rows), np.intp)
        for start in range(0, len(rows), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            nearest[some] = (np.nan_to_num(rows[some]) @ self._keys.T).argmax(1)
        return pa.array(self.texts, TEXT).take(pa.array(nearest, mask=missing))

    def to_json(self) -> Json:
        """Return all that is no tensor."""
        tensors = ("words", "texts", "vectors")
        return {name: x for name, x in super().to_json().items() if name not in tensors}

    def tensors(self) -> dict[str, Tensor]:
        """Return the vectors, and words and texts as bytes."""
        return {
            "vectors": torch.from_numpy(self.vectors),
            **nested("words", _packed(self.words)),
            **nested("texts", _packed(self.texts)),
        }

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Self:
        """Return the column of JSON with what :meth:`tensors` returned."""
        words, texts = (_unpacked(unnested(name, tensors)) for name in ("words", "texts"))
        return replace(self, words=words, texts=texts, vectors=tensors["vectors"].numpy())

    @cached_property
    def _keys(self) -> Array:
        """The cells of kept texts, of length 1."""
        cells = self._cells(self.texts).astype(np.float64)
        length = np.linalg.norm(cells, axis=1, keepdims=True)
        return cells / np.where(length > 0, length, 1)

    @cached_property
    def _counter(self) -> CountVectorizer:
        from sklearn.feature_extraction.text import CountVectorizer

        return CountVectorizer(token_pattern=WORD, vocabulary=self.words, dtype=np.float32)

    def _cells(self, texts: Sequence[str]) -> Vectors:
        counts = self._counter.transform(texts)
        counts.data = 1 + np.log(counts.data)
        sums = counts @ self.vectors
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        vectors = sums / np.where(length > 0, length, 1)
        return np.asarray((vectors - np.array(self.mean)) / self.deviation, np.float32)


class FreeTextProfile(ColumnProfile):
    """How many texts there are, and the first and the last of them in order."""

    def add(self, array: pa.ChunkedArray) -> None:
        """Add the next piece, in which some value is not missing."""
        self.observed += len(array) - array.null_count
        extremes = pc.min_max(plain_text(array)).as_py()
        self.widen(extremes["min"], extremes["max"])

    def column(self, type_: pa.DataType, n: int, sample: pa.ChunkedArray) -> Column:
        """Return a column of free text, or why it is dropped."""
        why = "its texts share no words that distinguish them"
        found = TextColumn.of(self.name, type_, plain_text(sample))
        return found or DroppedColumn(self.name, type_, why)

    def moments(self, column: TextColumn) -> Moments:
        """Return how many there are."""
        return column.moments(self.observed)


def is_free_text(texts: pa.ChunkedArray) -> bool:
    """Return whether most texts have several words.

    Examples
    --------
    >>> is_free_text(pa.chunked_array([["The room was clean.", "Never again, far too loud!"]]))
    True
    >>> is_free_text(pa.chunked_array([["A-113 / 7 x 9", "https://example.com/a/page"]]))
    False
    """
    words = pc.count_substring_regex(texts.drop_null(), SPACED).to_numpy()
    return len(words) > 0 and bool(np.median(words) >= FREE)


def _kept(texts: list[str]) -> tuple[str, ...]:
    """Return some texts, evenly spread over all of them; the first is always among them."""
    sizes = np.array([len(text.encode()) for text in texts])
    some = evenly_spaced(len(texts), min(KEPT, max(1, int(KEPT_BYTES / sizes.mean().clip(1)))))
    fits = sizes[some].cumsum() <= KEPT_BYTES
    fits[0] = True
    return tuple(texts[i] for i in some[fits])


def _packed(texts: tuple[str, ...]) -> dict[str, Tensor]:
    """Return texts as bytes in UTF-8, and where each ends."""
    encoded = [text.encode() for text in texts]
    joined = np.frombuffer(bytearray(b"".join(encoded)), np.uint8)
    ends = np.cumsum([len(text) for text in encoded])
    return {"bytes": torch.from_numpy(joined), "ends": torch.from_numpy(ends)}


def _unpacked(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Return the texts of :func:`_packed`."""
    joined, ends = tensors["bytes"].numpy().tobytes(), tensors["ends"].tolist()
    return tuple(joined[a:b].decode() for a, b in zip([0, *ends[:-1]], ends, strict=True))
