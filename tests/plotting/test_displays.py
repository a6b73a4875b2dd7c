"""Displays hold what estimators compute, and draw it where they are told."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_moons
from sklearn.decomposition import PCA

import attar
from attar.errors import DataError, SettingError
from attar.plotting import (
    AnomalyMapDisplay,
    AnomalyScoreDisplay,
    ClusterDisplay,
    CodeMapDisplay,
    ErrorBySizeDisplay,
    ForecastDisplay,
    ImputationDisplay,
    LossDisplay,
    ReconstructionDisplay,
    ReliabilityDisplay,
    TraversalDisplay,
)

QUIET = {"random_state": 0, "verbose": False}
IMAGES = load_digits().images[:200].astype(np.uint8)
STEPS = np.arange(400)
SERIES = pd.DataFrame(
    {
        "time": pd.date_range("2024-01-01", periods=400, freq="h"),
        "load": 10 + np.sin(2 * np.pi * STEPS / 24),
        "heat": np.cos(2 * np.pi * STEPS / 24),
    }
)


def table():
    frame = load_diabetes(as_frame=True, scaled=False).data
    return frame.assign(sex=frame["sex"].map({1: "m", 2: "f"}))


def whole(rows):
    """Return pixels as the images have them: integers from 0 to 16."""
    return np.rint(rows).clip(0, 16)


def shown(cell):
    return np.asarray(cell.images[0].get_array())


def lines(ax):
    return {line.get_label(): line.get_ydata() for line in ax.lines}


@pytest.fixture(scope="module")
def digits_model():
    return attar.Autoencoder(code_size=6, epochs=4, **QUIET).fit(IMAGES)


@pytest.fixture(scope="module")
def table_model():
    return attar.Autoencoder(code_size=4, epochs=4, **QUIET).fit(table())


@pytest.fixture(scope="module")
def series_model():
    series = attar.Series(SERIES, time="time", window=24)
    return attar.Autoencoder(code_size=2, epochs=2, **QUIET).fit(series)


@pytest.fixture(scope="module")
def detector():
    return attar.AnomalyDetector(random_state=0).fit(IMAGES)


def test_losses_are_those_of_the_history(digits_model):
    drawn = lines(LossDisplay.from_estimator(digits_model).ax_)
    assert np.array_equal(drawn["training"], digits_model.history_["loss"])
    assert np.array_equal(drawn["validation"], digits_model.history_["validation_loss"])
    best = int(digits_model.history_["validation_loss"].argmin()) + 1
    assert drawn[f"best epoch, {best}"] == digits_model.history_["validation_loss"].min()


def test_a_training_without_validation_rows_has_one_curve():
    ae = attar.Autoencoder(code_size=2, epochs=3, validation_fraction=0, **QUIET).fit(IMAGES)
    drawn = lines(LossDisplay.from_estimator(ae).ax_)
    assert np.array_equal(drawn["training"], ae.history_["loss"])
    assert "validation" not in drawn


def test_an_error_is_beside_that_of_principal_components(digits_model):
    display = ErrorBySizeDisplay.from_estimator(digits_model, IMAGES)
    metrics = digits_model.evaluate_held_out(IMAGES).metrics
    drawn = lines(display.ax_)
    assert drawn["this model"] == metrics["error"]
    assert drawn["PCA"][6] == metrics["pca_error"]
    assert ErrorBySizeDisplay.from_estimator(digits_model).error == pytest.approx(metrics["error"])


def test_an_ordered_code_has_an_error_at_each_size():
    ae = attar.Autoencoder("ordered", code_size=3, epochs=2, **QUIET).fit(IMAGES)
    display = ErrorBySizeDisplay.from_estimator(ae)
    assert len(display.size_errors) == 4
    assert display.size_errors[-1] == pytest.approx(display.error, rel=1e-4)


def test_a_map_has_the_principal_components_of_codes(digits_model):
    labels = load_digits().target[:200]
    display = CodeMapDisplay.from_estimator(digits_model, IMAGES, labels)
    codes = digits_model.transform(IMAGES).astype(np.float64)
    expected = PCA(2, svd_solver="full").fit_transform(codes)
    assert np.abs(display.points) == pytest.approx(np.abs(expected), abs=1e-4)
    assert [text.get_text() for text in display.ax_.get_legend().texts] == list("0123456789")
    drawn = sum(len(points.get_offsets()) for points in display.ax_.collections)
    assert drawn == len(IMAGES)


def test_a_map_without_labels_has_the_colours_of_what_it_explains(table_model):
    display = CodeMapDisplay.from_estimator(table_model, table())
    assert display.title in table().columns
    assert display.ax_.get_legend().get_title().get_text() == display.title


def test_labels_of_other_rows_are_refused(digits_model):
    with pytest.raises(DataError, match="give one label per row"):
        CodeMapDisplay.from_estimator(digits_model, IMAGES, [1, 2])


def test_reconstructions_are_those_of_the_estimator(digits_model):
    display = ReconstructionDisplay.from_estimator(digits_model, IMAGES, most=5)
    places = [int(name.removeprefix("row ")) for name in display.names]
    assert np.array_equal(display.examples.rows[:, 0], IMAGES[places])
    expected = digits_model.reconstruct(IMAGES[places])
    assert whole(display.examples.reconstructed[:, 0]) == pytest.approx(expected)
    assert (np.diff(display.examples.errors) >= 0).all()
    cells = display.ax_.child_axes
    assert len(cells) == 15
    brightness = IMAGES[places[0]] / IMAGES[places].max()
    assert shown(cells[0]) == pytest.approx(255 * brightness, abs=0.5)


def test_reconstructed_series_are_lines_of_each_channel(series_model):
    display = ReconstructionDisplay.from_estimator(series_model, SERIES, most=3)
    cells = display.ax_.child_axes
    assert len(cells) == 6
    for row in range(3):
        drawn = lines(cells[row])
        assert np.array_equal(drawn["original"], display.examples.rows[row, 0])
        assert np.array_equal(drawn["reconstruction"], display.examples.reconstructed[row, 0])


def test_reconstructed_tables_are_prepared_cells(table_model):
    display = ReconstructionDisplay.from_estimator(table_model, table(), most=4)
    before, after, difference = map(shown, display.ax_.child_axes)
    assert before == pytest.approx(display.examples.prepared)
    assert difference == pytest.approx(after - before)
    names = [text.get_text() for text in display.ax_.child_axes[0].get_xticklabels()]
    assert names == list(table().columns)


def test_a_sound_is_a_picture_of_its_bands():
    times = np.arange(4000) / 8000
    clips = [np.sin(2 * np.pi * (300 + 40 * i) * times).astype(np.float32) for i in range(24)]
    sounds = attar.Sounds(clips, rate=8000, view="mel")
    ae = attar.Autoencoder(code_size=2, epochs=1, **QUIET).fit(sounds)
    display = ReconstructionDisplay.from_estimator(ae, sounds, most=2)
    assert len(display.ax_.child_axes) == 6
    assert len(TraversalDisplay.from_estimator(ae, dimensions=1, steps=3).ax_.child_axes) == 3


def test_a_traversal_decodes_codes_that_differ_in_one_dimension(digits_model):
    display = TraversalDisplay.from_estimator(digits_model, dimensions=[4, 1], steps=5, width=3.0)
    codes = digits_model.fitted_.training_summary.codes
    mean, deviation = codes.mean(0), codes.std(0)
    for line, dimension in zip(display.codes, (4, 1), strict=True):
        moved = (line - mean) / deviation
        assert moved[:, dimension] == pytest.approx([-3, -1.5, 0, 1.5, 3], abs=1e-5)
        assert np.delete(moved, dimension, 1) == pytest.approx(0, abs=1e-5)
    expected = digits_model.inverse_transform(display.codes.reshape(-1, 6))
    assert whole(display.decoded.reshape(-1, 8, 8)) == pytest.approx(expected)


def test_a_traversal_takes_the_most_important_dimensions_first(digits_model, series_model):
    growth = digits_model.fitted_.training_summary.diagnostics.importance
    display = TraversalDisplay.from_estimator(digits_model, dimensions=3)
    assert display.dimensions.tolist() == np.argsort(growth)[::-1][:3].tolist()
    cells = TraversalDisplay.from_estimator(series_model, steps=4).ax_.child_axes
    assert [len(cell.lines) for cell in cells] == [4] * 4


def test_a_traversal_of_a_table_shows_changes_from_the_middle(table_model):
    display = TraversalDisplay.from_estimator(table_model, dimensions=2, steps=5)
    for cell, line in zip(display.ax_.child_axes, display.prepared, strict=True):
        assert shown(cell) == pytest.approx(line - line[2])


def test_a_traversal_under_a_condition_is_of_this_condition():
    labels = np.arange(200) % 2
    ae = attar.Autoencoder(code_size=2, epochs=1, **QUIET).fit(IMAGES, condition=labels)
    display = TraversalDisplay.from_estimator(ae, dimensions=1, steps=3, condition=1)
    expected = ae.inverse_transform(display.codes[0], condition=1)
    assert whole(display.decoded[0, :, 0]) == pytest.approx(expected)


@pytest.mark.parametrize("dimensions", [[6], [-1], []])
def test_an_unknown_dimension_is_refused(digits_model, dimensions):
    with pytest.raises(SettingError, match="Latent dimensions are 0 to 5"):
        TraversalDisplay.from_estimator(digits_model, dimensions=dimensions)


def test_texts_are_refused():
    ae = attar.Autoencoder(epochs=1, code_size=4, **QUIET).fit([f"a word {i}" for i in range(40)])
    with pytest.raises(SettingError, match=r"draws no texts: attar\.report shows them"):
        ReconstructionDisplay.from_estimator(ae, ["a word"])


def test_scores_are_in_bins_of_which_some_are_flagged(detector):
    spoilt = IMAGES.copy()
    spoilt[::4, 2:6, 2:6] = 16 - spoilt[::4, 2:6, 2:6]
    display = AnomalyScoreDisplay.from_estimator(detector, spoilt)
    assert display.scores == pytest.approx(-detector.score_samples(spoilt))
    assert display.flagged == (detector.predict(spoilt) < 0).sum() > 0
    beyond = [bar for bar in display.ax_.patches if getattr(bar, "get_x", None)]
    heights = [bar.get_height() for bar in beyond if bar.get_x() > display.limit]
    assert sum(heights) == pytest.approx(100 * display.flagged / len(spoilt))


def test_anomaly_maps_are_of_the_oddest_images(detector):
    spoilt = IMAGES.copy()
    spoilt[7, 2:6, 2:6] = 16 - spoilt[7, 2:6, 2:6]
    display = AnomalyMapDisplay.from_estimator(detector, spoilt, most=3)
    oddest = np.argsort(detector.score_samples(spoilt))[:3]
    assert display.names == [f"row {place}" for place in oddest]
    assert np.array_equal(display.images[:, 0], spoilt[oddest])
    assert display.nats == pytest.approx(detector.anomaly_maps(spoilt[oddest]).nats)


def test_only_images_have_maps():
    iris = attar.AnomalyDetector(random_state=0).fit(load_iris().data)
    with pytest.raises(DataError, match="AnomalyScoreDisplay shows the scores of other rows"):
        AnomalyMapDisplay.from_estimator(iris, load_iris().data)


def test_a_forecast_has_the_intervals_of_the_forecaster():
    forecaster = attar.Forecaster(horizon=12).fit(attar.Series(SERIES, time="time"))
    display = ForecastDisplay.from_estimator(forecaster, channel="heat", coverage=(0.5, 0.9))
    expected = forecaster.predict_interval(coverage=0.9)
    assert lines(display.ax_)["forecast"] == pytest.approx(expected["heat"])
    assert display.coverage == (0.9, 0.5)
    low, high = display.fan.bands[0]
    assert low == pytest.approx(expected["heat_low"])
    assert high == pytest.approx(expected["heat_high"])
    assert display.ax_.lines[-1].get_xdata()[0] == np.datetime64("2024-01-17T16:00:00")
    with pytest.raises(SettingError, match="did you mean 'heat'"):
        ForecastDisplay.from_estimator(forecaster, channel="heet")
    with pytest.raises(SettingError, match=r"shares in \(0, 1\)"):
        ForecastDisplay.from_estimator(forecaster, coverage=(95,))


def test_imputed_steps_are_those_of_the_imputer():
    gaps = SERIES.copy()
    gaps.loc[100:110, "load"] = np.nan
    series = attar.Series(gaps, time="time")
    imputer = attar.Imputer(random_state=0).fit(series)
    display = ImputationDisplay.from_estimator(imputer, series)
    assert display.column == "load"
    drawn = lines(display.ax_)["imputed"]
    filled = imputer.transform(series)["load"]
    assert drawn[~np.isnan(drawn)] == pytest.approx(filled[100:111])
    assert display.ax_.get_xlim()[0] < 52
    with pytest.raises(SettingError, match="no column with missing values named 'heat'"):
        ImputationDisplay.from_estimator(imputer, series, column="heat")


def test_imputed_numbers_and_levels_are_shares():
    frame = table()[["age", "bmi", "sex"]].head(80)
    hidden = np.random.default_rng(0).random(len(frame)) < 0.3
    frame.loc[hidden, "bmi"], frame.loc[hidden[::-1], "sex"] = np.nan, None
    imputer = attar.Imputer(None, random_state=0).fit(frame)
    numbers = ImputationDisplay.from_estimator(imputer, frame, column="bmi")
    assert np.array_equal(numbers.known, frame["bmi"].dropna())
    known, imputed = (patch.get_data().values for patch in numbers.ax_.patches)
    assert [known.sum(), imputed.sum()] == pytest.approx([100, 100])
    levels = ImputationDisplay.from_estimator(imputer, frame, column="sex")
    bars = [bar.get_height() for bar in levels.ax_.patches]
    share = 100 * (frame["sex"].dropna() == "m").mean()
    assert bars[:2] == pytest.approx([share, 100 - share])
    with pytest.raises(SettingError, match="no missing values"), pytest.warns(attar.AttarWarning):
        ImputationDisplay.from_estimator(imputer, imputer.transform(imputer.transform(frame)))


def test_clusters_have_the_colours_of_their_labels():
    X, _ = make_moons(300, noise=0.05, random_state=0)
    clusterer = attar.Clusterer(random_state=0).fit(X)
    display = ClusterDisplay.from_estimator(clusterer, X)
    sizes = [len(points.get_offsets()) for points in display.ax_.collections]
    assert sizes == np.bincount(clusterer.labels_).tolist()


def test_reliability_is_that_of_scikit_learn():
    from sklearn.calibration import calibration_curve

    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 500)
    right = generator.random(500) < confidence**2
    display = ReliabilityDisplay.from_predictions(right, confidence)
    share, mean = calibration_curve(right, confidence, n_bins=10)
    assert display.accuracy == pytest.approx(share)
    assert display.confidence == pytest.approx(mean)
    gaps = [abs(s - m) for s, m in zip(share, mean, strict=True)]
    error = np.average(gaps, weights=np.histogram(confidence, np.linspace(0, 1, 11))[0][5:])
    assert display.calibration_error == pytest.approx(error)
    with pytest.raises(DataError, match="give one for each"):
        ReliabilityDisplay.from_predictions([True], [0.5, 0.6])


def test_an_estimator_of_another_kind_is_refused(digits_model, detector):
    with pytest.raises(SettingError, match="shows a fitted Autoencoder, not AnomalyDetector"):
        LossDisplay.from_estimator(detector)
    with pytest.raises(SettingError, match="shows a fitted Classifier, not Autoencoder"):
        ReliabilityDisplay.from_estimator(digits_model, IMAGES, np.zeros(200))


def test_an_axes_is_taken_and_given_back(digits_model):
    figure, ax = plt.subplots()
    display = ReconstructionDisplay.from_estimator(digits_model, IMAGES, most=2, ax=ax)
    assert (display.ax_, display.figure_) == (ax, figure)
    assert display._repr_png_() is None  # pyplot shows it
    plt.close(figure)


def test_a_figure_of_its_own_is_not_one_of_pyplot(digits_model):
    before = plt.get_fignums()
    display = LossDisplay.from_estimator(digits_model)
    first = display.figure_
    assert plt.get_fignums() == before
    assert isinstance(first, Figure)
    with Image.open(io.BytesIO(display._repr_png_())) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 200
    assert display.plot().figure_ is not first
