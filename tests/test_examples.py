"""Each example runs, and its results are good."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from attar.recipes import recipe

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, **settings: object) -> Any:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(**settings)


def test_digits_are_reconstructed_better_than_by_pca():
    metrics = run("digits", epochs=20)
    assert metrics["error"] < 0.8 * metrics["pca_error"]


def test_the_best_codes_of_a_search_classify_digits():
    search = run("pipeline", epochs=1)
    assert search.best_params_["codes__code_size"] == 16
    assert search.best_score_ > 0.8


def test_denoising_removes_most_of_the_noise():
    before, after = run("denoise", epochs=20)
    assert after < 0.5 * before


def test_a_photograph_loses_noise(tmp_path):
    path = tmp_path / "clean.png"
    before, after = run("clean_picture", picture=path, tiles=400, epochs=20)
    assert after > before + 1
    assert path.stat().st_size > 10_000


def test_anomalies_rank_above_normal_rows():
    assert run("anomalies", epochs=10) > 0.9


def test_spoilt_pictures_are_found_where_they_are(tmp_path):
    found = run("odd_pictures", picture=tmp_path / "odd_pictures.png")
    assert found["within"] > 0.7
    assert found["auc"] > 0.9
    assert (tmp_path / "odd_pictures.png").exists()


def test_malignant_rows_are_odd_among_benign_ones(tmp_path):
    found = run("odd_rows", picture=tmp_path / "odd_rows.png")
    assert found["auc"] > 0.9
    assert found["false_alarms"] < 0.08
    assert (tmp_path / "odd_rows.png").stat().st_size > 10_000


def test_filled_cells_are_nearer_to_the_truth_than_means(tmp_path):
    found = run("filled_gaps", picture=tmp_path / "filled_gaps.png")
    assert found["error"] < 0.85 * found["mean"]
    assert found["coverage"] > 0.75
    assert (tmp_path / "filled_gaps.png").stat().st_size > 10_000


def test_filled_series_and_pictures_are_nearer_than_lines_and_means(tmp_path):
    found = run("filled_series", picture=tmp_path / "filled_series.png")
    assert found["series"] < 0.6 * found["lines"]
    assert found["pictures"] < 0.75 * found["means"]
    assert (tmp_path / "filled_series.png").stat().st_size > 10_000


@pytest.mark.filterwarnings("ignore:The step at:attar.AttarWarning")
def test_what_engineers_know_is_flagged(tmp_path, data_folder):
    found = run("odd_moments", picture=tmp_path / "moments.png", folder=data_folder, every=6)
    assert found["found"] > 0.3
    assert found["else"] < 0.01
    assert (tmp_path / "moments.png").stat().st_size > 10_000


def test_the_next_days_are_forecast_with_intervals_that_hold(tmp_path, data_folder):
    picture = tmp_path / "next_days.png"
    found = run("next_days", picture=picture, folder=data_folder, months=6, later=2)
    assert found["better"] > 0.4
    assert abs(found["coverage"] - 0.9) < 0.02
    assert picture.stat().st_size > 10_000


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_keras_network_is_trained_on_digits():
    pytest.importorskip("keras")
    history = run("keras_autoencoder", epochs=10).history_
    assert history.loss.iloc[-1] < 0.9 * history.loss.iloc[0]


def test_hidden_cells_are_predicted():
    errors = run("missing_cells", epochs=15)
    assert errors["rent"] < 0.08
    assert errors["town"] > 0.7


def test_images_are_compressed_below_general_compressors():
    sizes = run("compress", epochs=1)
    assert sizes["attar"] < 0.9 * min(sizes["bz2"], sizes["PNG"])


def test_photographs_have_the_error_that_was_asked_for(tmp_path, capsys):
    path = tmp_path / "photographs.png"
    small = recipe("picture-codec").replace(code__hidden=16, network__hidden=16)
    sizes = run("photographs", picture=path, recipe=small, tiles=60, epochs=3)
    jpeg, attar = (float(line.split()[-2]) for line in capsys.readouterr().out.splitlines())
    assert jpeg <= attar < jpeg + 0.2
    assert sizes["attar"] < 1.2 * sizes["JPEG"]
    assert path.stat().st_size > 10_000


def test_voices_take_the_kilobits_that_were_asked_for():
    small = recipe("speech-codec").replace(network__width=16, code__codebook=64)
    small = small.replace(sampler__steps=5, sampler__hidden=16)
    found = run("speech", recipe=small, epochs=1, clips=4)
    assert all(abs(had / asked - 1) < 0.05 for asked, had in found.items())


def test_headlines_come_back_from_their_codes():
    small = recipe("text").replace(network__width=64, likelihood__width=64)
    assert run("headlines", recipe=small, epochs=10, n=400) > 0.5


def test_new_lines_of_a_log_are_the_oddest():
    assert run("logs") == 1.0


def test_customers_who_were_not_asked_are_told_right(tmp_path):
    found = run("customers", picture=tmp_path / "customers.png", quick=True)
    assert found["accuracy"] > 0.85
    assert found["accuracy"] > found["boosting"]
    assert abs(found["sure"] - found["accuracy"]) < 0.1
    assert (tmp_path / "customers.png").stat().st_size > 10_000


def test_words_of_a_voice_that_was_not_heard_are_recognized(tmp_path):
    found = run("spoken_digits", picture=tmp_path / "spoken_digits.png", quick=True)
    assert found["accuracy"] > 0.8
    assert (tmp_path / "spoken_digits.png").stat().st_size > 5_000


def test_handwriting_is_read_with_few_labels(tmp_path):
    found = run("handwriting", minutes=0.05, picture=tmp_path / "clusters.png")
    assert found["accuracy"] > 0.8
    assert found["purity"] > 0.7
    assert (tmp_path / "clusters.png").stat().st_size > 10_000


def test_topics_of_news_are_told_from_few_labels(tmp_path):
    found = run("news", epochs=1, picture=tmp_path / "news.png")
    assert found["accuracy"] > found["peer"]
    assert (tmp_path / "news.png").stat().st_size > 10_000
