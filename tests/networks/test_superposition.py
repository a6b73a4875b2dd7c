"""Message passing finds superposed tokens."""

import pytest
import torch

from attar.networks.attention import Packed
from attar.networks.superposition import MARGIN, SCALE, Superposition
from attar.token_ids import BYTES, END, MASK

VOCABULARY, EMBEDDING = 800, torch.eye(800)
PRIOR = torch.zeros(VOCABULARY)
PRIOR[BYTES:] -= torch.arange(1, VOCABULARY - BYTES + 1).log()  # Zipf's law


def superposed(tokens, size, length=40, **settings):
    packed, superposition = Packed(tokens > 0), Superposition(VOCABULARY, length, size, **settings)
    return superposition, superposition.total(packed.of(tokens), packed)


def texts(rows, length, seed=0):
    generator = torch.Generator().manual_seed(seed)
    likely = PRIOR[BYTES:].softmax(0).expand(rows, -1)
    return torch.multinomial(likely, length, replacement=True, generator=generator) + BYTES


def test_sums_are_of_signs_whose_powers_fall():
    superposition, total = superposed(torch.tensor([[30, 40]]), 64)
    first, second = superposition.tokens[[30, 40]].float()
    assert set(first.tolist()) == {-1.0, 1.0}
    expected = first * superposition.places[0] + second * superposition.places[1]
    torch.testing.assert_close(total[0], expected)
    power = superposition.places.square()
    assert (power[5] / power[4]).tolist() == pytest.approx([VOCABULARY ** (-2 * MARGIN / 64)] * 64)
    assert superposition.places.square().sum(0)[0].item() == pytest.approx(SCALE**2, rel=1e-3)


@pytest.mark.parametrize(("size", "length"), [(64, 10), (128, 40)])
def test_message_passing_finds_tokens_that_linear_decoding_confuses(size, length):
    tokens = texts(60, length)
    superposition, total = superposed(tokens, size)
    codebook = superposition.tokens[BYTES:].float()
    linear = (total[:, None] / superposition.places[:length]) @ codebook.T
    assert (linear.argmax(-1) + BYTES == tokens).float().mean() < 0.5
    found = superposition.separated(total, PRIOR, EMBEDDING, length)
    assert torch.equal(found.argmax(-1), tokens)
    torch.testing.assert_close(found, EMBEDDING[tokens], atol=0.05, rtol=0)
    assert superposition.separated(total[:0], PRIOR, EMBEDDING, 14).shape == (0, 14, VOCABULARY)


def test_fewer_rounds_find_fewer_tokens():
    tokens = texts(60, 40)
    shares = []
    for rounds in (1, 4, 16):
        superposition, total = superposed(tokens, 128, rounds=rounds)
        found = superposition.separated(total, PRIOR, EMBEDDING, 40)
        shares.append((found.argmax(-1) == tokens).float().mean().item())
    assert shares[0] < shares[1] < shares[2]


def test_frequent_tokens_are_found_where_little_is_known():
    tokens, prior = torch.full((1, 30), 50), torch.full((VOCABULARY,), -12.0)
    prior[50] = 0.0
    superposition, total = superposed(tokens, 16)
    found = superposition.separated(total, prior, EMBEDDING, 4)
    assert found[0, :, 50].min() > 0.5


def test_no_token_is_found_where_there_is_none():
    tokens = torch.tensor([[30, 300, MASK, 200, END]])
    superposition, total = superposed(tokens, 128, length=9)
    found = superposition.separated(total, PRIOR, EMBEDDING, 9)[0]
    there = [0, 1, 3, 4]
    torch.testing.assert_close(found[there], EMBEDDING[tokens[0, there]], atol=1e-2, rtol=0)
    assert found[2, BYTES:].max() < 0.1
    assert found[5:].abs().max() < 1e-2


def test_least_squares_tells_which_tokens_of_a_known_text_are_there():
    tokens = texts(20, 30)
    hidden = tokens.masked_fill(torch.rand(20, 30) < 0.4, MASK)
    superposition, total = superposed(hidden, 128)
    assert torch.equal(superposition.present(total, tokens), hidden != MASK)


def test_in_a_sum_that_is_not_one_of_tokens_nothing_is_found():
    tokens = texts(40, 10)
    superposition, total = superposed(tokens, 128)
    noise = total.std() * torch.randn(total.shape, generator=torch.Generator().manual_seed(1))
    mean = (total[:20] + total[20:]) / 2
    for other in (mean, total + 0.5 * noise):
        assert not superposition.separated(other, PRIOR, EMBEDDING, 10).any()
    found = superposition.separated(total + 0.1 * noise, PRIOR, EMBEDDING, 10)
    assert (found.argmax(-1) == tokens)[:, :4].float().mean() > 0.9
