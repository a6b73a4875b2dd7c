"""Text from the shell: fitted, encoded, reconstructed, drawn, and its neighbours."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attar
from attar.recipes import recipe

COLOURS, THINGS = ("red", "green", "blue", "black"), ("ball", "door", "car", "house", "tree")
LINES = [f"a {c} {t} {p}" for c in COLOURS for t in THINGS for p in ("at home", "by the sea")]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "t.csv"
    pd.DataFrame({"n": range(len(LINES)), "title": LINES}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def model(table):
    small = recipe("text").replace(network__width=64, likelihood__width=64, likelihood__layers=1)
    ae = attar.Autoencoder(small, epochs=40, code_size=64, random_state=0, verbose=False)
    path = table.with_name("t.attar")
    ae.fit(attar.Lines(table, "title")).save(path)
    return path


def test_a_column_is_fitted_and_says_how_many_tokens_come_back(run, table):
    given = ("fit", table, "--column", "title", "-o", "m.attar", "--epochs", 1)
    assert "of tokens are reconstructed in their place" in run(*given)[1]
    assert "title" in run("info", "m.attar", "--json")[1]
    metrics = json.loads(run(*given, "--json")[1])
    assert metrics["error"] == pytest.approx(1 - metrics["accuracy"])


def test_texts_come_back_in_the_form_that_is_asked_for(run, table, model):
    expected = attar.load(model).reconstruct(attar.Lines(table, "title"))["title"].tolist()
    assert np.mean([a == b for a, b in zip(expected, LINES, strict=True)]) > 0.9
    for name in ("b.txt", "b.csv", "b.jsonl"):
        assert run("reconstruct", model, table, "-o", name)[0] == 0
    assert Path("b.txt").read_text().splitlines() == expected
    assert pd.read_csv("b.csv")["title"].tolist() == expected
    assert [
        json.loads(line)["title"] for line in Path("b.jsonl").read_text().splitlines()
    ] == expected


def test_codes_are_those_of_the_estimator(run, table, model):
    assert run("encode", model, table, "-o", "codes.npy")[0] == 0
    expected = attar.load(model).transform(attar.Lines(table, "title"))
    np.testing.assert_allclose(np.load("codes.npy"), expected, rtol=1e-5, atol=1e-6)


def test_new_texts_are_printed_or_written(run, model):
    printed = run("sample", model, "-n", 5, "--temperature", 0.5, "--seed", 3)[1].splitlines()
    assert len(printed) == 5
    assert run("sample", model, "-n", 5, "--temperature", 0.5, "--seed", 3, "-o", "s.txt")[0] == 0
    assert Path("s.txt").read_text().splitlines() == printed
    likely = run("sample", model, "-n", 5, "--top-p", 0.0)[1]
    assert run("sample", model, "-n", 5, "--top-p", 0.0, "--temperature", 9)[1] == likely
    prior = run("sample", model, "-n", 5, "--sampler", "mixture")[1].splitlines()
    assert prior != printed


def test_the_nearest_text_is_the_text_itself(run, table, model):
    query, place = LINES[7], 7
    _, out, err = run("neighbours", model, query, "--among", table, "-n", 2)
    assert err == ""
    first, second = out.splitlines()
    assert first.split(maxsplit=3)[1:] == ["row", str(place), query]
    assert second.split(maxsplit=3)[3] in LINES
    decoded = run("neighbours", model, query, "-n", 1)[1]
    assert f"row {place}" in decoded
    Path("two.txt").write_text(f"{LINES[3]}\n{LINES[4]}\n")
    lines = run("neighbours", model, "two.txt", "--among", table, "-n", 1, "--json")[1].splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["neighbour"] for one in found] == [3, 4]
    assert [one["text"] for one in found] == LINES[3:5]


def test_a_path_leads_from_one_text_to_the_other(run, table, model):
    ae, ends = attar.load(model), (LINES[0], LINES[-1])
    path = run("interpolate", model, *ends, "--steps", 5)[1].splitlines()
    assert len(path) == 5
    assert [path[0], path[-1]] == ae.reconstruct(pd.DataFrame({"title": ends}))["title"].tolist()


def test_gaps_of_a_text_or_of_a_file_are_filled_and_all_else_is_the_same(run, model):
    gaps = ["a red [...] at home", "no gap", '[...] ball, "of"  course']
    filled = attar.load(model).infill(pd.DataFrame({"title": gaps}))["title"].tolist()
    assert filled[1] == gaps[1]
    assert filled[2].endswith(gaps[2].removeprefix("[...]"))
    assert run("impute", model, gaps[0]) == (0, filled[0] + "\n", "")
    pd.DataFrame({"title": gaps}).to_csv("gaps.csv", index=False)
    Path("gaps.txt").write_text("\n".join(gaps) + "\n")
    assert run("impute", model, "gaps.csv")[1].splitlines() == filled
    for name in ("gaps.txt", "gaps.csv"):
        assert run("impute", model, name, "-o", f"filled_{name}") == (0, "", "")
    assert Path("filled_gaps.txt").read_text().splitlines() == filled
    assert pd.read_csv("filled_gaps.csv")["title"].tolist() == filled


def test_a_text_may_be_longer_than_the_name_of_a_file(run, model):
    status, out, _ = run("impute", model, text := "a red ball " * 100)
    assert (status, out) == (0, text + "\n")


def test_a_report_has_the_texts(run, table, model):
    assert run("report", model, table, "-o", "t.html")[0] == 0
    page = Path("t.html").read_text()
    assert "tokens reconstructed in their place" in page
    assert LINES[0] in page


def test_a_model_of_lines_says_how_to_give_the_text_of_a_table(run, table):
    small = recipe("text").replace(network__width=16, likelihood__width=16, likelihood__layers=1)
    attar.Autoencoder(small, epochs=1, code_size=16, verbose=False).fit(LINES).save("a.attar")
    for given in (
        ("neighbours", "a.attar", "a red ball", "--among", table),
        ("encode", "a.attar", table, "-o", "c.csv"),
        ("reconstruct", "a.attar", table, "-o", "b.txt"),
        ("score", "a.attar", table, "-o", "s.csv"),
        ("impute", "a.attar", table),
    ):
        status, _, err = run(*given)
        assert (status, err.count("\n")) == (2, 1)
        assert "a .txt file or attar.Lines(path, column)" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit", "T", "--column", "titel", "-o", "a"), "title"),
        (("fit", "T", "--column", "n", "--column", "title", "-o", "a"), "one column of text"),
        (("fit", "T", "--column", "title", "--for", "gaps", "-o", "a"), "not of --for"),
        (("fit", "T", "--paragraphs", "-o", "a"), "name the column"),
        (("fit", "bad.txt", "-o", "a"), "not utf-8 at byte 3"),
        (("fit", "same.txt", "-o", "a"), "nothing to learn"),
        (("fit", "T", "--column", "title", "--recipe", "denoising", "-o", "a"), "masking"),
        (("fit", "T", "--column", "title", "--recipe", "lossless", "-o", "a"), "causal"),
        (("encode", "M", "other.csv", "-o", "c.csv"), "has no column 'title'"),
        (("sample", "M", "--temperature", "0"), "temperature"),
        (("impute", "M", "a red ball " * 100 + "[...]"), "cannot be filled"),
        (("impute", "M", "a [...]", "--draws", "2"), "for missing cells"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(run, table, model, arguments, message):
    Path("bad.txt").write_bytes(b"abc\xff\n")
    Path("same.txt").write_text("same\n" * 9)
    Path("other.csv").write_text("a,b\n1,2\n")
    given = [{"T": str(table), "M": str(model)}.get(word, word) for word in arguments]
    status, _, err = run(*given)
    assert (status, err.count("\n")) == (2, 1)
    assert message in err
