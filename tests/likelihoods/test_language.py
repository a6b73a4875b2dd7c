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


def module(vocabulary=BYTES + 256, length=LENGTH, layers=2, scale=0.3, **settings):
    torch.manual_seed(0)
    sizes = {"width": 16, "heads": 2, "layers": layers, "dropout": 0.0}
    built = Language(vocabulary, length, **sizes, **settings).build().double().eval()
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=scale).requires_grad_(False)
    built.ngrams.start(torch.tensor([[71, 81, 91], [71, 81, END], [71, END, PAD]]))
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
    tokens, place = torch.tensor([[71, 81, MASK], [90, MASK, 5], [MASK, 7, PAD]]), [2, 1, 0]
    at_place = likelihood.log_prob_at(torch.tensor(place), parameters, tokens)
    without = parameters.clone()
    without[:, :4] = 0
    for token in (END, 91, 200):
        filled = torch.where(tokens == MASK, token, tokens)
        expected = likelihood.log_prob(without[None], filled)[0]
        torch.testing.assert_close(likelihood.log_prob_in_context(parameters, filled), expected)
        torch.testing.assert_close(at_place[:, token], expected[range(3), place])
    torch.testing.assert_close(at_place.exp().sum(1), torch.ones(3, dtype=torch.double))


def test_draws_follow_the_probabilities():
    likelihood, n = module(length=2, scale=0.2), 4000
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


def test_without_superposed_tokens_half_of_the_texts_have_no_context():
    likelihood, n = module(word_dropout=1.0, code_dropout=1.0), 400
    z = torch.randn(1, 1, 16, dtype=torch.double)
    text = torch.tensor([[70.0, 80.0, 90.0]], dtype=torch.double)
    in_context, alone = (likelihood.log_prob(given, text)[0, 0] for given in (z, 0 * z))
    rows = likelihood.train().log_prob(z.expand(1, n, 16), text.expand(n, 3))[0]
    contexts = torch.isclose(rows, in_context).all(1)
    assert torch.isclose(rows, alone).all(1).equal(~contexts)
    assert contexts.double().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / n**0.5)


def test_a_counted_text_is_predicted_from_the_others_in_training():
    likelihood = module(word_dropout=0.0, code_dropout=0.0)
    torch.nn.init.zeros_(likelihood.trust.weight)
    z = torch.randn(1, 2, 16, dtype=torch.double)
    texts = torch.tensor([[71.0, 81.0, 91.0], [99.0, 98.0, 97.0]], dtype=torch.double)
    counted, other = likelihood.eval().log_prob(z, texts)[0]
    in_training = likelihood.train().log_prob(z, texts)[0]
    assert (in_training[0] < counted).all()
    torch.testing.assert_close(in_training[1], other)


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
    likelihood = module(vocabulary=BYTES + 3, length=2)
    likelihood.ngrams.start(torch.tensor([[3, 4], [3, END]]))
    known = [END, *range(BYTES, BYTES + 3)]
    pairs = [(END, PAD), *product(known[1:], range(BYTES + 3))]
    z = torch.randn(1, 16, dtype=torch.double)
    first = torch.zeros(1, dtype=torch.int64)
    text = torch.tensor([[MASK, PAD]])
    at_first = likelihood.log_prob_at(first, z, text).exp()
    behind = [pair for pair in pairs if PAD not in pair or pair[0] == END]
    texts = torch.tensor(behind, dtype=torch.double)
    total = likelihood.log_prob(z.expand(1, len(texts), 16), texts).sum(-1).exp().sum()
    # What stands for nothing has a probability too, at both places.
    nothing = at_first[0, [PAD, MASK]].sum()
    for token in known[1:]:
        pair = torch.tensor([[token, MASK]])
        second = likelihood.log_prob_at(first + 1, z, pair).exp()
        nothing += at_first[0, token] * second[0, PAD]
    assert (total + nothing).item() == pytest.approx(1)


def test_what_training_knows_of_a_text_is_what_message_passing_finds():
    sizes = {"superposed": 64, "width": 16, "heads": 2, "dropout": 0.0}
    likelihood = Language(300, 6, **sizes, word_dropout=0.0, code_dropout=0.0).build()
    likelihood.ngrams.start(torch.tensor([[70, END]]))
    tokens = torch.tensor([[30, 290, 200, END], [BYTES, 80, MASK, END]])
    packed = Packed(tokens > 0)
    total = likelihood.superposition.total(packed.of(tokens), packed)
    z = torch.cat([total, torch.randn(2, 16)], 1)[None]
    texts = tokens.float()
    texts[1, 2] = 150  # a token that the code does not have
    found = likelihood.eval().log_prob(z, texts)
    torch.testing.assert_close(likelihood.train().log_prob(z, texts), found, atol=1e-3, rtol=1e-3)


def test_tokens_are_as_likely_a_few_at_a_time(monkeypatch):
    likelihood = module(superposed=4)
    z = torch.randn(2, 3, 20, dtype=torch.double)
    texts = torch.tensor([[71, 81, 91], [71, END, PAD], [99, 98, END]]).double()
    expected, seen = likelihood.log_prob(z, texts), []
    monkeypatch.setattr("attar.likelihoods.language.AT_ONCE", 3)
    likelihood.ngrams.register_forward_hook(lambda _, given, out: seen.append(len(out)))
    torch.testing.assert_close(likelihood.log_prob(z, texts), expected)
    assert seen == [3] * 5 + [1]
