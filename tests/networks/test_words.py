"""The vectors of words are singular vectors of their positive mutual information."""

import numpy as np
import pytest
import torch

from attar.networks.attention import Packed
from attar.networks.words import COMMON, LONGEST, NONE, POINT, TokenEmbedding, WordVectors

PIECES = [b"", b"", b"", b"Oil", b" oil", b" O", b"il", b"!", b" ", b"\xc3", b"\xa9t\xc3\xa9", b"9"]
NUMBER = {piece: i for i, piece in enumerate(PIECES)}


def numbers(*pieces, size=2):
    words = WordVectors(len(PIECES), size)
    words.spell(PIECES)
    packed = Packed(torch.ones(1, len(pieces), dtype=torch.bool))
    return words.words(torch.tensor([NUMBER[piece] for piece in pieces]), packed)[1].tolist()


def test_a_word_has_one_number_however_it_is_cut_and_written():
    (oil,) = numbers(b"Oil")
    assert oil == (111 + 105 * POINT + 108 * POINT**2 + (1 << 63)) % (1 << 64) - (1 << 63)
    assert numbers(b" oil", b" O", b"il", b"!", b"Oil", b" ", b"Oil") == [oil] * 4
    assert numbers(b"Oil", b"9") == [oil + (57 * POINT**3 + (1 << 63)) % (1 << 64) - (1 << 63)]
    assert len(numbers(b" oil", b"\xc3", b"\xa9t\xc3\xa9", b" oil")) == 2
    assert numbers(b"!", b" ") == []
    assert len(set(numbers(*[b"Oil"] * 30, b"!", *[b"Oil"] * 40))) == 2
    assert LONGEST < 30 * 3


def information(texts, size):
    """Return the positive mutual information of tokens; negative ones are none."""
    there = np.zeros((len(texts), size))
    for row, text in enumerate(texts):
        there[row, text[text >= 0]] = 1
    together = there.T @ there
    share = together.sum(1) / together.sum()
    with np.errstate(divide="ignore"):
        return np.log(together / together.sum() / np.outer(share, share)).clip(0)


def test_vectors_are_singular_vectors_of_positive_mutual_information():
    generator = np.random.default_rng(0)
    pieces = [b""] * 3 + [b" " + bytes([97 + i]) for i in range(20)]
    texts = torch.from_numpy(generator.integers(3, 23, (60, 6)) * (generator.random((60, 6)) < 0.8))
    words = WordVectors(len(pieces), 25)
    words.spell(pieces)
    words.start(texts)
    values, vectors = np.linalg.eigh(information(texts.numpy() - 3, 20))
    order = np.argsort(-np.abs(values))
    counts = np.bincount(texts.numpy().ravel(), minlength=23)[3:]
    weights = COMMON / (COMMON + counts / counts.sum())
    assert (words.numbers[:20].tolist(), words.numbers[20].item()) == (
        [*range(97, 117)],
        NONE,
    )
    found = words.vectors[:20, :20].numpy() / weights[:, None]
    likeness = np.abs(found.T @ vectors[:, order])
    assert np.diag(likeness) == pytest.approx(np.ones(20), abs=1e-3)
    assert not words.vectors[20:].any()
    assert not words.vectors[:, 20:].any()
    text = torch.tensor([[3, 4, 4]])
    total = words.vectors[0] + 2 * words.vectors[1]
    torch.testing.assert_close(words(text[0], Packed(text > 0))[0], total / total.norm() * 25**0.5)


def test_unknown_words_and_none_have_a_vector_of_zeros():
    words = WordVectors(len(PIECES), 4)
    words.spell(PIECES)
    text = torch.tensor([[NUMBER[b"Oil"], NUMBER[b"!"]]])
    assert not words(text[0], Packed(text > 0)).any()
    words.start(torch.tensor([[NUMBER[b"!"]]]))
    assert not words.vectors.any()


def test_embeddings_of_tokens_start_at_singular_vectors_of_their_information():
    generator = np.random.default_rng(0)
    topic = generator.integers(0, 2, 400)
    tokens = torch.from_numpy(3 + 5 * topic[:, None] + generator.integers(0, 5, (400, 4)))
    embedding = TokenEmbedding(20, 16)
    random = embedding.weight.detach().clone()
    embedding.start(tokens)
    directions = (embedding.weight.detach() * 2**0.5 - random)[3:13]
    values, vectors = np.linalg.eigh(information(tokens.numpy() - 3, 10))
    roots = vectors * np.sqrt(np.abs(values))
    roots /= np.linalg.norm(roots, axis=1, keepdims=True)
    torch.testing.assert_close(directions @ directions.T, torch.from_numpy(roots @ roots.T).float())
    assert embedding.weight[13:].equal(random[13:])
