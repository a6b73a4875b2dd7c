"""Gaps in texts: what fills them, and that all else stays as it is."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import attar
from attar import DataError, SettingError
from attar.recipes import recipe
from attar.token_ids import BYTES, END, MASK, PAD

CAPITALS = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo"}
TEMPLATES = "the capital of {} is {}", "{} has its capital in {}"
LINES = [template.format(*pair) for template in TEMPLATES for pair in CAPITALS.items()]
ODD = ["plain words", "a\x00b", "👍🏽 emoji", "e\u0301 and é", " two  blanks "]


def small(width):
    likelihood = {"width": width, "layers": 1, "dropout": 0.0}
    parts = {f"likelihood__{name}": value for name, value in likelihood.items()}
    return recipe("text").replace(network__width=width, **parts)


@pytest.fixture(scope="module")
def trained():
    settings = {"epochs": 15, "batch_size": 32, "code_size": 64}
    ae = attar.Autoencoder(small(64), random_state=0, verbose=False, **settings)
    return ae.fit(LINES * 40)


@pytest.fixture(scope="module")
def untrained():
    ae = attar.Autoencoder(small(16), epochs=1, code_size=64, random_state=0, verbose=False)
    return ae.fit([*ODD * 4, "".join(map(chr, range(33, 127)))])  # of 94 tokens


def test_words_that_the_others_determine_are_filled(trained):
    words = [(text, word) for text in LINES for word in ("capital", *sum(CAPITALS.items(), ()))]
    gaps = {text.replace(word, "[...]"): text for text, word in words if word in text}
    assert len(gaps) == 24
    assert trained.infill(list(gaps)) == list(gaps.values())


def test_several_gaps_of_a_text_are_filled(trained):
    gaps = [
        "the [...] of Japan is [...]",
        "[...] has its [...] in Rome",
        "no gap, and [..] is none",
    ]
    filled = ["the capital of Japan is Tokyo", "Italy has its capital in Rome"]
    assert trained.infill(gaps) == [*filled, gaps[2]]


def test_a_space_before_a_gap_begins_a_word_and_stays_one(trained):
    (filled,) = trained.infill(["the capital  [...] Spain"])
    assert re.fullmatch(r"the capital  \S.* Spain", filled)


def parts_of(texts):
    return st.lists(texts, min_size=2, max_size=4)


@settings(max_examples=12, deadline=None)
@given(parts=parts_of(st.text(max_size=5)) | parts_of(st.binary(max_size=20)))
def test_outside_of_gaps_all_bytes_are_the_same(untrained, parts):
    kind = type(parts[0])
    gap, anything = (x if kind is str else x.encode() for x in ("[...]", "(.+?)"))
    if any(gap in part for part in parts):
        return
    (filled,) = untrained.infill([gap.join(parts)])
    assert re.fullmatch(anything.join(map(re.escape, parts)), filled, re.DOTALL)


@given(text=st.text(max_size=200))
def test_a_text_without_a_gap_is_the_same(untrained, text):
    assert untrained.infill([text]) == [text.replace("[...]", "")] or "[...]" in text


def test_of_all_lengths_the_most_likely_filling_is_taken(untrained):
    fitted = untrained.fitted_
    model, vocabulary = fitted.predictor.model, fitted.kind.vocabulary
    pieces = vocabulary.pieces
    (before,), (after,) = (vocabulary.encode([text]) for text in (b"plain", b"!"))
    likeliest = -np.inf
    for size in (1, 2, 3, 4):
        row = np.concatenate([before, np.full(size, PAD), after, [END]]).astype(int)
        code = model.encode(torch.tensor(row[None], dtype=torch.float32))
        parameters = model.parameters_of(code[None])

        def log_prob(rows, parameters=parameters):
            repeated = parameters.expand(-1, len(rows), -1)
            return model.likelihood.log_prob(repeated, torch.tensor(rows))[0].detach().numpy()

        for place in range(len(before), len(before) + size):
            rows = np.tile(np.where(row == PAD, MASK, row), (vocabulary.size, 1))
            rows[:, place] = np.arange(vocabulary.size)
            at_place = np.where(np.arange(vocabulary.size) < BYTES, -np.inf, 0.0)
            at_place[BYTES:] = log_prob(rows[BYTES:])[:, place]
            if place == len(before):
                at_place[[not piece.startswith(b" ") for piece in pieces]] = -np.inf
            if place == len(before) + size - 1:
                at_place[[not piece.strip() for piece in pieces]] = -np.inf
            row[place] = at_place.argmax()
        total = log_prob(row[None]).sum()
        if total > likeliest:
            likeliest, best = total, row
    assert untrained.infill(["plain [...]!"]) == [vocabulary.decode(best).decode(errors="replace")]


def test_texts_come_back_in_their_form(trained):
    gaps = [text.replace("capital", "[...]") for text in LINES]
    column = pd.Series(gaps, index=range(5, 13), name="line")
    pd.testing.assert_series_equal(
        trained.infill(column), pd.Series(LINES, column.index, name="line")
    )
    np.testing.assert_array_equal(trained.infill(np.array(gaps)), LINES)
    assert trained.infill([gap.encode() for gap in gaps]) == [text.encode() for text in LINES]


def test_each_text_is_filled_by_itself_and_given_its_condition():
    labels = np.array([text.startswith("the") for text in LINES]).astype(str)
    conditional = small(16).replace(condition=recipe("conditional").condition)
    ae = attar.Autoencoder(conditional, epochs=2, code_size=32, random_state=0, verbose=False)
    ae.fit(LINES * 10, condition=np.tile(labels, 10))
    gaps = [text.replace("capital", "[...]") + " [...]" for text in LINES]
    alone = [
        ae.infill([gap], condition=[label])[0] for gap, label in zip(gaps, labels, strict=True)
    ]
    assert ae.infill(gaps, condition=labels) == alone
    with pytest.raises(SettingError, match="fitted with a condition"):
        ae.infill(gaps)


def test_a_gap_behind_the_last_token_is_refused(untrained):
    length = untrained.fitted_.kind.length
    filled = untrained.infill(["ab " * ((length - 1) // 3) + "[...]" + " c" * length])
    assert filled[0].endswith(" c" * length)
    with pytest.raises(DataError, match=f"behind '.*' cannot be filled.* {length} tokens"):
        untrained.infill(["ab " * length + "[...]"])


def test_models_of_other_data_have_no_gaps_of_text():
    rows = np.random.default_rng(0).normal(size=(50, 3))
    ae = attar.Autoencoder(epochs=1, random_state=0, verbose=False).fit(rows)
    with pytest.raises(SettingError, match="of other data"):
        ae.infill(rows)
