"""Any data in, the same data out: missing and infinite values, mixed types, streams."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal

import attar
from attar import recipes
from attar.data.scaling import Symmetric
from attar.data.stream import Stream
from attar.likelihoods import Mixed

# Recipes that need nothing but the rows, whatever these are.
PLAIN = [
    name
    for name, row in recipes.TABLE.items()
    if row.recipe.condition is None and row.recipe.likelihood is None
]


class Pieces(Stream):
    """Arrays or frames as a stream whose size nobody knows."""

    fingerprint = "pieces"

    def __init__(self, *given):
        self.given = given

    def __iter__(self):
        return iter(self.given)


def quick(*args, **settings):
    settings = {"epochs": 5, "random_state": 0, "verbose": False} | settings
    return attar.Autoencoder(*args, **settings)


def structured(n=1500, seed=0):
    """Rows of eight numbers that depend on two, with a little noise."""
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(2, 8))
    rows = generator.normal(size=(n, 2)) @ mixing + 0.1 * generator.normal(size=(n, 8))
    return rows * [1, 10, 100, 1, 1, 1, 0.1, 1] + [5, 0, 0, -3, 0, 0, 0, 1]


def with_missing(x, share=0.2, seed=1):
    return np.where(np.random.default_rng(seed).random(x.shape) < share, np.nan, x)


def mixed_frame(n=600, seed=0):
    """A table whose columns all follow from the size of a flat."""
    generator = np.random.default_rng(seed)
    size = generator.normal(size=n)
    towns = np.array(["Bonn", "Trier", "Ulm"])
    frame = pd.DataFrame(
        {
            "rent": np.exp(2 * size + 0.1 * generator.normal(size=n)),
            "town": towns[np.digitize(size, [-0.5, 0.5])],
            "rooms": np.clip(np.rint(4 + 1.5 * size), 1, 9).astype(int),
            "lift": size > 0,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.rint(100 * size), "D"),
        }
    )
    return frame, frame.mask(generator.random(frame.shape) < 0.15)


# ---------------------------------------------------------------- missing values


@pytest.fixture(scope="module")
def imputed():
    x = structured()
    holed = with_missing(x)
    return quick(code_size=2, epochs=15).fit(holed), x, holed


def test_predictions_for_missing_cells_are_far_better_than_the_mean(imputed):
    ae, x, holed = imputed
    back, missing = ae.reconstruct(holed), np.isnan(holed)
    assert not np.isnan(back).any()
    scale = x.std(0)
    error = (((back - x) / scale)[missing] ** 2).mean()
    by_mean = (((np.nanmean(holed, 0) - x) / scale)[missing] ** 2).mean()
    assert error < 0.15 * by_mean


def test_new_rows_are_completed_too(imputed):
    ae, _, _ = imputed
    x = structured(500, seed=5)
    holed = with_missing(x, seed=6)
    missing, scale = np.isnan(holed), x.std(0)
    error = (((ae.reconstruct(holed) - x) / scale)[missing] ** 2).mean()
    assert error < 0.15


def test_metrics_of_data_with_missing_values_are_of_observed_cells(imputed):
    ae, _, holed = imputed
    metrics = ae.evaluate(holed)
    prepared = ae._fitted.predictor.preparation.prepare(holed).numpy()
    back = ae._fitted.predictor.decode(ae.transform(holed)).numpy()
    known = ~np.isnan(holed)
    assert metrics["error"] == pytest.approx(np.square(prepared - back)[known].mean(), rel=1e-5)
    assert metrics["error"] < metrics["pca_error"]
    assert np.isfinite(ae.score_samples(holed)).all()
    assert np.isfinite(ae.transform(holed)).all()
    assert np.isfinite(ae.history_.loss).all()


def test_a_row_of_which_nothing_is_known_is_given_a_guess_and_the_mean_score(imputed):
    ae, _, _ = imputed
    unknown = np.full((2, 8), np.nan)
    assert np.isfinite(ae.reconstruct(unknown)).all()
    reference = ae.fitted_.training_summary.reference
    mean = reference.cells.sum() + reference.offset[-1] - reference.offset[0]
    assert_allclose(ae.score_samples(unknown), [mean, mean], rtol=1e-12)


def test_missing_values_are_taken_by_a_model_that_was_fitted_without():
    x = structured()
    ae = quick().fit(x)
    assert not ae.model_.missing
    holed = with_missing(x)
    filled = np.where(np.isnan(holed), x.mean(0), holed)
    # What is missing is where the mean is: at 0.
    with pytest.warns(attar.AttarWarning, match=" missing cells, but the model was fitted on comp"):
        codes = ae.transform(holed)
    assert_allclose(codes, ae.transform(filled), rtol=1e-6, atol=1e-9)
    x[0, 0] = np.nan
    with pytest.warns(attar.AttarWarning, match="X has 1 missing cell, but"):
        ae.transform(x)


@pytest.mark.parametrize("name", PLAIN)
def test_every_recipe_learns_from_data_with_missing_values(name):
    holed = with_missing(structured(50))
    settings = {"code_size": 8} if "topk" in name else {}
    ae = quick(name, **settings).fit(holed)
    error, known = ae.reconstruct(holed) - holed, np.isfinite(holed)
    assert (error[known] ** 2).mean() < (np.nanstd(holed, 0) ** 2).mean()


def test_images_with_missing_values_are_completed():
    generator = np.random.default_rng(0)
    tall = np.linspace(0, 1, 8)
    images = (
        generator.random((300, 1, 1)) * tall[:, None] * generator.random((300, 1, 1)) + tall * 0.5
    )
    holed = with_missing(images)
    back = quick(code_size=2, epochs=20).fit(holed).reconstruct(holed)
    missing = np.isnan(holed)
    by_mean = np.nanmean(holed, 0) - images
    assert ((back - images)[missing] ** 2).mean() < 0.3 * (by_mean[missing] ** 2).mean()


def test_ones_own_network_sees_zeros_and_takes_rows_of_the_datas_shape():
    pair = torch.nn.Linear(8, 3), torch.nn.Linear(3, 8)
    holed = with_missing(structured(200))
    ae = quick(network=pair).fit(holed)
    zeros = ae.fitted_.predictor.preparation.prepare(holed).nan_to_num(0)
    weight, bias = (p.detach() for p in ae.model_.encoder.parameters())
    np.testing.assert_allclose(ae.transform(holed), zeros @ weight.T + bias, atol=1e-5)
    assert np.isfinite(ae.reconstruct(holed)).all()


# ---------------------------------------------------------------- mixed types


@pytest.fixture(scope="module")
def flats():
    frame, holed = mixed_frame()
    return quick("ae", code_size=2, epochs=20).fit(holed), frame, holed


def test_a_frame_of_mixed_types_with_missing_values_comes_back_in_its_own_form(flats):
    ae, _, holed = flats
    assert isinstance(ae._fitted.likelihood, Mixed)
    assert ae._fitted.predictor.preparation.scaler.power is not None
    back = ae.reconstruct(holed)
    assert back.dtypes.tolist() == holed.dtypes.tolist()
    assert not back.isna().any().any()
    assert set(back["town"]) <= {"Bonn", "Trier", "Ulm"}


def test_missing_cells_of_any_type_are_predicted_better_than_by_the_mean(flats):
    ae, frame, holed = flats
    back = ae.reconstruct(holed)
    for name in ("town", "lift"):
        missing = holed[name].isna()
        right = (back[name] == frame[name])[missing].mean()
        most = (frame[name] == holed[name].mode()[0])[missing].mean()
        assert right > 0.5 + most / 2
    for name in ("rooms", "since"):
        missing = holed[name].isna()
        truth = frame[name].astype("int64")[missing]
        mean = frame[name].astype("int64")[~missing].mean()
        error = (back[name].astype("int64")[missing] - truth).abs().mean()
        assert error < 0.5 * (truth - mean).abs().mean()


def test_a_loaded_model_of_mixed_types_with_missing_values_gives_bit_for_bit_equal_outputs(
    flats, tmp_path
):
    ae, _, holed = flats
    ae.save(tmp_path / "m.attar")
    back = attar.load(tmp_path / "m.attar")
    codes = ae.transform(holed)
    assert_array_equal(back.transform(holed), codes)
    assert_array_equal(back.score_samples(holed), ae.score_samples(holed))
    assert_frame_equal(back.reconstruct(holed), ae.reconstruct(holed), check_exact=True)
    assert_frame_equal(back.inverse_transform(codes), ae.inverse_transform(codes), check_exact=True)
    assert_frame_equal(
        back.sample(5, random_state=0), ae.sample(5, random_state=0), check_exact=True
    )
    assert back.evaluate(holed) == ae.evaluate(holed)
    assert back.model_.missing
    bends = [model._fitted.predictor.preparation.scaler.power for model in (ae, back)]
    assert torch.equal(*bends)
    back.save(tmp_path / "again.attar")
    assert (tmp_path / "again.attar").read_bytes() == (tmp_path / "m.attar").read_bytes()


def test_text_is_used_and_names_come_back_as_they_are():
    frame = pd.DataFrame({"n": [1.0, 2.0, 4.0] * 99, "town": ["Bonn", "Ulm", "Ulm"] * 99})
    frame["who"] = [f"person {i} of many" for i in range(297)]
    with pytest.warns(attar.AttarWarning, match="'who' is not used"):
        ae = quick().fit(frame)
    assert ae.n_features_in_ == 3
    back = ae.reconstruct(frame)
    assert_array_equal(back["who"], frame["who"])
    assert list(back.columns) == list(frame.columns)
    chosen = {choice.value: choice.reason for choice in ae.choices_ if choice.setting == "data"}
    assert set(chosen) == {"who"}


# ---------------------------------------------------------------- streams


def test_a_stream_is_modelled_about_as_well_as_rows_in_memory():
    rows, new = structured(2000), structured(500, seed=7)
    settings = {"code_size": 2, "epochs": 6, "batch_size": 64}
    held = quick(**settings).fit(rows)
    streamed = quick(**settings).fit(Pieces(*np.split(rows, [500, 501, 1700])))
    error, other = (ae.evaluate(new)["error"] for ae in (held, streamed))
    assert other < 1.1 * error
    pca_error, other = (ae.evaluate(new)["pca_error"] for ae in (held, streamed))
    assert other == pytest.approx(pca_error, rel=0.05)
    assert streamed._fitted.training_summary.measured.held_out
    # What was chosen does not depend on how the rows come.
    assert streamed.choices_ == held.choices_
    first, second = (ae._fitted.predictor.preparation.scaler.scale for ae in (held, streamed))
    torch.testing.assert_close(first, second, rtol=1e-9, atol=0)


def test_a_stream_is_worked_on_as_one_array():
    rows = with_missing(structured(400))
    ae = quick().fit(rows)
    stream = Pieces(*np.split(rows, [10, 399]))
    assert_allclose(ae.transform(stream), ae.transform(rows), rtol=1e-9)
    assert_allclose(ae.reconstruct(stream), ae.reconstruct(rows), rtol=1e-9)
    assert_allclose(ae.score_samples(stream), ae.score_samples(rows), rtol=1e-9)
    assert ae.evaluate(stream) == pytest.approx(ae.evaluate(rows), rel=1e-6)


def test_a_stream_with_missing_values_beyond_the_sample_is_fitted():
    rows = structured(30_000)
    # Whether the one gap of each column is among the sampled rows or not.
    rows[np.arange(8) * 3001 + 17, range(8)] = np.nan
    ae = quick(epochs=1, batch_size=1024).fit(Pieces(*np.split(rows, 6)))
    assert ae.model_.missing
    assert np.isfinite(ae.history_.loss.iloc[0])


def test_frames_of_mixed_types_are_streamed():
    _, holed = mixed_frame()
    settings = {"code_size": 2, "epochs": 8, "batch_size": 32}
    held = quick(**settings).fit(holed)
    streamed = quick(**settings).fit(Pieces(holed[:100], holed[100:450], holed[450:]))
    assert streamed._fitted.kind == held._fitted.kind
    assert streamed.evaluate(holed)["error"] < 1.15 * held.evaluate(holed)["error"]
    back = streamed.reconstruct(Pieces(holed[:100], holed[100:]))
    assert_frame_equal(back, streamed.reconstruct(holed), rtol=1e-6)


def test_equal_seeds_give_equal_weights_for_streams_too():
    stream = Pieces(*np.split(structured(300), 3))
    first, second = (quick("vae").fit(stream) for _ in range(2))
    for name, weights in first.model_.state_dict().items():
        assert torch.equal(weights, second.model_.state_dict()[name])


def test_a_stream_whose_training_breaks_off_goes_on(tmp_path):
    class Break(attar.training.Callback):
        def on_epoch(self, progress):
            if len(progress.history) == 2:
                raise KeyboardInterrupt

    stream, path = Pieces(*np.split(structured(300), 3)), tmp_path / "c"
    whole = quick(epochs=4).fit(stream)
    with pytest.raises(KeyboardInterrupt):
        quick(epochs=4, callbacks=[Break()]).fit(stream, checkpoint=path)
    resumed = quick(epochs=4).fit(stream, checkpoint=path)
    for name, weights in whole.model_.state_dict().items():
        assert torch.equal(weights, resumed.model_.state_dict()[name])


# ---------------------------------------------------------------- infinite values


def test_infinite_values_are_refused_or_count_as_missing():
    x = structured(200)
    wild, holed = x.copy(), x.copy()
    wild[3, 1], wild[7, 2] = np.inf, -np.inf
    holed[3, 1] = holed[7, 2] = np.nan
    with pytest.raises(attar.DataError, match="set infinite_as_missing=True"):
        quick().fit(wild)
    with pytest.warns(attar.AttarWarning, match="2 infinite values count as missing"):
        taken = quick(infinite_as_missing=True).fit(wild)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = quick(infinite_as_missing=True).fit(holed)
    assert_array_equal(plain.transform(holed), quick().fit(holed).transform(holed))
    with pytest.warns(attar.AttarWarning, match="2 infinite values"):
        codes = taken.transform(wild)
    assert_array_equal(codes, plain.transform(holed))


def test_infinite_values_of_a_stream_count_as_missing():
    x = structured(200)
    x[3, 1] = x[150, 2] = np.inf
    with pytest.warns(attar.AttarWarning, match="2 infinite values"):
        ae = quick(infinite_as_missing=True).fit(Pieces(x[:100], x[100:]))
    assert ae.model_.missing
    assert np.isfinite(ae.history_.loss.iloc[-1])


def test_rows_of_different_shapes_are_refused_all_the_same():
    with pytest.raises(attar.DataError, match="different shapes"):
        quick(infinite_as_missing=True).fit([np.zeros((2, 2)), np.zeros((3, 2))])


# ---------------------------------------------------------------- scaling


def test_skewed_columns_are_transformed_and_come_back():
    generator = np.random.default_rng(0)
    size = generator.normal(size=600)
    x = np.column_stack([np.exp(1.5 * size), size, -size + 0.1 * generator.normal(size=600)])
    ae = quick(code_size=1, epochs=20).fit(x)
    chosen = {choice.setting: choice.value for choice in ae.choices_}
    assert chosen["scaling"] == Symmetric.name
    assert np.median(np.abs(ae.reconstruct(x)[:, 0] / x[:, 0] - 1)) < 0.2
