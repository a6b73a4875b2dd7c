import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import attar
from attar import AttarWarning, choices, plan, recipes
from attar.codes import Gaussian as GaussianCode
from attar.codes import Point, SparseL1
from attar.corruptions import Distortion, Masking, SwapNoise
from attar.data.images import Images
from attar.data.kinds import kind_of, preparation
from attar.data.scaling import MinMax, Standard, Unscaled
from attar.data.sparse import SparseMatrix
from attar.data.table import NumericTable
from attar.likelihoods import (
    Bernoulli,
    BernoulliProbability,
    Categorical,
    Circular,
    Discretized,
    FixedGaussian,
    LearnedGaussian,
    Likelihood,
    Mixed,
    Multinomial,
    StudentT,
)
from attar.networks import Asymmetric, Bag, Conv, Mlp
from attar.plan import Choice
from attar.recipe import Recipe
from attar.training import runtime
from attar.training.optim import Optimizer

KIND = NumericTable("float64", 4)
CHANCE = np.random.default_rng(0)
NICE = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256]

ADAM, MUON = Optimizer(), Optimizer("muon", clip=3.0)
PLAIN = Likelihood.named("gaussian")
AE = recipes.recipe("ae")


def likelihood_of(data, code, scaling=Unscaled()):  # noqa: B008
    kind, summary = kind_of(data).of([data])
    how = preparation(kind, scaling, summary)
    return choices.choose_likelihood(
        how, summary, how.prepare(summary.sample).numpy(), Recipe(code)
    )


def kind_of_shape(shape):
    if len(shape) == 3:
        return Images((*shape[1:], shape[0]), "float64")
    return NumericTable("float64", *shape)


def test_data_near_0_and_1_are_bernoulli():
    ink = (CHANCE.random((50, 20)) < 0.3).astype(float)
    assert likelihood_of(ink, Point())[0] == Bernoulli()
    ink[:, :3] = 0.5
    assert likelihood_of(ink, Point()) == (Bernoulli(), "85% of the cells are near 0 or 1")
    ink[:, 3:] = np.where(CHANCE.random((50, 17)) < 0.5, np.nan, ink[:, 3:])
    assert likelihood_of(ink, Point()) == (FixedGaussian(), "real values")


def test_other_data_are_normal_with_a_variance_that_is_learnt_where_the_code_has_its_price():
    for x in (CHANCE.random((50, 20)), CHANCE.normal(size=(50, 20)), 5.0 * np.eye(20)):
        assert likelihood_of(x, Point())[0] == FixedGaussian()
        assert likelihood_of(x, GaussianCode())[0] == LearnedGaussian()
        assert likelihood_of(x, SparseL1())[0] == LearnedGaussian()


def mixed_frame(n=400):
    generator = np.random.default_rng(0)
    tails = generator.standard_t(2, n)
    tails[0] = 200.0
    return pd.DataFrame(
        {
            "size": generator.normal(size=n),
            "town": generator.choice(["Bonn", "Ulm", "Trier"], n),
            "tails": tails,
            "paid": generator.random(n) < 0.4,
            "rooms": generator.integers(1, 60, n),
        }
    )


def test_each_column_of_a_frame_gets_the_likelihood_of_its_type():
    frame = mixed_frame()
    chosen, reason = likelihood_of(frame, Point(), Standard())
    assert reason == "a likelihood for each column"
    width = 1 / frame["rooms"].std(ddof=0)
    assert chosen.columns[:4] == (LearnedGaussian(), Categorical(3), StudentT(), Bernoulli())
    assert chosen.columns[4] == Discretized(pytest.approx(width))
    assert len(chosen.columns) == 5


def test_a_text_counts_as_a_number_but_in_nats_beside_a_rate():
    texts = [
        f"the {a} and the {b}" for a in ("red", "blue", "green") for b in ("car", "dog", "sea")
    ]
    frame = pd.DataFrame(
        {"size": np.arange(90) % 7 / 2, "note": [f"{x} {i}" for i in range(10) for x in texts]}
    )
    chosen, reason = likelihood_of(frame, Point(), Standard())
    assert reason == "a likelihood for each column"
    number, *components = chosen.columns
    assert number == LearnedGaussian()
    assert len(components) > 1
    share = 1 / len(components)
    assert set(components) == {LearnedGaussian(share, share)}
    assert set(likelihood_of(frame, GaussianCode(), Standard())[0].columns[1:]) == {
        LearnedGaussian(share)
    }


def test_a_time_of_day_gets_an_angle():
    hours = pd.date_range("2024-01-01", periods=400, freq="37min")
    kind, summary = kind_of(pd.DataFrame({"t": hours})).of([pd.DataFrame({"t": hours})])
    how = preparation(kind, Standard(), summary)
    prepared = how.prepare(summary.sample).numpy()
    columns = choices.column_likelihoods(kind, how.scaler, prepared, Recipe(Point()))
    names = [type(cell).__name__ for cell in kind.cells]
    assert "Phase" in names
    for name, column in zip(names, columns, strict=True):
        assert (name == "Phase") == (column == Circular())


def test_a_frame_of_plain_numbers_needs_no_likelihood_for_each():
    frame = pd.DataFrame(CHANCE.normal(size=(50, 4)), columns=list("abcd"))
    assert likelihood_of(frame, Point(), Standard())[0] == FixedGaussian()
    assert not isinstance(likelihood_of(frame, GaussianCode(), Standard())[0], Mixed)


def test_sparse_counts_get_a_multinomial_of_their_mean_total():
    counts = sparse.csr_array(np.random.default_rng(0).poisson(0.5, (60, 30)))
    expected = Multinomial(pytest.approx(counts.sum() / 60))
    assert likelihood_of(counts, Point())[0] == expected
    assert not isinstance(likelihood_of(counts / 7, Point())[0], Multinomial)


@given(st.integers(0, 50))
def test_heavy_tails_are_those_of_a_large_kurtosis(seed):
    generator = np.random.default_rng(seed)
    normal = generator.normal(size=2000)
    assert not choices.has_heavy_tails(normal)
    assert not choices.has_heavy_tails(generator.laplace(size=2000).clip(-6, 6))
    wild = np.where(generator.random(2000) < 0.01, 20 * normal, normal)
    assert choices.has_heavy_tails(wild)
    wild[::3] = np.nan
    assert choices.has_heavy_tails(wild)
    # Mostly one value: the others are no outliers.
    assert not choices.has_heavy_tails(np.where(generator.random(2000) < 0.9, 0.0, normal))
    assert not choices.has_heavy_tails(np.full(9, np.nan))


def test_very_large_images_get_more_stages_and_small_batches():
    assert choices.choose_conv(64) == Conv()
    assert choices.choose_conv(512).channels == (16, 32, 64, 128, 128, 128)
    assert choices.choose_batch_size(10**6, (3, 512, 512), ADAM, PLAIN, AE)[0] == 2
    assert choices.choose_batch_size(60_000, (1, 28, 28), ADAM, PLAIN, AE)[0] == 256


def test_values_squashed_by_one_are_no_bernoullis():
    X = np.random.default_rng(0).random((100, 64))
    X[3, 3] = 1e4
    ready = preparation(*_min_max(X))
    squashed = ready.prepare(X).numpy()
    chosen, _ = choices.choose_likelihood(ready, _min_max(X)[2], squashed, AE)
    assert chosen == FixedGaussian()


def _min_max(X):
    kind, summary = kind_of(X).of([X])
    return kind, MinMax(), summary


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 33, 32), (1, 1, 1025)])
def test_large_images_get_convolutions(shape):
    assert choices.choose_network(kind_of_shape(shape), AE)[0] == Conv(shortcut=True)


def test_sparse_rows_get_bags_of_columns():
    assert choices.choose_network(SparseMatrix(5000, "int64", "csr", True, 1.0), AE)[0] == Bag()


@pytest.mark.parametrize("shape", [(3,), (64,), (5000,), (1, 28, 28), (1, 32, 32)])
def test_all_else_gets_a_perceptron_that_begins_as_a_linear_map(shape):
    network, _ = choices.choose_network(kind_of_shape(shape), AE)
    assert isinstance(network, Mlp)
    assert network.shortcut
    assert network.widths == ((512, 256) if math.prod(shape) > 256 else (256, 128))


def test_the_code_size_is_near_the_number_of_components_that_hold_the_variance():
    x = load_digits().data / 16
    shares = PCA().fit(x).explained_variance_ratio_.cumsum()
    needed = int((shares < 0.85).sum()) + 1
    size, reason = choices.choose_code_size(KIND, x)
    assert size == min(NICE, key=lambda nice: abs(math.log(nice / needed)))
    assert reason == f"{needed} principal components hold 85% of the variance"
    assert choices.choose_code_size(KIND, x.reshape(-1, 1, 8, 8)) == (size, reason)


def test_missing_cells_count_as_their_columns_mean_for_the_code_size():
    x = load_digits().data / 16
    x = np.where(np.random.default_rng(0).random(x.shape) < 0.3, np.nan, x)
    filled = np.where(np.isnan(x), np.nanmean(x, 0), x)
    assert choices.choose_code_size(KIND, x) == choices.choose_code_size(KIND, filled)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_the_code_size_of_exact_structure_is_its_rank(rank):
    basis = np.linalg.qr(CHANCE.normal(size=(30, 30)))[0][:rank]
    for n in (10, 200):
        latent = np.linalg.qr(CHANCE.normal(size=(n, rank)) - 0.0)[0]
        assert choices.choose_code_size(KIND, (latent - latent.mean(0)) @ basis)[0] in (
            max(1, rank - 1),
            rank,
        )


def test_the_code_is_never_larger_than_the_data():
    assert choices.choose_code_size(KIND, CHANCE.normal(size=(50, 1)))[0] == 1
    assert choices.choose_code_size(KIND, np.eye(5).repeat(9, 0))[0] <= 4


@pytest.mark.parametrize("columns", [2, 3, 4, 5, 7])
def test_the_code_is_smaller_than_the_number_of_columns_that_vary(columns):
    x = np.random.default_rng(columns).normal(size=(200, columns))
    x = np.column_stack([x, np.full((200, 3), 0.1)])
    size, reason = choices.choose_code_size(KIND, x)
    assert 1 <= size < columns
    if columns < 4:
        assert (size, reason) == (columns - 1, f"{columns} columns vary")


def test_a_category_counts_as_one_column_whatever_its_levels():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "town": generator.choice(list("abcdefgh"), 400),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.random(400), "D") * 400,
            "same": "x",
            "price": generator.normal(size=400),
        }
    )
    kind, summary = kind_of(frame).of([frame])
    prepared = preparation(kind, Standard(), summary).prepare(summary.sample).numpy()
    assert prepared.shape[1] > 9
    assert kind.columns_with(np.ptp(prepared, 0) > 0) == 3
    assert kind.columns_with(np.arange(prepared.shape[1]) < 2) == 1
    assert choices.choose_code_size(kind, prepared) == (2, "3 columns vary")


def test_equal_rows_need_one_dimension():
    assert choices.choose_code_size(KIND, np.ones((9, 4))) == (1, "all rows are equal")


SQUASHED = {
    "sigmoid": (Bernoulli(), (0.0, 1.0), "use likelihood='bernoulli-probability', or leave out"),
    "relu": (Bernoulli(), (0.0, math.inf), "takes logits: leave out"),
    "tanh": (Bernoulli(), (-1.0, 1.0), "takes logits: leave out"),
    "numbers": (FixedGaussian(), (0.0, 1.0), "prepared values are from -1 to 1"),
}


@pytest.mark.parametrize("case", SQUASHED)
def test_a_last_activation_that_keeps_the_decoder_from_the_data_is_warned_of(case):
    likelihood, limits, words = SQUASHED[case]
    prepared = np.array([[0.0, 1.0]]) if likelihood == Bernoulli() else np.array([[-1.0, 1.0]])
    with pytest.warns(AttarWarning, match=words):
        plan.warn_of_activation(likelihood, limits, prepared)


@pytest.mark.parametrize(
    ("likelihood", "limits"),
    [
        (Bernoulli(), (-math.inf, math.inf)),
        (BernoulliProbability(), (0.0, 1.0)),
        (FixedGaussian(), (0.0, 1.0)),
        (FixedGaussian(), (-1.0, 1.0)),
    ],
)
def test_other_decoders_are_not_warned_of(likelihood, limits, recwarn):
    plan.warn_of_activation(likelihood, limits, np.array([[0.0, 1.0]]))
    assert not recwarn.list


def test_muon_is_for_causal_likelihoods_and_networks_that_start_linear():
    assert choices.choose_optimizer(Mlp((8,)), Likelihood.named("causal"))[0].name == "muon"
    assert choices.choose_optimizer(Mlp((8,), shortcut=True), PLAIN)[0] == MUON
    convolutions, _ = choices.choose_optimizer(Conv(shortcut=True), PLAIN)
    assert (convolutions.name, convolutions.learning_rate, convolutions.clip) == ("muon", 0.0015, 3)
    assert choices.choose_optimizer(Asymmetric(), PLAIN)[0] == MUON
    for network in (Mlp((8,)), Conv(), Bag()):
        assert choices.choose_optimizer(network, PLAIN)[0] == ADAM


def test_two_views_of_images_pass_through_convolutions_that_end_at_4_pixels():
    features = AE.replace(corruption=Distortion())
    for side, channels in {5: (32,), 8: (32,), 28: (32, 64, 128), 64: (32, 64, 128, 128)}.items():
        kind = kind_of_shape((1, side, side))
        assert choices.choose_network(kind, features)[0] == Asymmetric(channels)


def test_batches_of_two_views_are_large_and_fit_into_memory():
    features = recipes.recipe("features")
    assert choices.choose_batch_size(100, (1, 28, 28), MUON, PLAIN, features)[0] == 256
    assert choices.choose_batch_size(10**6, (3, 512, 512), MUON, PLAIN, features)[0] == 2


def test_the_augmentation_suits_the_kind_of_data():
    assert choices.choose_augmentation(kind_of_shape((1, 8, 8)))[0] == Distortion()
    assert choices.choose_augmentation(kind_of_shape((8,)))[0] == SwapNoise()
    table = pd.DataFrame({"x": [0.5, 1.5, 2.0, 1.0], "y": ["a", "b", "c", "a"]})
    kind, _ = kind_of(table).of([table])
    assert choices.choose_augmentation(kind)[0] == SwapNoise(widths=(1, 3))
    assert choices.choose_augmentation(SparseMatrix(5, "int64", "csr", True, 1.0))[0] == Masking()


@given(st.integers(2, 10**8))
def test_batches_are_powers_of_two_near_the_root(n):
    size, _ = choices.choose_batch_size(n, (3,), ADAM, PLAIN, AE)
    assert size in [2**i for i in range(5, 11)]
    if size > 32:
        assert choices.choose_batch_size(n, (3,), MUON, PLAIN, AE)[0] == min(1024, 2 * size)
    if 32**2 <= n <= 1024**2:
        assert 2**-0.5 <= size / math.sqrt(n) <= 2**0.5 + 1e-9


@given(st.integers(2, 10**7), st.sampled_from([32, 64, 1024]))
def test_epochs_make_about_so_many_steps(n, size):
    steps = math.ceil(n / size)
    wanted = {ADAM: 8000, MUON: 1200 * max(1, n / 8000) ** 0.75}
    for optimizer, total in wanted.items():
        epochs, _ = choices.choose_epochs(n, size, optimizer, Point(), PLAIN)
        assert epochs == min(400, max(10, round(total / steps)))
    epochs, _ = choices.choose_epochs(n, size, MUON, GaussianCode(), PLAIN)
    assert epochs == min(400, max(10, round(2 * wanted[MUON] / steps)))


def test_a_choice_says_what_and_why_in_a_line():
    choice = Choice("code_size", "8", "as an example")
    assert str(choice) == "code_size: 8 (as an example)"
    assert Choice(**choice.to_json()) == choice


def test_device_and_precision_are_chosen_and_reported(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(200, 8))

    def chosen(**settings):
        ae = attar.Autoencoder(code_size=2, **settings)
        return {c.setting: (c.value, c.reason) for c in ae.inspect(rows).choices}

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for able, reason in ((True, "faster in small steps"), (False, "not faster on this device")):
        monkeypatch.setattr(runtime, "cpu_multiplies_bfloat16", lambda able=able: able)
        found = chosen()
        assert found["device"] == ("cpu", "there is no GPU")
        assert found["precision"][0] == "float32"
        assert reason in found["precision"][1]
    monkeypatch.setattr(runtime, "cpu_multiplies_bfloat16", lambda: True)
    assert chosen(batch_size=2**20)["precision"] == ("bfloat16", "faster in large steps")
    assert not {"device", "precision"} & set(chosen(device="cpu", precision="bfloat16"))


def test_the_work_of_a_step_is_known_before_the_model_is_built():
    X = np.random.default_rng(0).normal(size=(200, 8))
    ae = attar.Autoencoder("iwae", code_size=2, network="linear", batch_size=50)
    *_, made = ae._plan(ae._read(X, part="train"), None)
    weights = sum(weight.numel() for weight in made.build().model.parameters())
    assert made.work() == made.work(made.build().model) == 50 * 5 * weights
