"""The likelihood of text: exact probabilities, and draws that follow them."""

from itertools import product

import pytest
import torch

from attar.errors import SettingError
from attar.likelihoods import Bernoulli, Language
from attar.likelihoods.language import choosing, drawn
from attar.networks.attention import Packed
from attar.token_ids import BYTES, END, MASK, PAD

LENGTH = 3


def module(vocabulary=BYTES + 256, length=LENGTH, layers=2, scale=0.5, **settings):
    torch.manual_seed(0)
    sizes = {"width": 16, "heads": 2, "layers": layers}
    built = Language(vocabulary, length, **sizes, **settings).build().double().eval()
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=scale).requires_grad_(False)
    return built


def test_a_token_depends_on_those_before_it_and_on_the_code():
    likelihood = module()
    z = torch.randn(1, 1, 16, dtype=torch.double).expand(1, 2, 16)
    a = torch.tensor([[70.0, 80.0, 90.0], [70.0, 81.0, 90.0]], dtype=torch.double)
    first, second = likelihood.log_prob(z, a)[0]
    assert first[0] == pytest.approx(second[0].item())
    assert first[2] != pytest.approx(second[2].item(), abs=1e-6)
    other = likelihood.log_prob(z * torch.arange(16), a)[0, 0]
    assert first[0] != pytest.approx(other[0].item(), abs=1e-6)


def test_behind_the_end_nothing_is_asked():
    likelihood = module()
    z = torch.randn(2, 1, 16, dtype=torch.double)
    text = torch.tensor([[70.0, END, PAD]], dtype=torch.double)
    log_prob = likelihood.log_prob(z, text)
    assert log_prob[:, 0, 2].tolist() == [0, 0]
    short = likelihood.log_prob(z, text[:, :2])
    torch.testing.assert_close(log_prob[..., :2], short)


def test_decoding_one_by_one_agrees_with_all_at_once():
    likelihood, z = module(length=6), torch.randn(20, 16, dtype=torch.double)
    texts = likelihood.mean(z)
    for place in range(6):
        rows = texts[(texts[:, :place] != END).all(1)]
        given = z[(texts[:, :place] != END).all(1)]
        for token in (5.0, 100.0, 200.0):
            other = rows.clone()
            other[:, place] = token
            best = likelihood.log_prob(given[None], rows)[0, :, place]
            worse = likelihood.log_prob(given[None], other)[0, :, place]
            assert (best >= worse - 1e-12).all()


def test_the_probabilities_at_a_place_are_those_of_each_token_there():
    likelihood = module(superposed=4)
    parameters = torch.randn(3, 20, dtype=torch.double)
    tokens, place = torch.tensor([[70, 80, MASK], [90, MASK, 5], [MASK, 7, PAD]]), [2, 1, 0]
    at_place = likelihood.log_prob_at(
        torch.tensor(place), parameters, likelihood.found(parameters, LENGTH), tokens
    )
    for token in (END, 70, 200):
        filled = torch.where(tokens == MASK, token, tokens)
        expected = likelihood.log_prob(parameters[None], filled)[0][range(3), place]
        torch.testing.assert_close(at_place[:, token], expected)
    torch.testing.assert_close(at_place.exp().sum(1), torch.ones(3, dtype=torch.double))


def test_draws_follow_the_probabilities():
    likelihood, n = module(length=2, scale=0.7), 4000
    z = torch.randn(1, 16, dtype=torch.double)
    torch.manual_seed(1)
    texts = likelihood.sample(z.expand(n, 16))
    likely = texts[:, 0].long().bincount().topk(3).indices
    rows = torch.tensor([[float(a), END] for a in likely], dtype=torch.double)
    first = likelihood.log_prob(z.expand(1, 3, 16), rows)[0, :, 0].exp()
    empty = torch.tensor([[PAD, END], [MASK, END]], dtype=torch.double)
    never = likelihood.log_prob(z.expand(1, 2, 16), empty[1:].expand(2, 2))[0, 0, 0].exp()
    assert not {PAD, MASK} & set(texts[:, 0].long().tolist())
    shares = torch.tensor([(texts[:, 0] == a).double().mean() for a in likely])
    deviation = (first * (1 - first) / n).sqrt()
    # Tokens that stand for nothing are left out, which makes the others a little more likely.
    assert (shares > first - 5 * deviation).all()
    assert (shares < first / (1 - 2 * never) + 5 * deviation + 0.02).all()


def test_texts_end_once_and_nothing_follows():
    likelihood = module(length=8, scale=1.0)
    torch.manual_seed(0)
    texts = likelihood.sample(torch.randn(300, 16, dtype=torch.double)).long()
    for text in texts.tolist():
        behind = text[text.index(END) + 1 :] if END in text else []
        assert set(behind) <= {PAD}


def test_a_temperature_and_a_nucleus_cut_the_distribution():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]])).expand(20_000, 3)
    torch.manual_seed(0)
    share = drawn(0.5)(logits).bincount(minlength=3) / 20_000
    assert share.tolist() == pytest.approx([0.25 / 0.38, 0.09 / 0.38, 0.04 / 0.38], abs=0.015)
    share = drawn(top_p=0.6)(logits).bincount(minlength=3) / 20_000
    assert share.tolist() == pytest.approx([0.5 / 0.8, 0.3 / 0.8, 0], abs=0.015)
    assert set(drawn(top_p=0.0)(logits).tolist()) == {0}
    assert set(drawn(top_p=0.5)(logits).tolist()) == {0}


def test_choosing_is_for_a_while():
    likelihood = module()
    before = likelihood.choose
    with choosing(likelihood, 0.5, 1.0):
        assert likelihood.choose is not before
    assert likelihood.choose is before


@pytest.mark.parametrize(
    ("temperature", "top_p", "message"),
    [(0.0, 1.0, "temperature"), (1.0, 1.5, "top_p"), (0.5, 1.0, "for text")],
)
def test_what_cannot_be_chosen_is_refused(temperature, top_p, message):
    with (
        pytest.raises(SettingError, match=message),
        choosing(Bernoulli().build(), temperature, top_p),
    ):
        pass


def test_dropout_hides_words_and_codes_in_training_only():
    likelihood = module(word_dropout=1.0, code_dropout=0.0)
    z = torch.randn(1, 2, 16, dtype=torch.double)
    texts = torch.tensor([[70.0, 80.0, 90.0], [70.0, 81.0, 90.0]], dtype=torch.double)
    z[0, 1] = z[0, 0]
    seen = likelihood.log_prob(z, texts)[0, :, 2]
    hidden = likelihood.train().log_prob(z, texts)[0, :, 2]
    assert seen[0] != seen[1]
    assert hidden[0] == pytest.approx(hidden[1].item())
    language = module(word_dropout=1.0, code_dropout=1.0).train()
    expected = language.eval().log_prob(torch.zeros_like(z), texts)
    torch.testing.assert_close(language.train().log_prob(z, texts), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "length"),
        ({"length": 4}, "vocabulary"),
        ({"length": 4, "vocabulary": 300, "heads": 3}, "heads"),
        ({"length": 4, "vocabulary": 300, "word_dropout": 2.0}, "word_dropout"),
        ({"length": 4, "vocabulary": 300, "code_dropout": -1.0}, "code_dropout"),
    ],
)
def test_sizes_out_of_range_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        Language(**settings).build()


def test_other_data_and_gradients_are_refused():
    with pytest.raises(SettingError, match="needs text"):
        Language().parameters((2, 3))
    with pytest.raises(SettingError, match="no gradient"):
        module().mean(torch.zeros(1, 16, dtype=torch.double, requires_grad=True))


def test_all_texts_of_two_tokens_add_up():
    likelihood = module(length=2)
    likelihood.bias[[PAD, MASK]] = -1e9
    likelihood.bias[BYTES + 3 :] = -1e9
    known = [END, *range(BYTES, BYTES + 3)]
    pairs = [(END, PAD), *product(known[1:], known)]
    texts = torch.tensor(pairs, dtype=torch.double)
    z = torch.randn(1, 1, 16, dtype=torch.double).expand(1, len(texts), 16)
    total = likelihood.log_prob(z, texts).sum(-1).exp().sum()
    assert total.item() == pytest.approx(1)


def test_what_training_knows_of_a_text_is_what_message_passing_finds():
    sizes = {"superposed": 64, "width": 16, "heads": 2}
    likelihood = Language(300, 6, **sizes, word_dropout=0.0, code_dropout=0.0).build()
    likelihood.start(torch.tensor([[70.0, END]]))
    tokens = torch.tensor([[30, 290, 200, END], [BYTES, 80, MASK, END]])
    packed = Packed(tokens > 0)
    total = likelihood.superposition.total(packed.of(tokens), packed)
    z = torch.cat([total, torch.randn(2, 16)], 1)[None]
    texts = tokens.float()
    texts[1, 2] = 150  # a token that the code does not have
    found = likelihood.eval().log_prob(z, texts)
    torch.testing.assert_close(likelihood.train().log_prob(z, texts), found, atol=1e-3, rtol=1e-3)
    likelihood.code_dropout = 1.0
    none = likelihood.log_prob(z, texts)
    assert (none - found)[0, 0].abs().max() > 0.1
    torch.testing.assert_close(none, likelihood.log_prob(torch.randn(1, 2, 80), texts))


def test_the_bias_starts_at_the_frequencies_of_tokens():
    likelihood = Language(vocabulary=262, length=4).build()
    assert likelihood.start(torch.tensor([[70.0, 70.0, END, PAD]])) is None
    frequency = likelihood.bias.detach().softmax(0)
    assert frequency[70] / frequency[END] == pytest.approx(2.5 / 1.5)
    assert frequency[PAD] == pytest.approx(frequency[100].item())
