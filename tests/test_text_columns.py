"""Tables with a column of free text, used as users do."""

import numpy as np
import pandas as pd
import pytest

import attar
from attar import storage
from attar.errors import ModelFileError, SettingError

TOPICS = {
    "sport": ["goal", "match", "team", "coach", "season", "striker", "league", "defeat"],
    "market": ["shares", "profit", "bank", "oil", "prices", "investors", "trade", "quarter"],
}
FILLER = ["the", "a", "in", "after", "on", "for", "with", "new"]
TOPIC_OF = {word: topic for topic, words in TOPICS.items() for word in words}


def news(n, seed=0):
    """Return rows whose text is of their topic, and whose number is far from independent of it."""
    generator = np.random.default_rng(seed)
    topic = generator.choice(list(TOPICS), n)
    texts = [
        " ".join(generator.permutation([*generator.choice(TOPICS[one], 5), *FILLER[:3]]))
        for one in topic
    ]
    reads = generator.normal(10, 1, n) + 3 * (topic == "sport")
    return pd.DataFrame({"topic": topic, "reads": reads, "note": texts})


def topic_of(text):
    found = [TOPIC_OF[word] for word in text.split() if word in TOPIC_OF]
    return max(set(found), key=found.count)


TRAIN, NEW = news(300), news(100, seed=1)
HOLES = TRAIN.assign(note=TRAIN["note"].where(TRAIN.index % 5 > 0))


def fitted(recipe="ae", table=TRAIN, condition=None, **settings):
    settings = {"epochs": 1, "random_state": 0, "verbose": False} | settings
    return attar.Autoencoder(recipe, **settings).fit(table, condition=condition)


@pytest.fixture(scope="module")
def model():
    return fitted("vae", HOLES, epochs=30, batch_size=128)


@pytest.fixture(scope="module")
def imputer():
    return attar.Imputer(random_state=0).fit(TRAIN)


def test_reconstructions_are_training_texts_of_the_topic(model):
    back = model.reconstruct(NEW)
    assert set(back["note"]) <= set(HOLES["note"])
    assert [topic_of(text) for text in back["note"]] == NEW["topic"].tolist()


def test_a_new_row_has_a_training_text_most_often_of_its_topic(model):
    drawn = model.sample(200, random_state=0)
    assert set(drawn["note"]) <= set(HOLES["note"])
    assert drawn["note"].nunique() > 40
    same = np.array([topic_of(text) for text in drawn["note"]]) == drawn["topic"]
    assert same.mean() > 0.7  # independent ones agree half of the time


def test_a_model_file_gives_the_same_codes_and_texts(model, tmp_path):
    model.save(tmp_path / "m.attar")
    again = attar.load(tmp_path / "m.attar")
    np.testing.assert_array_equal(again.transform(NEW), model.transform(NEW))
    assert again.reconstruct(NEW).equals(model.reconstruct(NEW))
    assert again.fitted_.fingerprint == model.fitted_.fingerprint


def test_a_file_without_the_words_is_refused(model, tmp_path):
    description = {**model.fitted_.to_json(), "settings": {}}
    kept = {name: x for name, x in model.fitted_.tensors().items() if "words" not in name}
    storage.write_model(tmp_path / "m.attar", kept, description)
    with pytest.raises(ModelFileError, match="describes a model that cannot be built"):
        attar.load(tmp_path / "m.attar")


def test_a_missing_text_is_expected_to_be_of_the_topic(model):
    expected = model.reconstruct(NEW.assign(note=None))["note"]
    assert np.mean([topic_of(text) for text in expected] == NEW["topic"]) > 0.95


def test_topics_are_imputed_from_texts_and_texts_from_topics(imputer):
    by_note = imputer.transform(NEW.assign(topic=None, reads=np.nan))
    assert (by_note["topic"] == NEW["topic"]).mean() > 0.97
    by_topic = imputer.transform(NEW.assign(note=None))
    assert [topic_of(text) for text in by_topic["note"]] == NEW["topic"].tolist()
    kept = NEW.assign(note=NEW["note"].where(NEW.index != 5))
    assert imputer.transform(kept)["note"].drop(5).equals(NEW["note"].drop(5))


def test_an_imputed_text_has_no_interval_and_the_error_of_its_whole_vector(imputer, tmp_path):
    found = imputer.uncertainty(NEW.assign(note=None))
    assert found[["low", "high", "probability"]].isna().all().all()
    errors = imputer.errors_.set_index("column").loc["note"]
    assert errors["measure"] == "RMSE"
    assert errors["baseline"] == pytest.approx(1, abs=0.05)  # the deviation
    assert errors["error"] < errors["baseline"]
    imputer.save(tmp_path / "i.attar")
    again = attar.Imputer.load(tmp_path / "i.attar")
    holes = NEW.assign(note=None)
    assert again.transform(holes).equals(imputer.transform(holes))


def test_a_text_of_another_topic_is_odd_and_explained_by_itself(tmp_path):
    detector = attar.AnomalyDetector(random_state=0).fit(TRAIN)
    odd = NEW.copy()
    odd.loc[0, "note"] = NEW["note"][NEW["topic"] != NEW["topic"][0]].iloc[0]
    assert detector.score_samples(odd)[0] < detector.score_samples(NEW)[0]
    why = detector.explain(odd[:1], 3)
    assert set(why["column"]) == {"topic", "reads", "note"}
    assert why.set_index("column").loc["note", "value"] == odd["note"][0]
    assert detector.explain(odd[:1], 1)["column"].item() in ("topic", "note")
    detector.save(tmp_path / "d.attar")
    again = attar.AnomalyDetector.load(tmp_path / "d.attar")
    np.testing.assert_array_equal(again.score_samples(odd), detector.score_samples(odd))


def test_a_text_as_a_condition_is_in_the_model_file(tmp_path):
    model = fitted("vae", TRAIN[["topic", "reads"]], TRAIN[["note"]])
    model.save(tmp_path / "m.attar")
    codes = model.transform(NEW[["topic", "reads"]], condition=NEW[["note"]])
    again = attar.load(tmp_path / "m.attar")
    found = again.transform(NEW[["topic", "reads"]], condition=NEW[["note"]])
    np.testing.assert_array_equal(found, codes)


def test_compression_is_exact_and_its_model_has_no_words():
    model = fitted("lossless")
    odd = NEW.assign(note=["", None, "😀 🎉", "a\nb", *NEW["note"][4:]])
    codec = attar.Codec(model)
    assert codec.decompress(codec.compress(odd)).equals(odd)
    column = model.fitted_.kind.fields[2]
    assert column.remark == "it is text, which is stored as it is"
    assert not model.fitted_.kind.tensors()


def test_bits_back_coding_refuses_texts():
    model = fitted("vae", TRAIN[["topic", "note"]])
    with pytest.raises(SettingError, match=r"Column 'note' has real numbers.*leave the column out"):
        attar.Codec(model)


def test_a_report_says_that_texts_are_kept_ones(model, tmp_path):
    path = tmp_path / "r.html"
    attar.report(model, NEW, path)
    assert "Of each text the most similar one that the model keeps is shown." in path.read_text()


def test_inspection_says_what_is_done_with_text():
    inspection = attar.Autoencoder().inspect(TRAIN)
    note = inspection.columns[2]
    assert (note.type, note.scaling, note.missing) == ("text", "unit variance", 0.0)
    assert "most similar of 300 training texts" in note.remark
