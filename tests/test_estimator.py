"""The estimator keeps scikit-learn's contract, and returns data in its own form."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

import attar
from attar import recipes
from attar.codes import Gaussian
from attar.data.preparation import DensePreparation
from attar.data.source import read
from attar.errors import DataError, SettingError
from attar.latent_space import LatentSpace
from attar.networks import Mlp
from attar.recommendation import Recommender
from attar.records import Epoch
from attar.training import Callback, Optimizer


@pytest.fixture(scope="module")
def digits():
    return load_digits().images[:500].astype(np.uint8)


def quick(*args, **settings):
    settings = {"epochs": 2, "random_state": 0, "verbose": False} | settings
    return attar.Autoencoder(*args, **settings)


# The contract does not depend on how long imputers and forecasters learn, how often the former look
# up, or on how many trees a classifier has.
CHECKS = """
from sklearn.utils.estimator_checks import check_estimator
import attar
from attar.tasks.future import correction
from attar.tasks.gaps import completion, lookup
from attar.tasks.labels import members
correction.FEWEST = correction.MOST = 1
members.PENALTIES, members.TREES = (1.0,), 2
lookup.STEPS, completion.KEYS = 2, completion.KEYS[-1:]
for estimator in {estimators}:
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert all(result["status"] == "passed" for result in results), results
    print(len(results), "passed")
"""
CHECKED = (
    'attar.Autoencoder(epochs=1), attar.Autoencoder("vae", epochs=1), attar.AnomalyDetector()',
    "attar.Imputer(), attar.Forecaster(), attar.Clusterer(epochs=1)",
    "attar.Classifier(epochs=1), attar.Regressor(epochs=1)",
)


@pytest.mark.parametrize("estimators", CHECKED)
def test_every_check_of_scikit_learn_passes_with_none_skipped(estimators):
    # The array API's check is only done where SciPy was told so before it was imported.
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CHECKS.format(estimators=f"({estimators})")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts = [int(line.split()[0]) for line in done.stdout.splitlines()]
    assert len(counts) == estimators.count("attar.")
    assert min(counts) >= 40


def own_networks(latent=4, *last):
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, latent))
    return encoder, torch.nn.Sequential(torch.nn.Linear(latent, 64), *last)


class TwoHeads(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.mean, self.log_variance = torch.nn.Linear(64, 4), torch.nn.Linear(64, 4)

    def forward(self, x):
        return self.mean(x), self.log_variance(x)


def test_an_encoder_of_mean_and_log_variance_is_for_gaussian_codes(digits):
    networks = (TwoHeads().double(), own_networks()[1].double())
    ae = quick("vae", network=networks, epochs=2).fit(digits)
    assert ae.code_size_ == 4
    mean = ae.model_.encoder[1].mean
    prepared = torch.from_numpy(ae.fitted_.predictor.preparation.prepare(digits).numpy())
    expected = mean(prepared.flatten(1)).detach().numpy()
    assert_allclose(ae.transform(digits), expected, atol=1e-5)
    for settings in ({}, {"code_size": 8}):
        with pytest.raises(SettingError, match="made from one tensor of features: return that, or"):
            quick("ae", network=networks, **settings).fit(digits)


def test_networks_without_weights_to_train_are_refused(digits):
    frozen = own_networks()
    for module in frozen:
        module.requires_grad_(False)
    for networks in (frozen, (torch.nn.Flatten(), torch.nn.Identity())):
        with pytest.raises(SettingError, match="no weight to train"):
            quick(network=networks).fit(digits)
    half = own_networks()
    half[0].requires_grad_(False)
    ae = quick(network=half, epochs=2).fit(digits)
    assert torch.equal(ae.model_.encoder[1].weight, half[0][1].weight)
    assert not torch.equal(ae.model_.decoder[0][0].weight, half[1][0].weight)


def test_a_sigmoid_before_a_likelihood_of_logits_is_warned_of(digits):
    networks = own_networks(4, torch.nn.Sequential(torch.nn.Sigmoid()))
    with pytest.warns(attar.AttarWarning, match="use likelihood='bernoulli-probability', or"):
        quick(network=networks, likelihood="bernoulli", epochs=1).fit(digits)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(network=networks, likelihood="bernoulli-probability", epochs=1).fit(digits)
        quick(network=own_networks(), likelihood="bernoulli", epochs=1).fit(digits)


def test_the_main_job_beats_pca_by_nearly_half():
    ae = attar.Autoencoder(random_state=0, verbose=False).fit("digits")
    X = load_digits().data / 16
    train, test = train_test_split(X, test_size=0.2, random_state=0)
    pca = PCA(16).fit(train)
    pca_error = np.mean((pca.inverse_transform(pca.transform(test)) - test) ** 2)
    images = (test * 16).reshape(-1, 8, 8).astype(np.uint8)
    prepared = ae._fitted.predictor.preparation.prepare(images).numpy().reshape(len(test), -1)
    assert_allclose(prepared, test, atol=1e-7)
    metrics = ae.evaluate(images)
    assert ae.code_size_ == 16
    # attar's PCA saw the rows that attar learnt from, nine tenths of these.
    assert metrics["pca_error"] == pytest.approx(pca_error, rel=0.002)
    assert metrics["error"] <= 0.55 * pca_error


def test_equal_seeds_give_equal_weights_whatever_the_global_state(digits):
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    first = quick("vae", epochs=2).fit(digits)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = quick("vae", epochs=2).fit(digits)
    assert_array_equal(torch.get_rng_state(), state)
    for name, weights in first.model_.state_dict().items():
        assert torch.equal(weights, second.model_.state_dict()[name])
    assert_array_equal(first.transform(digits), second.transform(digits))
    other = quick("vae", epochs=2, random_state=1).fit(digits)
    assert not np.array_equal(first.transform(digits), other.transform(digits))


def test_a_frame_comes_back_with_its_columns_and_dtypes():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "count": rng.integers(0, 50, 200),
            "share": rng.random(200),
            "small": rng.random(200).astype(np.float32),
            "flag": rng.random(200) > 0.5,
        }
    )
    ae = quick(code_size=4, network="linear", epochs=100, validation_fraction=0).fit(frame)
    back = ae.reconstruct(frame)
    assert list(back.columns) == list(frame.columns)
    assert list(back.dtypes) == list(frame.dtypes)
    # Four numbers are all that four columns need: a linear model learns the identity.
    assert_allclose(back["count"], frame["count"], atol=1)
    assert (back["flag"] == frame["flag"]).mean() > 0.99
    assert list(ae.feature_names_in_) == list(frame.columns)


def test_a_frame_with_numbered_columns_comes_back_with_them():
    frame = pd.DataFrame(load_iris().data)
    ae = quick().fit(frame)
    assert list(ae.reconstruct(frame).columns) == [0, 1, 2, 3]
    assert not hasattr(ae, "feature_names_in_")


def test_columns_are_found_by_name_in_any_order():
    frame = load_iris(as_frame=True).data
    ae = quick().fit(frame)
    assert_array_equal(ae.transform(frame), ae.transform(frame[frame.columns[::-1]]))
    with pytest.raises(attar.DataError, match="lacks the column 'sepal width"):
        ae.transform(frame.drop(columns="sepal width (cm)"))
    with pytest.raises(attar.DataError, match="has a column 'extra'"):
        ae.transform(frame.assign(extra=1.0))


def test_bytes_and_floats_of_the_same_images_learn_the_same(digits):
    as_bytes = quick().fit(digits)
    as_floats = quick().fit(digits.astype(np.float32))
    assert_allclose(
        as_bytes.transform(digits), as_floats.transform(digits.astype(np.float32)), atol=1e-4
    )
    assert as_bytes.reconstruct(digits).dtype == np.uint8
    assert as_floats.reconstruct(digits.astype(np.float32)).dtype == np.float32


def test_what_a_row_gets_does_not_depend_on_its_neighbours():
    X = load_iris().data
    ae = quick("vae").fit(X)
    assert_allclose(ae.transform(X)[7:8], ae.transform(X[7:8]), rtol=1e-12)
    assert_allclose(ae.score_samples(X)[7:8], ae.score_samples(X[7:8]), rtol=1e-12)


def test_scores_are_the_written_out_log_density_of_a_point_code():
    X = load_iris().data
    ae = quick(scaling="none", likelihood="gaussian").fit(X)
    squares = ((X - ae.reconstruct(X)) ** 2).sum(1)
    assert_allclose(ae.score_samples(X), -0.5 * (squares + 4 * np.log(2 * np.pi)), rtol=1e-9)
    assert ae.score(X) == pytest.approx(ae.score_samples(X).mean())


def test_the_score_of_a_linear_vae_is_probabilistic_pcas_likelihood():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 3)) @ rng.normal(size=(3, 8)) + 0.5 * rng.normal(size=(2000, 8))
    ae = attar.Autoencoder(
        "vae",
        3,
        network="linear",
        likelihood="learned-gaussian",
        scaling="none",
        epochs=120,
        batch_size=100,
        learning_rate=0.01,
        validation_fraction=0,
        random_state=0,
        verbose=False,
    ).fit(X)
    assert ae.score(X) == pytest.approx(PCA(3).fit(X).score(X), rel=0.005)


def test_it_works_in_a_pipeline_and_a_grid_search_with_nested_parameters():
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(quick("beta-vae", epochs=8), KNeighborsClassifier())
    search = GridSearchCV(pipeline, {"autoencoder__recipe__code__beta": [0.1, 200.0]}, cv=3)
    search.fit(X, y)
    # A code that costs this much says nothing about the row.
    assert search.best_params_["autoencoder__recipe__code__beta"] == 0.1
    chosen = search.best_estimator_.named_steps["autoencoder"]
    assert chosen.recipe == recipes.recipe("beta-vae").replace(code__beta=0.1)


def test_nested_parameters_reach_the_parts_of_a_recipe_by_name():
    ae = attar.Autoencoder("vae", network=Mlp((8,)), optimizer="adam")
    params = ae.get_params()
    assert params["recipe__code__beta"] == 1.0
    assert params["network__widths"] == (8,)
    ae.set_params(recipe__code__beta=3.0, network__widths=(4, 2), optimizer__clip=1.0)
    assert ae.recipe.code == Gaussian(beta=3.0)
    assert ae.network == Mlp((4, 2))
    assert ae.optimizer == Optimizer("adam", clip=1.0)
    with pytest.raises(attar.SettingError, match="did you mean 'beta'"):
        ae.set_params(recipe__code__bata=3.0)
    with pytest.raises(attar.SettingError, match="did you mean 'code_size'"):
        ae.set_params(code_sise=3)
    with pytest.raises(attar.SettingError, match="name the scaling first"):
        ae.set_params(scaling__x=3)


def test_clone_keeps_settings_and_copies_no_weights(digits):
    ae = quick("vae", network=Mlp((16,))).fit(digits)
    copy = clone(ae)
    assert copy.get_params() == ae.get_params()
    assert not hasattr(copy, "model_")


def test_a_pickle_gives_equal_outputs(digits):
    ae = quick("sparse-topk").fit(digits)
    back = pickle.loads(pickle.dumps(ae))
    assert_array_equal(back.transform(digits), ae.transform(digits))
    assert_array_equal(back.sample(3, random_state=0), ae.sample(3, random_state=0))


def test_set_output_names_the_codes():
    frame = load_iris(as_frame=True).data
    codes = quick(code_size=2).set_output(transform="pandas").fit_transform(frame)
    assert list(codes.columns) == ["autoencoder0", "autoencoder1"]
    assert_array_equal(codes.index, frame.index)


@pytest.mark.parametrize("name", ["ae", "denoising", "sparse-topk", "ordered", "vae", "svae"])
def test_samples_have_the_form_and_range_of_the_data(name, digits):
    ae = quick(name, epochs=5).fit(digits)
    new = ae.sample(50, random_state=0)
    assert new.shape == (50, 8, 8)
    assert new.dtype == np.uint8
    # A model after five epochs makes blurred digits, but in the range of digits.
    assert np.abs(new.mean(0) - digits.mean(0)).mean() < 4
    assert_array_equal(new, ae.sample(50, random_state=0))
    assert not np.array_equal(new, ae.sample(50, random_state=1))


def test_a_linear_code_is_as_good_as_pca_and_so_says_the_diagnosis(digits):
    ae = quick(code_size=8, network="linear", epochs=60).fit(digits)
    assert ae.evaluate(digits)["error_to_pca"] == pytest.approx(1, abs=0.02)


def test_the_diagnosis_names_what_was_done_wrong():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 6)) * [1, 1, 1, 1, 1000, 0]
    names = [
        finding.name for finding in quick(code_size=3, scaling="none", epochs=2).fit(X).diagnose()
    ]
    assert {"constant-columns", "unscaled"} <= set(names)
    X = rng.normal(size=(60, 30))
    memorizing = quick(code_size=20, network=Mlp((256,)), epochs=300, early_stopping=False).fit(X)
    assert "generalization-gap" in [finding.name for finding in memorizing.diagnose()]
    dead = quick("beta-vae", 8, epochs=30).set_params(recipe__code__beta=50.0).fit(X)
    assert "inactive-dimensions" in [finding.name for finding in dead.diagnose()]


def test_callbacks_look_on_and_may_stop(digits):
    class Stop(Callback):
        def __init__(self):
            self.steps = 0

        def on_step(self, progress):
            self.steps += 1

        def on_epoch(self, progress):
            progress.stop = len(progress.history) == 2

    stop = Stop()
    ae = quick(epochs=50, batch_size=100, callbacks=(stop,), validation_fraction=0).fit(digits)
    assert len(ae.history_) == 2
    assert stop.steps == 2 * -(-len(digits) // 100)


def test_the_history_holds_falling_losses_and_the_kept_weights_are_the_best(digits):
    ae = quick(epochs=10).fit(digits)
    losses = ae.history_.validation_loss
    assert losses.min() < losses[0]
    diagnostics = ae._fitted.training_summary.diagnostics
    assert losses.idxmin() == diagnostics.best_epoch - 1


def test_the_history_is_a_frame_of_the_records_of_epochs(digits):
    ae = quick(epochs=3).fit(digits)
    records = [Epoch(**row) for row in ae.history_.to_dict("records")]
    assert records == ae.fitted_.history
    assert list(ae.history_.epoch) == [1, 2, 3]
    unheld = quick(epochs=1, validation_fraction=0).fit(digits).history_
    assert unheld.validation_loss.isna().all()
    assert unheld.dtypes.drop("epoch").eq(float).all()


def test_choices_are_reported_with_their_reasons(digits):
    ae = quick().fit(digits)
    chosen = {choice.setting: choice for choice in ae.choices_}
    assert chosen["scaling"].value == "min-max"
    assert chosen["likelihood"].value == "gaussian"
    assert "epochs" not in chosen
    assert all(choice.reason for choice in ae.choices_)


BAD_DATA = {
    "empty": (np.zeros((0, 3)), "0 sample"),
    "one row": (np.zeros((1, 3)), "1 sample"),
    "no columns": (np.zeros((3, 0)), "0 feature"),
    "infinity": (np.array([[1.0, np.inf], [0.0, 1.0]]), "Column 1 of X has 1 infinite"),
    "all missing": (np.full((5, 2), np.nan), "All values are missing"),
    "all constant": (pd.DataFrame({"n": [1, 1], "name": ["Bo", "Bo"]}), "it is constant"),
    "one row is left": (pd.DataFrame({"age": [1.0, 4.0]})[:1], "1 sample|it is constant"),
    "text array": (np.array([["a"], ["b"]]), "where numbers belong"),
    "ragged images": ([np.zeros((2, 2)), np.zeros((3, 2))], r"\(2, 2\), \(3, 2\)"),
    "ragged rows": ([[1.0, 2.0], [3.0]], "different shapes"),
    "one dimension": (np.zeros(5), "Reshape your data"),
    "six dimensions": (np.zeros((2,) * 6), "6 dimensions"),
    "complex": (np.zeros((3, 2), complex), "Complex data"),
    "two names": (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), "named 'a'"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_refused_in_one_sentence(case):
    data, words = BAD_DATA[case]
    with pytest.raises(attar.DataError, match=words) as caught:
        quick().fit(data)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


BAD_SETTINGS = {
    "recipe": ({"recipe": "vea"}, "did you mean 'vae'"),
    "likelihood": ({"likelihood": "gausian"}, "did you mean 'gaussian'"),
    "network": ({"network": "mpl"}, "did you mean 'mlp'"),
    "no part": ({"optimizer": 3}, "The optimizer must be a name .*, not 3"),
    "code size": ({"code_size": 0}, "code_size must be 'auto' or an integer above 0"),
    "epochs": ({"epochs": 2.5}, "epochs must be"),
    "rate": ({"learning_rate": -1}, "learning_rate must be"),
    "fraction": ({"validation_fraction": 1.0}, "validation_fraction must be"),
    "minutes": ({"max_minutes": 0}, "max_minutes must be"),
    "precision": ({"precision": "float3"}, "did you mean 'float32'"),
    "device": ({"device": "tpu9"}, "no device 'tpu9'"),
    "conv on a table": ({"network": "conv"}, "'conv' needs images"),
    "range": ({"likelihood": "bernoulli", "scaling": "standard"}, "needs values from 0 to 1"),
    "dropout": (
        {"network": Mlp((8,), dropout=2.0)},
        "cannot be built with these settings: dropout",
    ),
    "momentum": (
        {"optimizer": Optimizer("sgd", {"momentum": -1.0})},
        "cannot be built with these settings",
    ),
    "topk": ({"recipe": "sparse-topk", "code_size": 3}, "cannot keep k=8"),
    "random contractive": (
        {"recipe": attar.Recipe(Gaussian(), penalties=recipes.recipe("contractive").penalties)},
        "'contractive' needs a deterministic code, but the code 'gaussian'",
    ),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings_are_refused_in_one_sentence(case):
    settings, words = BAD_SETTINGS[case]
    with pytest.raises(attar.SettingError, match=words) as caught:
        quick(**settings).fit(load_iris().data)
    assert "\n" not in str(caught.value)


def test_wrong_data_at_transform_is_refused(digits):
    images = quick().fit(digits)
    with pytest.raises(attar.DataError, match=r"shape \(4, 8\).*\(8, 8\)"):
        images.transform(digits[:, :4])
    with pytest.raises(attar.DataError, match="fitted on images, but X is a table"):
        images.transform(np.zeros((2, 64)))
    table = quick().fit(load_iris().data)
    with pytest.raises(attar.DataError, match="X has 3 features, but attar is expecting 4"):
        table.transform(np.zeros((2, 3)))
    with pytest.raises(attar.DataError, match=r"Codes are numbers of shape \(n, "):
        table.inverse_transform(np.zeros((2, 99)))
    with pytest.raises(attar.SettingError, match="number of samples"):
        table.sample(0)


def test_each_column_that_is_not_used_is_warned_of():
    rows = np.random.default_rng(0).normal(size=(120, 2))
    frame = pd.DataFrame(rows, columns=["a", "b"])
    frame["mixed"] = [*rows[1:, 0], "?"]
    frame["unit"], frame["key"], frame["none"] = "m", np.arange(120), np.nan
    frame["price"] = [f"{x:,.3f}" for x in 1000 * rows[:, 1]]
    frame["hash"] = np.arange(120) ** 3 * 2**48
    with pytest.warns(attar.AttarWarning) as caught:
        attar.Autoencoder(epochs=1, random_state=0).fit(frame)
    assert [str(warning.message) for warning in caught] == [
        "Column 'mixed' is not used, as it holds values of mixed or unknown types: make it "
        "numbers, dates or text.",
        "Column 'unit' is not used, as it is constant: drop it.",
        "Column 'key' is not used, as it is a row number: drop it, or make it floating point if it "
        "is a quantity.",
        "Column 'none' is not used, as all of its values are missing: drop it.",
        "Column 'price' is not used, as its text stands for numbers: convert it, or give "
        "columns={'price': 'number'}.",
        "Column 'hash' is not used, as its integers are too large for exact arithmetic: drop it, "
        "or make it text if it has few different values.",
    ]
    assert all(warning.filename == __file__ for warning in caught)


def test_a_column_of_a_condition_and_a_channel_that_are_not_used_are_warned_of():
    rows = np.random.default_rng(0).normal(size=(40, 2))
    labels = pd.DataFrame({"label": ["x", "y"] * 20, "unit": "m"})
    with pytest.warns(
        attar.AttarWarning, match="Column 'unit' is not used, as it is constant: drop it"
    ):
        attar.Autoencoder("conditional", epochs=1).fit(rows, condition=labels)
    series = attar.Series(pd.DataFrame(rows, columns=["a", "b"]).assign(c=np.nan), window=5)
    with pytest.warns(
        attar.AttarWarning, match="Column 'c' is not used, as all of its values are mis"
    ):
        attar.Autoencoder(epochs=1).fit(series)


def test_identifiers_of_small_tables_are_not_used():
    rows = np.random.default_rng(0).normal(size=(20, 2))
    frame = pd.DataFrame(rows, columns=["a", "b"])
    frame["id"], frame["name"] = range(20), [f"patient {i:03d}" for i in range(20)]
    with pytest.warns(attar.AttarWarning):
        ae = attar.Autoencoder(epochs=1, random_state=0).fit(frame)
    assert ae.fitted_.kind.shape == (2,)
    assert [name for name, _ in ae.fitted_.kind.remarks] == ["id", "name"]


@pytest.mark.parametrize("recipe", ["ae", "vae"])
def test_missing_cells_of_a_constant_column_are_learned_from_and_filled(recipe, tmp_path):
    a = np.random.default_rng(0).normal(size=200)
    frame = pd.DataFrame({"a": a, "member": np.where(a > 0, "yes", None)})
    frame["n"] = np.where(a > 0, 1.25, np.nan)
    ae = attar.Autoencoder(recipe, epochs=3, random_state=0).fit(frame)
    filled = ae.reconstruct(frame)
    assert set(filled["member"]) == {"yes"}
    assert set(filled["n"]) == {1.25}
    assert not np.array_equal(ae.transform(frame), ae.transform(frame.assign(n=1.25)))
    assert np.isfinite(ae.score_samples(frame)).all()
    ae.save(tmp_path / "m.attar")
    assert attar.load(tmp_path / "m.attar").reconstruct(frame).equals(filled)
    with pytest.warns(attar.AttarWarning, match=r"did not see .* 1 in the column 'n'"):
        ae.transform(frame.assign(n=[2.5] + [np.nan] * 199))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (["01234", "90210", "10001"], ["90210", "01234"]),
        (["A1", "B9", "23", "7"], ["23", "7"]),
        (["open", "2024-01-03", "2024-02-04"], ["2024-01-03", "2024-02-04"]),
        (["True", "False", "unknown"], ["True", "False"]),
        (["True", "False"], ["True", "False"]),
        (["2024-01-03", "2024-02-04", "2025-01-01"], ["2024-02-04", "2024-01-03"]),
        (["1", "2", "3"], ["3", "1"]),
        (["2024-01-03", "2024-06-30", "2025-02-04"], ["2024-02-01", "2025-01-09"]),
        (["2024-01-03 10:00:05", "2024-06-30 07:01:00"], ["2024-03-03 09:30:07"]),
        (["03.01.2024", "30.06.2024"], ["01.02.2024", "28.02.2024"]),
    ],
    ids=str,
)
def test_files_and_frames_are_read_with_the_types_of_the_fit(train, test, tmp_path):
    rng = np.random.default_rng(0)
    both = []
    for name, values in (("train.csv", train), ("test.csv", test)):
        frame = pd.DataFrame({"a": rng.normal(size=60), "c": np.resize(values, 60)})
        frame.to_csv(tmp_path / name, index=False)
        both.append((tmp_path / name, pd.read_csv(tmp_path / name), frame))
    for fitted in both[0]:
        ae = attar.Autoencoder(epochs=1, random_state=0).fit(fitted)
        codes = [ae.transform(given) for given in both[1]]
        for other in codes[1:]:
            assert_allclose(other, codes[0], rtol=1e-5, atol=1e-6)
        assert len(np.unique(codes[0].round(5))) > 30


def test_the_kinds_of_columns_are_settings_and_saved_with_the_model(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "part": rng.choice([1234, 90210, 10001], 60),
            "id": [f"p{i}" for i in range(60)],
            "day": [f"2024-01-{1 + i % 28:02}" for i in range(60)],
            "n": rng.normal(size=60),
        }
    )
    kinds = {"part": "categorical", "id": "id", "day": "ignore"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", attar.AttarWarning)
        ae = quick(columns=kinds).fit(frame)
    assert ae.fitted_.kind.feature_names() == ["part=10001", "part=1234", "part=90210", "n"]
    back = ae.reconstruct(frame)
    assert set(back["part"]) <= {1234, 90210, 10001}
    pd.testing.assert_frame_equal(back[["id", "day"]], frame[["id", "day"]])
    pd.testing.assert_frame_equal(ae.fitted_.kind.index(frame), frame[["id"]])
    ae.save(tmp_path / "a.attar")
    loaded = attar.load(tmp_path / "a.attar")
    assert loaded.columns == clone(ae).columns == kinds
    np.testing.assert_array_equal(loaded.transform(frame), ae.transform(frame))


def test_a_column_of_an_array_without_a_value_comes_back_missing(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 4))
    X[:, 2] = np.nan
    with pytest.warns(attar.AttarWarning, match="'x2' is not used, as all of its values are miss"):
        ae = quick("ae", code_size=2).fit(X)
    assert ae.n_features_in_ == 4
    same = quick("ae", code_size=2).fit(np.delete(X, 2, 1))
    ae.save(tmp_path / "a.attar")
    for model in (ae, attar.load(tmp_path / "a.attar")):
        for made in (model.reconstruct(X), model.sample(5, random_state=0)):
            assert np.isnan(made[:, 2]).all()
            assert not np.isnan(np.delete(made, 2, 1)).any()
    assert_allclose(np.delete(ae.reconstruct(X), 2, 1), same.reconstruct(np.delete(X, 2, 1)))


def test_the_kinds_of_columns_are_for_tables_with_names():
    for data, words in ((np.ones((9, 4, 4)), "columns is for tables, and the data are images"),):
        with pytest.raises(attar.SettingError, match=words):
            quick(columns={"a": "number"}).fit(data)


def test_a_code_larger_than_the_data_is_warned_of():
    with pytest.warns(attar.AttarWarning, match="larger than the data's 4"):
        quick(code_size=10).fit(load_iris().data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick("sparse-l1", code_size=10).fit(load_iris().data)


def test_constant_columns_and_constant_data_are_learnt_without_a_word_of_nan():
    X = np.ones((50, 3))
    ae = quick().fit(X)
    assert_allclose(ae.reconstruct(X), X, atol=0.1)
    assert np.isfinite(ae.score_samples(X)).all()


X = load_digits().data.astype(np.float32)


@pytest.fixture(scope="module")
def linear():
    """A linear autoencoder, whose codes are linear in the rows."""
    ae = attar.Autoencoder("ae", 4, network="linear", scaling="none", epochs=3, random_state=0)
    return ae.set_params(likelihood="gaussian", verbose=False).fit(X[:600])


@pytest.fixture(scope="module")
def vae():
    return attar.Autoencoder("vae", 4, epochs=2, random_state=0, verbose=False).fit(X[:600])


def test_interpolation_starts_and_ends_at_the_two_rows(linear):
    a, b = X[600:603], X[700:703]
    paths = linear.interpolate(a, b, 5)
    assert paths.shape == (15, 64)
    paths = paths.reshape(3, 5, 64)
    np.testing.assert_allclose(paths[:, 0], linear.reconstruct(a), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(paths[:, -1], linear.reconstruct(b), rtol=1e-4, atol=1e-3)
    middle = linear.inverse_transform((linear.transform(a) + linear.transform(b)) / 2)
    np.testing.assert_allclose(paths[:, 2], middle, rtol=1e-4, atol=1e-3)


def test_paths_need_as_many_ends_as_starts(linear):
    with pytest.raises(DataError, match="equally many rows, not 3 and 2"):
        linear.interpolate(X[:3], X[:2])
    with pytest.raises(SettingError, match="number of steps must be an integer above 0"):
        linear.interpolate(X[:2], X[:2], 0)


def test_neighbours_are_those_of_brute_force(linear, tmp_path):
    distances, numbers = linear.neighbours(X[600:620], 3)
    known = linear._fitted.training_summary.numbers
    codes, others = linear.transform(X[known]), linear.transform(X[600:620])
    brute = np.linalg.norm(others[:, None] - codes, axis=2)
    np.testing.assert_array_equal(numbers, known[brute.argsort(1)[:, :3]])
    np.testing.assert_allclose(distances, np.sort(brute, 1)[:, :3], rtol=1e-3, atol=1e-3)
    linear.save(tmp_path / "m.attar")
    again = attar.load(tmp_path / "m.attar").neighbours(X[600:620], 3)
    np.testing.assert_array_equal(again[1], numbers)


def test_a_training_row_is_its_own_nearest_neighbour(linear):
    some = linear._fitted.training_summary.numbers[:30]
    distances, numbers = linear.neighbours(X[some], 1)
    np.testing.assert_array_equal(numbers[:, 0], some)
    np.testing.assert_allclose(distances, 0, atol=1e-4)


def test_there_are_no_more_neighbours_than_known_rows(linear):
    known = linear._fitted.training_summary
    distances, numbers = linear.neighbours(X[:2], 10_000)
    for found, row in zip(numbers, distances, strict=True):
        assert sorted(found) == sorted(known.numbers)
        assert (np.diff(row) >= 0).all()


def test_the_prior_and_a_mixture_draw_different_rows(vae):
    drawn = {
        sampler: vae.sample(200, sampler=sampler, random_state=0)
        for sampler in ("auto", "prior", "mixture")
    }
    np.testing.assert_array_equal(drawn["auto"], drawn["prior"])
    assert not np.array_equal(drawn["prior"], drawn["mixture"])


def test_what_is_fitted_to_codes_is_fitted_once(vae):
    vae.sample(1, sampler="mixture")
    known = dict(vae._fitted.samplers)
    vae.sample(5, sampler="mixture")
    assert vae._fitted.samplers == known


@pytest.mark.parametrize("sampler", ["mixture", "auto"])
def test_equal_seeds_give_equal_rows(vae, sampler):
    first, second = (vae.sample(5, sampler=sampler, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(vae.sample(5, sampler=sampler, random_state=4), first)


def test_misfits_are_refused_in_a_sentence(linear):
    with pytest.raises(SettingError, match="'prior' needs a code with a prior"):
        linear.sample(2, sampler="prior")
    with pytest.raises(SettingError, match="no sampler named 'mixtrue': did you mean 'mixture'"):
        linear.sample(2, sampler="mixtrue")
    with pytest.raises(SettingError, match="'point' has no clusters"):
        linear.clusters(X[:5])
    for n in (0, -3, 2.5):
        with pytest.raises(SettingError, match="number of samples must be an integer"):
            linear.sample(n)
    with pytest.raises(
        SettingError, match="samples may not fit into memory: draw at most 4,194,304 at"
    ):
        linear.sample(10**11)
    with pytest.raises(
        SettingError, match=r"'autoregressive' needs a discrete code.*'point'.*'vq'"
    ):
        linear.sample(2, sampler="autoregressive")
    with pytest.raises(SettingError, match=r"'manifold' needs .* metric.*'point'.*'riemannian'"):
        linear.sample(2, sampler="manifold")


def test_more_draws_make_a_tighter_bound_up_to_what_memory_holds(vae):
    bounds = [vae.score_samples(X[600:700], draws=k).mean() for k in (1, 8, 64)]
    assert bounds == sorted(bounds)
    with pytest.raises(SettingError, match="draws of 4 values do not fit into memory: use 1 to"):
        vae.score_samples(X[:1], draws=10**9)


def test_samples_leave_the_global_generator_alone(vae):
    before = torch.get_rng_state()
    vae.sample(3, sampler="mixture", random_state=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_that_are_weighed_in_parts_are_weighed_as_at_once(vae, monkeypatch):
    whole = vae.score_samples(X[600:620], draws=50)
    monkeypatch.setattr("attar.predictor.CHUNK", 7)
    np.testing.assert_allclose(vae.score_samples(X[600:620], draws=50), whole, rtol=1e-5)
    with pytest.raises(SettingError, match="number of draws must be an integer above 0"):
        vae.score_samples(X[:1], draws=2.5)
    with pytest.raises(SettingError, match="number of draws"):
        vae.score_samples(X[:1], draws=0)


def test_metrics_take_as_many_draws_as_are_asked_for(vae):
    for k in (1, 40):
        score = vae.score_samples(X[600:650], draws=k).mean()
        assert vae.evaluate(X[600:650], draws=k)["nll_bound"] == pytest.approx(-score)


def test_the_public_names_are_what_a_user_needs():
    own = {
        name
        for base in (attar.Autoencoder, LatentSpace, Recommender)
        for name in vars(base)
        if not name.startswith(("_", "set_"))
    }
    assert own == {
        *("fit", "fit_transform", "inspect", "transform", "inverse_transform", "reconstruct"),
        *("score", "score_samples", "evaluate", "evaluate_held_out", "sample"),
        *("interpolate", "neighbours", "clusters"),
        *("encode", "recommend", "expected_values", "truncate", "report", "load"),
        *("diagnose", "save", "model_", "code_size_", "choices_", "history_"),
        *("n_features_in_", "feature_names_in_"),
    }


def test_a_wrong_name_is_answered_before_data_is_read():
    for settings in ({"recipe": "vea"}, {"network": "covn"}, {"optimizer": "adma"}):
        with pytest.raises(SettingError, match="did you mean"):
            attar.Autoencoder(**settings).fit("there-is-no-such-file.csv")


def test_evaluate_reads_and_prepares_each_row_once(vae, monkeypatch):
    prepared, scaled = [], DensePreparation.scaled

    def counting(self, rows, *args, **kw):
        prepared.append(len(rows))
        return scaled(self, rows, *args, **kw)

    monkeypatch.setattr(DensePreparation, "scaled", counting)
    reads = []
    monkeypatch.setattr(
        "attar.estimator.read", lambda *args, **kw: reads.append(1) or read(*args, **kw)
    )
    with pytest.warns(attar.AttarWarning, match="constant in the fit"):
        vae.evaluate(X[600:900])
    assert (sum(reads), sum(prepared)) == (1, 300)


def test_conditions_follow_the_rows_that_diagnostics_and_chunks_take(monkeypatch):
    labels = load_digits().target
    monkeypatch.setattr("attar.predictor.CHUNK", 100)
    ae = quick("conditional", epochs=1, validation_fraction=0.3).fit(X, condition=labels)
    codes = ae.transform(X[:250], condition=labels[:250])
    assert_allclose(codes[240:], ae.transform(X[240:250], condition=labels[240:250]), rtol=1e-5)


@pytest.fixture(scope="module")
def mixed_table():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=1000)})
    table["b"] = 2 * table.a + rng.normal(size=1000)
    table["noise"] = rng.normal(size=1000)
    table["coin"] = rng.choice(["h", "t"], 1000, p=[0.7, 0.3])
    table["rare"] = rng.choice(["no", "yes"], 1000, p=[0.97, 0.03])
    return table


def test_new_rows_are_draws_and_not_expected_rows(mixed_table):
    vae = attar.Autoencoder("vae", epochs=60, random_state=0, verbose=False).fit(mixed_table)
    new = vae.sample(4000, random_state=0)
    for name in ("a", "b", "noise"):
        assert 0.85 < new[name].std() / mixed_table[name].std() < 1.15
    assert 0.25 < (new.coin == "t").mean() < 0.35
    assert 0.015 < (new.rare == "yes").mean() < 0.045
    assert abs(new.a.corr(new.b) - mixed_table.a.corr(mixed_table.b)) < 0.07
    expected = vae.sample(4000, mean=True, random_state=0)
    assert expected.noise.std() < 0.5 * new.noise.std()
    assert (expected.rare == "no").all()


def test_a_fixed_variance_is_not_the_noise_of_new_rows():
    x = np.random.default_rng(0).normal(size=(2000, 3)) * [1, 10, 0.1]
    x[:, 2] += x[:, 0]
    ae = attar.Autoencoder(
        "ae", 1, network="linear", likelihood="gaussian", epochs=20, random_state=0
    )
    new = ae.set_params(verbose=False).fit(x).sample(4000, random_state=0)
    np.testing.assert_allclose(new.std(0), x.std(0), rtol=0.1)
    assert np.corrcoef(new.T)[0, 2] > 0.97


def test_noise_is_kept_in_a_file_and_belongs_to_the_seed(tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 3))
    ae = attar.Autoencoder("ae", code_size=1, epochs=2, random_state=0, verbose=False).fit(x)
    ae.save(tmp_path / "model.attar")
    again = attar.load(tmp_path / "model.attar").sample(5, random_state=1)
    np.testing.assert_array_equal(again, ae.sample(5, random_state=1))
    assert (again != ae.sample(5, random_state=2)).any()


def test_new_images_are_expected_ones_unless_draws_are_wanted():
    images = np.random.default_rng(0).random((60, 6, 6)).astype(np.float32)
    ae = attar.Autoencoder("vae", code_size=2, epochs=2, random_state=0, verbose=False).fit(images)
    default, mean = (ae.sample(40, mean=mean, random_state=0) for mean in ("auto", True))
    np.testing.assert_array_equal(default, mean)
    drawn = ae.sample(40, mean=False, random_state=0)
    assert mean.std() < 0.75 * images.std() < images.std() < drawn.std()


def test_a_recipe_that_was_not_chosen_for_samples_says_so(mixed_table):
    ae = attar.Autoencoder(epochs=1, random_state=0, verbose=False)
    with pytest.warns(attar.AttarWarning, match="recipe='vae'"):
        ae.fit(mixed_table).sample(2)
    for recipe in ("ae", "vae"):
        ae.set_params(recipe=recipe).fit(mixed_table).sample(2)


def test_the_noise_of_new_rows_is_independent_of_their_codes(mixed_table):
    vae = attar.Autoencoder("vae", epochs=2, random_state=0, verbose=False).fit(mixed_table)
    new = vae.sample(4000, random_state=0)
    for name in ("a", "b", "noise"):
        assert abs(new[name].std() / mixed_table[name].std() - 1) < 0.05


class Stop(Callback):
    """Stops the program in the third epoch, as Ctrl-C does."""

    def on_step(self, progress):
        if len(progress.history) == 2:
            raise KeyboardInterrupt


def test_an_interrupted_fit_keeps_the_best_model():
    X = load_digits().images[:200]
    settings = {"code_size": 4, "epochs": 9, "schedule": "constant", "random_state": 0}
    stopped = attar.Autoencoder(**settings, callbacks=[Stop()])
    with pytest.raises(KeyboardInterrupt, match="stopped after 2 epochs"):
        stopped.fit(X)
    short = attar.Autoencoder(**settings | {"epochs": 2}).fit(X)
    assert_array_equal(stopped.transform(X), short.transform(X))
    assert len(stopped.history_) == 2


def test_an_interrupted_fit_in_a_notebook_returns_the_best_model_with_a_warning(monkeypatch):
    monkeypatch.setattr(sys, "ps1", "In [1]: ", raising=False)
    X = load_digits().images[:200]
    settings = {"code_size": 4, "epochs": 9, "schedule": "constant", "random_state": 0}
    with pytest.warns(
        attar.AttarWarning, match=r"stopped after 2 epochs: the model is that of epoch \d"
    ):
        stopped = attar.Autoencoder(**settings, callbacks=[Stop()]).fit(X)
    short = attar.Autoencoder(**settings | {"epochs": 2}).fit(X)
    assert_array_equal(stopped.transform(X), short.transform(X))


def test_a_function_is_no_callback():
    with pytest.raises(SettingError, match=r"print.* is no callback"):
        attar.Autoencoder(callbacks=[print]).fit(np.eye(9))


def test_one_band_of_small_numbers_is_learned_as_well_as_the_other():
    t = np.linspace(0, 6, 64).reshape(8, 8)
    phases = np.random.default_rng(0).random((2, 300, 1, 1)) * 6
    bands = (np.sin(t + phase) for phase in phases)
    X = np.stack([band * high for band, high in zip(bands, (1, 1e4), strict=True)], -1)
    ae = attar.Autoencoder(code_size=8, epochs=60, random_state=0).fit(X)
    errors = ((ae.reconstruct(X) - X) ** 2).mean((0, 1, 2)) / X.var((0, 1, 2))
    assert errors.max() < 0.02
    raw = attar.Autoencoder(code_size=8, epochs=5, scaling="none", random_state=0).fit(X)
    assert "unscaled" in [finding.name for finding in raw.diagnose()]


def test_one_image_is_asked_for_as_a_stack():
    X = load_digits().images[:60]
    ae = attar.Autoencoder(code_size=4, epochs=2, random_state=0).fit(X)
    with pytest.raises(DataError, match=r"X is one image.*X\[None\]"):
        ae.transform(X[0])
