"""The code of text has its words, and each token at its place."""

import pytest
import torch

from attar.errors import SettingError
from attar.likelihoods import Language
from attar.networks import TextTransformer
from attar.networks.attention import Packed
from attar.networks.superposition import Superposition
from attar.token_ids import END, PAD

SIZES = {"vocabulary": 300, "context": 6, "superposed": 10, "width": 64}


def tokens(rows, length, vocabulary=300, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, vocabulary, (rows, length), generator=generator).float()


def randomized(encoder):
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    encoder.words.spell([b""] * 3 + [bytes([i % 256]) for i in range(297)])
    encoder.words.start(tokens(30, 9, seed=1))
    return encoder


def test_an_untrained_encoder_gives_superposed_tokens_words_and_zeros():
    encoder, x = TextTransformer(**SIZES).encoder((5,), 20), tokens(3, 5)
    encoder.words.spell([b""] * 3 + [b" " + bytes([97 + i % 26]) for i in range(297)])
    encoder.words.start(x)
    packed = Packed(x > 0)
    own = packed.of(x.long())
    superposed, context, rest = encoder(x).split([10, 6, 4], 1)
    expected = Superposition(300, 5, 10).total(own, packed)
    torch.testing.assert_close(superposed, expected)
    torch.testing.assert_close(context, encoder.words(own, packed))
    assert context.norm(dim=1).tolist() == pytest.approx([6**0.5] * 3)
    assert not rest.any()


def test_what_is_behind_the_end_of_a_text_changes_nothing():
    encoder = randomized(TextTransformer(**SIZES, layers=2).encoder((9,), 16))
    x = tokens(4, 6)
    x[0, 2:] = PAD
    alone = torch.cat([encoder(row[row != PAD][None]) for row in x])
    torch.testing.assert_close(encoder(x), alone, rtol=1e-4, atol=1e-5)


def test_a_code_without_superposed_tokens_is_context():
    encoder = randomized(TextTransformer(300, context=6, width=64).encoder((9,), 12))
    assert encoder(tokens(4, 6)).shape == (4, 12)
    network = TextTransformer(300, context=6, superposed=2, width=64)
    decoder, z = network.decoder(8, (66,)), torch.randn(3, 8)
    assert torch.equal(decoder(z)[:, :2], z[:, :2])
    assert torch.equal(decoder(z)[:, 2:], decoder.context(z[:, 2:]))


def test_an_untrained_model_reconstructs_texts():
    x = tokens(50, 20, 1000)
    x[:, -1] = END
    network = TextTransformer(vocabulary=1000, context=8, superposed=96)
    likelihood = Language(vocabulary=1000, length=20, superposed=96).build().eval()
    encoder, decoder = network.encoder((20,), 104), network.decoder(104, (224,))
    with torch.no_grad():
        decoded = likelihood.mean(decoder(encoder(x)))
    assert torch.equal(decoded, x)


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
        TextTransformer(**SIZES).encoder((4,), 16)(x)
