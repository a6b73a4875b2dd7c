import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from attar.data.columns.arrow import TEXT
from attar.data.columns.text import COMPONENTS, KEPT_BYTES, WORD, TextColumn, is_free_text
from attar.data.table import MixedTable
from attar.errors import DataError

WORDS = np.array([first + second for first in "bcdfghklmn" for second in ("ab", "em", "ir", "ot")])


def sentences(n, seed=0, length=8):
    """Return texts of words of which some are frequent, as in a language."""
    generator = np.random.default_rng(seed)
    chance = 1 / np.arange(1, len(WORDS) + 1)
    drawn = generator.choice(WORDS, (n, length), p=chance / chance.sum())
    return [" ".join(words) for words in drawn]


def chunked(texts):
    return pa.chunked_array([pa.array(texts, TEXT)])


def column_of(texts):
    column = TextColumn.of("note", TEXT, chunked(texts))
    assert column is not None
    return column


def test_cells_are_the_latent_semantic_analysis_of_scikit_learn_on_new_texts():
    known, new = sentences(400), sentences(50, seed=1)
    tfidf = TfidfVectorizer(token_pattern=WORD, min_df=2, sublinear_tf=True)
    svd = TruncatedSVD(COMPONENTS, random_state=0).fit(tfidf.fit_transform(known))

    def unit(texts):
        vectors = svd.transform(tfidf.transform(texts))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    of_known = unit(known)
    deviation = np.sqrt(of_known.var(0).sum())
    expected = (unit(new) - of_known.mean(0)) / deviation
    cells = column_of(known).encode(chunked(new))
    signs = np.sign((cells * expected).sum(0))
    np.testing.assert_allclose(cells * signs, expected, atol=1e-4)


def test_the_variances_of_a_text_add_up_to_that_of_a_number():
    texts = sentences(200)
    cells = column_of(texts).encode(chunked(texts))
    assert cells.shape == (200, 20)
    np.testing.assert_allclose(cells.mean(0), 0, atol=1e-6)
    assert cells.var(0).sum() == pytest.approx(1, rel=1e-5)


def test_kept_texts_come_back_also_from_shrunken_vectors_and_missing_ones_stay_missing():
    texts = sentences(100)
    column = column_of(texts)
    cells = column.encode(chunked([*texts, None]))
    assert np.isnan(cells[-1]).all()
    assert column.decode(cells).to_pylist() == [*texts, None]
    assert column.decode(0.1 * cells).to_pylist() == [*texts, None]


def test_a_new_text_is_decoded_as_the_kept_one_of_the_largest_cosine():
    texts, new = sentences(300), sentences(40, seed=1)
    column = column_of(texts)
    keys, cells = column.encode(chunked(texts)), column.encode(chunked(new))
    norms = np.linalg.norm(keys, axis=1) * np.linalg.norm(cells, axis=1)[:, None]
    nearest = (cells @ keys.T / norms).argmax(1)
    assert column.decode(cells).to_pylist() == [texts[i] for i in nearest]


def test_a_text_without_a_known_word_is_kept_and_not_missing():
    texts = [*sentences(5000), "", "😀 🎉"]
    column = column_of(texts)
    assert "" in column.texts
    cells = column.encode(chunked(["", "😀 🎉", "xyzzy"]))
    assert (cells == cells[0]).all()
    assert column.decode(cells).to_pylist() == ["", "", ""]


def test_case_does_not_count_and_order_neither():
    column = column_of(sentences(100))
    cells = column.encode(chunked(["bab dem hir", "HIR Bab, dem!"]))
    np.testing.assert_allclose(cells[0], cells[1], atol=1e-6)


def test_kept_texts_are_bounded_in_number_and_in_bytes():
    many = [f"{text} number{i}" for i, text in enumerate(sentences(5000))]
    assert len(column_of(many).texts) == 2048
    long = [f"{text} {'x' * 5000}" for text in sentences(1000)]
    kept = column_of(long).texts
    assert 100 < len(kept) < 1000
    assert sum(map(len, kept)) <= KEPT_BYTES


def test_few_texts_have_few_components():
    assert len(column_of(sentences(30)).cells) == 3
    same = ["one two", "one two", "three four", "three four"] * 20
    assert len(column_of(same).cells) == 2  # all that there is to know


def test_texts_that_share_no_word_are_no_column():
    assert TextColumn.of("note", TEXT, chunked(["one two", "three four"])) is None
    assert TextColumn.of("note", TEXT, chunked([None])) is None
    assert TextColumn.of("note", TEXT, chunked(["1 2 3", "4 5 6"])) is None
    assert TextColumn.of("note", TEXT, chunked(["same old", "same new", "same"])) is None


@pytest.mark.parametrize(
    ("text", "free"),
    [
        ("The room was clean", True),
        ("Ein größeres Zimmer", True),
        ("12 Main Street Springfield", True),
        ("Anna Smith", False),
        ("ab12-cd34-ef56", False),
        ("+49 123 456 789", False),
        ("anna.maria.smith@example.com", False),
        ("https://example.com/some/page", False),
        ("A 1 B 2 C 3", False),
        ("", False),
    ],
)
def test_free_text_has_several_words_between_spaces(text, free):
    assert is_free_text(chunked([text, None])) is free


def frame(n=300):
    texts = sentences(n)
    texts[3], texts[7] = None, ""
    return pd.DataFrame(
        {
            "key": [f"K-{i:05d}" for i in range(n)],
            "name": [f"Anna Smith{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(n)],
            "size": np.random.default_rng(0).normal(size=n),
            "note": texts,
        }
    )


def test_of_the_columns_of_a_table_free_text_alone_is_used():
    kind, summary = MixedTable.fit([frame()])
    different = "nearly all of its values are different"
    assert [one.type for one in kind.portions] == ["dropped", "dropped", "number", "text"]
    assert [one.remark for one in kind.portions[:2]] == [different, different]
    words = (
        "its words become a vector of size 29, decoded as the most similar of 299 training texts"
    )
    assert kind.portions[3].remark == words
    assert not kind.portions[3].advice
    assert summary.moments.count.tolist() == [300] + [299] * 29
    assert kind.feature_names()[:3] == ["size", "note (0)", "note (1)"]


def test_the_user_chooses_what_is_text():
    table = frame()
    table["name"] = [f"{first} Smith" for first in np.resize(WORDS, len(table))]
    kinds = {"name": "text", "note": "ignore"}
    kind, _ = MixedTable.fit([table], kinds)
    assert [one.type for one in kind.portions] == ["dropped", "text", "number", "dropped"]
    assert kind.portions[3].remark == "it is set to 'ignore'"
    few = table.assign(note=pd.Categorical(table["note"].where(table.index < 20)))
    assert MixedTable.fit([few], {"note": "text"})[0].portions[3].type == "text"
    with pytest.raises(DataError, match=r"'size' holds numbers.* cannot be read as 'text'"):
        MixedTable.fit([table], {"size": "text"})
    kind, _ = MixedTable.fit([table], {"key": "text"})
    assert kind.portions[0].remark == "its texts share no words that distinguish them"
    one, _ = MixedTable.fit([table.assign(key="one text for all")], {"key": "text"})
    assert one.portions[0].type == "constant"


def test_pieces_give_the_same_form_as_the_whole():
    table = frame()
    kind, summary = MixedTable.fit([table])
    pieces, of_pieces = MixedTable.fit([table[:90], table[90:91], table[91:]])
    assert pieces == kind
    np.testing.assert_array_equal(of_pieces.sample, summary.sample)
    np.testing.assert_array_equal(of_pieces.moments.count, summary.moments.count)


def test_a_form_of_json_and_tensors_is_the_same():
    table = frame()
    kind, _ = MixedTable.fit([table])
    again = MixedTable.from_json(kind.to_json()).with_tensors(kind.tensors())
    assert again == kind
    rows = kind.rows(table)
    np.testing.assert_array_equal(again.rows(table), rows)
    assert again.restore(rows)["note"].equals(kind.restore(rows)["note"])
    assert again.restore(rows)["note"].equals(table["note"])


def test_what_encodes_a_text_is_hidden_together_and_counts_by_itself():
    kind, _ = MixedTable.fit([frame()])
    assert kind.leaders.tolist() == [0] + [1] * 29
    features = np.zeros(30, bool)
    features[[0, 4, 5]] = True
    assert kind.columns_with(features) == 3
    assert kind.dimensions == 4


def test_other_values_in_a_column_of_text_are_refused():
    kind, _ = MixedTable.fit([frame()])
    with pytest.raises(
        DataError, match="holds numbers such as 1, but the model was fitted on text"
    ):
        kind.rows(frame().assign(note=1))
    assert np.isnan(kind.rows(frame().assign(note=None))[:, 1:]).all()
