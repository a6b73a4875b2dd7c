"""The code of text is a sum of tokens bound to their places."""

import pytest
import torch

from attar.errors import SettingError
from attar.likelihoods import Language
from attar.networks import TextTransformer
from attar.networks.text import TYPICAL, Packed, rotation, signs
from attar.token_ids import END, PAD

SIZES = {"vocabulary": 300, "width": 64}


def tokens(rows, length, vocabulary=300, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, vocabulary, (rows, length), generator=generator).float()


def test_an_untrained_encoder_adds_up_embeddings_times_signs():
    encoder, x = TextTransformer(**SIZES).encoder((5,), 64), tokens(3, 5)
    x[1, 3:] = PAD
    embedded = encoder.embedding(x.long()) * 64**0.5 * (x != PAD)[..., None]
    total = (embedded * signs(5, 64)).sum(1) / TYPICAL**0.5
    torch.testing.assert_close(encoder(x), total @ rotation(64, 64))


def test_what_is_behind_the_end_of_a_text_changes_nothing():
    encoder = TextTransformer(**SIZES, layers=2).encoder((9,), 16)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = tokens(4, 6)
    x[0, 2:] = PAD
    alone = torch.cat([encoder(row[row != PAD][None]) for row in x])
    torch.testing.assert_close(encoder(x), alone, rtol=1e-4, atol=1e-5)


def test_rotations_are_orthogonal_and_nested():
    matrix = rotation(24, 24)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(24), atol=1e-5, rtol=0)
    assert torch.equal(rotation(24, 7), matrix[:, :7])
    assert torch.equal(rotation(24, 30)[:, 24:], torch.zeros(24, 6))


@pytest.mark.parametrize(("length", "rounds", "share"), [(6, 0, 0.97), (12, 12, 1.0)])
def test_an_untrained_model_reconstructs_short_texts(length, rounds, share):
    x = tokens(50, length, 1000)
    x[:, -1] = END
    network = TextTransformer(vocabulary=1000)
    likelihood = Language(vocabulary=1000, length=length, rounds=rounds).build().eval()
    encoder, decoder = network.encoder((length,), 256), network.decoder(256, (256,))
    with torch.no_grad():
        decoded = likelihood.mean(decoder(encoder(x)))
    assert (decoded == x).float().mean() >= share


def test_packed_tokens_are_those_that_are_there():
    present = torch.tensor([[True, False, True, False], [False, True, False, False]])
    packed, values = Packed(present), torch.arange(8.0).view(2, 4)
    assert packed.of(values).tolist() == [0, 2, 5]
    assert packed.padded(packed.of(values)).tolist() == [[0, 0, 2], [0, 5, 0]]


def test_attention_sees_the_tokens_of_its_own_text():
    packed = Packed(torch.tensor([[True, True], [True, False]]))
    q, k, v = torch.randn(3, 3, 1, 4).unbind(0)
    pair = torch.nn.functional.softmax(q[:2, 0] @ k[:2, 0].T / 2, -1) @ v[:2, 0]
    expected = torch.cat([pair, v[2:, 0]])[:, None]
    torch.testing.assert_close(packed.attention(q, k, v, causal=False), expected)
    expected[0] = v[0]
    torch.testing.assert_close(packed.attention(q, k, v, causal=True), expected)


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        ({}, (5,), "needs text"),
        ({"vocabulary": 300}, (2, 5), "needs text"),
        ({"vocabulary": 300, "width": 10, "heads": 3}, (5,), "multiple of its 3 heads"),
        ({"vocabulary": 300, "layers": 0}, (5,), "layers"),
    ],
)
def test_other_data_and_sizes_are_refused(settings, shape, message):
    with pytest.raises(SettingError, match=message):
        TextTransformer(**settings).encoder(shape, 4)


def test_tokens_have_no_gradient():
    x = tokens(2, 4).requires_grad_()
    with pytest.raises(SettingError, match="no gradient"):
        TextTransformer(**SIZES).encoder((4,), 4)(x)
