"""The probabilities of n-grams are those of Kneser and Ney, computed from their definition."""

from collections import Counter

import numpy as np
import pytest
import torch

from attar.networks.ngrams import LEAST, MOST, ORDER, NGrams
from attar.token_ids import MASK, PAD

V = 9
PIECES = [b"", b"", b"", b"a", b" a", b"\xc3", b",", b" ", b"7"]
CONTINUING = {3, 5, 8}


def texts(n=60, length=7, seed=0):
    generator = np.random.default_rng(seed)
    tokens = generator.integers(3, V, (n, length))
    tokens[np.arange(length) >= generator.integers(1, length + 1, n)[:, None]] = PAD
    return torch.from_numpy(tokens)


def n_grams(tokens):
    """Return the n-grams of the highest order, one for each token."""
    padded = [[MASK] * (ORDER - 1) + [t for t in text if t != PAD] for text in tokens.tolist()]
    return [tuple(text[i : i + ORDER]) for text in padded for i in range(len(text) - ORDER + 1)]


def counted(grams):
    """Return the counts of all orders; of lower ones, in how many contexts each is seen."""
    levels = [Counter(grams)]
    while len(levels) < ORDER:
        levels.insert(0, Counter(gram[1:] for gram in levels[0]))
    return levels


def discounts(levels):
    spectra = [Counter(level.values()) for level in levels]
    estimates = [count[1] / max(1, count[1] + 2 * count[2]) for count in spectra]
    return [min(MOST, max(LEAST, estimate)) for estimate in estimates]


def kneser_ney(levels, discount, context):
    """Return the probabilities of tokens after a context, from the definition."""
    n = len(context)
    after = {gram[-1]: count for gram, count in levels[n].items() if gram[:-1] == context}
    total, rest = sum(after.values()), discount[n] * len(after)
    kept = [max(0, after.get(token, 0) - discount[n]) for token in range(V)]
    if not n:  # one more count is shared by all tokens
        return [(k + (rest + 1) / V) / (total + 1) for k in kept]
    lower = kneser_ney(levels, discount, context[1:])
    if not total:
        return lower
    found = []
    for token in range(V):
        own = [t for t in range(V) if (t in CONTINUING) == (token in CONTINUING)]
        mass = sum(lower[t] for t in own)
        share = (sum(after.get(t, 0) for t in own) + mass) / (total + 1)
        found.append((kept[token] + rest * share * lower[token] / mass) / total)
    return found


@pytest.fixture(scope="module")
def ngrams():
    found = NGrams(V)
    found.spell(PIECES)
    found.start(texts())
    return found


def test_probabilities_are_those_of_kneser_and_ney(ngrams):
    levels = counted(n_grams(texts()))
    new = texts(20, seed=1)
    contexts = ngrams.contexts(new)[new != PAD]
    for n in range(ORDER):
        shorter = [tuple(c[len(c) - n :]) for c in contexts.tolist()]
        expected = [kneser_ney(levels, discounts(levels), c) for c in shorter]
        found = ngrams(contexts, torch.full((len(contexts),), n)).exp()
        torch.testing.assert_close(found, torch.tensor(expected))
    assert ngrams(contexts).exp().equal(found)


def test_a_counted_token_is_left_out(ngrams):
    tokens = texts()
    grams, mask = n_grams(tokens), tokens != PAD
    log_p = ngrams(ngrams.contexts(tokens)[mask], None, tokens[mask])
    whole = counted(grams)
    for i in range(0, len(grams), 7):
        context = grams[i][:-1]
        # The lowest order stays as it is.
        levels = [whole[0], *counted(grams[:i] + grams[i + 1 :])[1:]]
        expected = kneser_ney(levels, discounts(whole), context)
        torch.testing.assert_close(log_p[i].exp(), torch.tensor(expected))
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(len(log_p)))


def test_a_token_that_was_not_counted_changes_nothing(ngrams):
    contexts = torch.tensor([[3, 3, 3, 3], [MASK, MASK, MASK, MASK]])
    absent = torch.tensor([PAD, PAD])
    assert ngrams(contexts, None, absent).equal(ngrams(contexts))


def test_of_nothing_all_tokens_are_alike():
    torch.testing.assert_close(NGrams(V)(torch.full((1, 4), 5)).exp(), torch.full((1, V), 1 / V))


def test_counts_are_saved(ngrams):
    other = NGrams(V)
    other.start(texts(3))
    other.load_state_dict(ngrams.state_dict())
    contexts = ngrams.contexts(texts(5, seed=2)).flatten(0, 1)
    assert other(contexts).equal(ngrams(contexts))


def test_numbers_of_n_grams_have_63_bits():
    assert [NGrams(v).order for v in (259, 4096, 6000, 60_000, 2_000_000)] == [5, 5, 5, 3, 3]


def test_frequencies_are_those_of_tokens(ngrams):
    tokens = texts()
    counts = torch.bincount(tokens[tokens != PAD], minlength=V) + 0.5
    torch.testing.assert_close(ngrams.frequencies, (counts / counts.sum()).log())


def test_so_many_n_grams_are_counted(monkeypatch, ngrams):
    monkeypatch.setattr("attar.networks.ngrams.COUNTED", 50)
    few = NGrams(V)
    few.start(texts())
    assert few.counts.sum() == 50 < ngrams.counts.sum()
    _, first = np.unique(n_grams(texts())[:50], axis=0, return_counts=True)
    assert few.counts.tolist() == first.tolist()
