"""Vectors of words and tokens from the texts that they occur in together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.extmath import randomized_svd
from torch import Tensor, nn
from torch.nn import functional

from attar.isolation import one_thread
from attar.networks.attention import Packed
from attar.networks.statistics import CorpusStatistics
from attar.token_ids import PAD

# A word's number is a polynomial of its bytes at this point, modulo 2^64; later bytes are left out.
POINT, LONGEST = 0x9E3779B1, 64

# The most words that have a vector.
WORDS = 16384

# Words of this probability have half the weight of rare ones.
COMMON = 1e-3

NONE = torch.iinfo(torch.int64).max


class WordVectors(CorpusStatistics):
    """The sum of a text's words: their vectors are principal components of mutual information.

    ::

        M_wv = max(0, log p(w, v) / (p(w) p(v))) = U S V',   vector of w = U_w * a / (a + p(w))

    for words w and v of one text, upper and lower case alike, with a = 0.001.

    Parameters
    ----------
    vocabulary : int
        The number of tokens.
    size : int
        The size of a vector.

    References
    ----------
    Levy and Goldberg, "Neural word embedding as implicit matrix factorization", NeurIPS 2014.
    Arora, Liang and Ma, "A simple but tough-to-beat baseline for sentence embeddings", ICLR 2017.
    """

    texts: ClassVar[int] = 16384

    numbers: Tensor
    vectors: Tensor
    spelling: Tensor
    powers: Tensor

    def __init__(self, vocabulary: int, size: int) -> None:
        super().__init__()
        self.register_buffer("numbers", torch.full((WORDS,), NONE))
        self.register_buffer("vectors", torch.zeros(WORDS, size))
        self.register_buffer("spelling", torch.zeros(vocabulary, 4, dtype=torch.int64))
        self.register_buffer("powers", torch.tensor(_POWERS))

    def spell(self, pieces: Sequence[bytes]) -> None:
        """Take the bytes of each token."""
        self.spelling.copy_(torch.tensor([_spelled(piece) for piece in pieces]))

    def forward(self, tokens: Tensor, packed: Packed) -> Tensor:
        """Return the sums (B, size) of the words of packed tokens (N,), of length sqrt(size)."""
        rows, numbers = self.words(tokens, packed)
        index = torch.searchsorted(self.numbers, numbers).clamp_max(WORDS - 1)
        known = self.numbers[index] == numbers
        total = self.vectors.new_zeros(len(packed.present), self.vectors.shape[1])
        total = total.index_add(0, rows[known], self.vectors[index[known]])
        unit: Tensor = functional.normalize(total) * total.shape[1] ** 0.5
        return unit

    def words(self, tokens: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:
        """Return the rows and the numbers of the words of packed tokens (N,)."""
        lettered, opens, value, length = self.spelling[tokens].unbind(1)
        closed = functional.pad(lettered[:-1] == 0, (1, 0), value=True)
        first = (opens == 1) | closed | (packed.place == 0)
        word = first.cumsum(0) - 1
        before = length.cumsum(0) - length
        offset = (before - before[first][word]).clamp_max(LONGEST - 1)
        numbers = torch.zeros_like(word[: len(before[first])]).index_add(
            0, word, value * self.powers[offset]
        )
        some = lettered[first] == 1
        return packed.row[first][some], numbers[some]

    @torch.no_grad()
    def start(self, tokens: Tensor) -> None:
        """Learn the vectors of words from texts (n, length)."""
        tokens = tokens.to(self.spelling)
        packed = Packed(tokens != PAD)
        rows, numbers = (x.cpu().numpy() for x in self.words(packed.of(tokens), packed))
        names, index, counts = np.unique(numbers, return_inverse=True, return_counts=True)
        ones = np.ones(len(rows), np.float32)
        texts = sparse.csr_array((ones, (rows, index)), (len(tokens), len(names)))
        texts.data[:] = 1
        often = np.sort(np.lexsort((names, -texts.sum(0)))[:WORDS])
        if not len(often):
            return
        with one_thread():
            vectors, _ = _components(texts[:, often], self.vectors.shape[1])
        weights = COMMON / (COMMON + counts[often] / counts.sum())
        self.numbers[: len(often)] = torch.from_numpy(names[often])
        self.vectors[: len(often), : vectors.shape[1]] = torch.from_numpy(
            vectors * weights[:, None]
        )


class TokenEmbedding(nn.Embedding, CorpusStatistics):
    """Vectors of tokens to be learned, which start alike where tokens occur in the same texts.

    Half of a vector's variance is random, and half is that of a direction: the token's row of
    U sqrt(S), for the positive mutual information U S U' of tokens.

    Parameters
    ----------
    vocabulary : int
        The number of tokens.
    width : int
        The size of a vector, whose length starts at about 1.
    """

    texts: ClassVar[int] = 16384

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__(vocabulary, width)
        nn.init.normal_(self.weight, std=width**-0.5)

    @torch.no_grad()
    def start(self, tokens: Tensor) -> None:
        """Learn which tokens occur together from texts (n, length)."""
        rows, places = (tokens != PAD).nonzero(as_tuple=True)
        index = rows.cpu().numpy(), tokens[rows, places].int().cpu().numpy()
        shape = len(tokens), self.num_embeddings
        texts = sparse.csr_array((np.ones(len(rows), np.float32), index), shape)
        texts.data[:] = 1
        with one_thread():
            vectors, values = _components(texts, self.embedding_dim)
        directions = functional.normalize(torch.from_numpy(vectors * np.sqrt(values)), dim=1)
        directions = functional.pad(directions, (0, self.embedding_dim - directions.shape[1]))
        mixed = (self.weight + directions.to(self.weight)) / math.sqrt(2)
        self.weight.copy_(torch.where(directions.any(1)[:, None], mixed, self.weight))


def _components(
    texts: sparse.csr_array, size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return singular vectors (words, k) and values of the positive mutual information of words."""
    together = sparse.coo_array(texts.T @ texts)
    share = together.sum(1) / together.sum()
    expected = share[together.row] * share[together.col] * together.sum()
    information = np.maximum(np.log(together.data / expected), 0)
    matrix = sparse.csr_array((information, (together.row, together.col)), together.shape)
    vectors, values, _ = randomized_svd(matrix, min(size, len(share)), n_iter=4, random_state=0)
    return vectors, values


def _spelled(piece: bytes) -> tuple[int, int, int, int]:
    """Return whether a token is of letters, begins a word, its polynomial and its length."""
    core = piece.strip().lower()
    lettered = bool(core) and all(chr(byte).isalnum() or byte > 127 for byte in core)
    value = sum(byte * power for byte, power in zip(core, _POWERS, strict=False))
    return lettered, not lettered or piece[:1].isspace(), _signed(value), len(core)


def _signed(number: int) -> int:
    """Return a number modulo 2^64, from -2^63 on."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


_POWERS = [_signed(POINT**i) for i in range(LONGEST)]
