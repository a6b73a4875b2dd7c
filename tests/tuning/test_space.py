"""What is searched, and that trials are compared by what is comparable."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris

import attar
from attar import SettingError
from attar.data.kinds import form_of
from attar.data.training_data import training_data_of
from attar.networks import Bag, Conv, Gru, Linear, Mlp, Transformer
from attar.tuning.criterion import Criterion
from attar.tuning.space import Interval, Options, dimension, resized, scaled, sizes, space_of

IRIS = load_iris().data


def plan_of(X=IRIS, **settings):
    return attar.Autoencoder(random_state=0, **settings)._plan(X, None)[2]


def test_values_around_those_of_a_fit():
    plan = plan_of(code_size=2, learning_rate=0.02, batch_size=32)
    space = space_of(["learning_rate", "batch_size", "code_size", "network"], plan)
    assert space == {
        "learning_rate": Interval(0.002, 0.08),
        "batch_size": Options((16, 32, 64)),
        "code_size": Interval(1, 3),  # fewer than the columns
        "width": Options((0.25, 0.5, 1.0, 2.0)),
        "layers": Interval(1, 3),
        "dropout": Interval(0.0, 0.3),
    }


def test_given_values():
    assert dimension("epochs", (2, 9)) == Interval(2, 9)
    assert dimension("recipe", ["ae", "vae"]) == Options(("ae", "vae"))


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"epochs": (9, 2)}, r"values of epochs to search are a pair \(low, high\) or a list, not"),
        ({"epochs": []}, "are a pair"),
        ({"epochs": "3"}, "are a pair"),
        (["recipe"], "recipe needs the values to search, such as recipe=a,b"),
        (["likelihood"], "likelihood cannot be searched, as the losses of trials would not be"),
        (["random_state"], "random_state cannot be searched"),
        (["lr"], "no setting named 'lr': did you mean 'learning_rate'"),
        ([], "There is nothing to search"),
    ],
)
def test_what_cannot_be_searched_is_refused(search, message):
    with pytest.raises(SettingError, match=message):
        space_of(search, plan_of())


def test_a_linear_network_has_nothing_to_search():
    with pytest.raises(SettingError, match="There is nothing to search"):
        space_of(["network"], plan_of(network="linear"))


@pytest.mark.parametrize(
    ("network", "size", "found"),
    [
        (Mlp((256, 128)), {"width": 0.5, "layers": 1}, Mlp((128,))),
        (Mlp((256, 128)), {"layers": 3, "dropout": 0.2}, Mlp((256, 128, 128), dropout=0.2)),
        (Conv((32, 64)), {"width": 2.0, "layers": 3}, Conv((64, 128))),
        (Gru(units=96), {"width": 0.25, "layers": 2}, Gru(units=24, layers=2)),
        (Transformer(width=64), {"width": 0.5}, Transformer(width=32)),
        (Linear(), {"width": 2.0}, Linear()),
    ],
)
def test_a_network_is_resized(network, size, found):
    assert resized(network, size) == found


@pytest.mark.parametrize("network", [Mlp(), Conv(), Gru(), Transformer(), Bag(), Linear()])
def test_a_network_of_its_own_size_is_the_same(network):
    own = {name: value for name, (_, value) in sizes(network).items()}
    assert resized(network, own) == network
    assert all(value in sizes(network)[name][0] for name, value in own.items())


@given(st.integers(1, 4096), st.sampled_from([0.25, 0.5, 2.0]))
def test_a_width_is_a_multiple_of_eight_next_to_its_share(width, factor):
    found = scaled(width, factor)
    assert found % 8 == 0
    assert found == 8 or abs(found - factor * width) <= 4


def test_numbers_have_three_digits_and_parts_come_back():
    assert Interval(0.0, 1.0).setting(0.123456) == 0.123
    assert Interval(1, 9).setting(7) == 7
    options = Options((Mlp((8,)), "conv", None))
    assert [options.setting(stored) for stored in options.examples] == list(options.values)
    assert (Interval(1, 7).logarithmic, Interval(1, 8).logarithmic) == (False, True)
    assert not Interval(0.0, 9.0).logarithmic


def test_the_price_of_a_number_finds_how_many_factors_data_have():
    generator = np.random.default_rng(0)
    factors, noise = generator.normal(size=(4000, 3)), generator.normal(size=(4000, 20))
    X = factors @ generator.normal(size=(3, 20)) + 0.5 * noise
    train, held_out = X[:3000], X[3000:]
    _, _, axes = np.linalg.svd(train - train.mean(0), full_matrices=False)
    criterion = Criterion(False, "learned-gaussian", "", sizes=True)
    found = []
    for d in range(1, 9):
        residual = held_out - train.mean(0)
        residual = residual - residual @ axes[:d].T @ axes[:d]
        nats = 20 / 2 * (math.log(2 * math.pi * np.mean(residual**2)) + 1)
        found.append(nats + criterion.price(d, (20,)))
    assert np.argmin(found) + 1 == 3
    assert criterion.price(6, (20,)) == pytest.approx(3 * math.log(20))


@pytest.mark.parametrize(("density", "sizes"), [(True, True), (False, False)])
def test_a_density_and_codes_of_one_size_have_no_price(density, sizes):
    assert Criterion(density, "gaussian", "", sizes).price(6, (20,)) == 0


@pytest.mark.parametrize("recipe", ["ae", "vae"])
def test_the_loss_is_minus_the_score_of_held_out_rows(recipe):
    ae = attar.Autoencoder(recipe, 2, epochs=2, random_state=0, verbose=False).fit(IRIS)
    criterion = Criterion.of(plan_of(recipe=recipe), sizes=False)
    kind, summary = form_of(IRIS, None)
    data = training_data_of(IRIS, kind, summary, 0.1, ae.fitted_.seed)
    held_out = IRIS[data.validation_index]
    assert criterion.loss(ae.fitted_, data) == pytest.approx(-ae.score(held_out), rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipe": "vae"}, "some recipes have a likelihood of rows, and others only reconstruct"),
        ({"likelihood": "laplace"}, "has the likelihood laplace, whose loss cannot be compared"),
        ({"scaling": "min-max"}, "has the scaling MinMax"),
    ],
)
def test_other_losses_are_refused(settings, message):
    criterion = Criterion.of(plan_of(recipe="ae"), sizes=False)
    with pytest.raises(SettingError, match=message):
        criterion.check(plan_of(**{"recipe": "ae"} | settings), "x=1")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"likelihood": "gaussian"}, "The likelihood 'gaussian' has a fixed scale"),
        ({"recipe": "sparse-topk"}, "The code 'topk' has no size whose cost is known"),
    ],
)
def test_sizes_without_a_price_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        Criterion.of(plan_of(**settings), sizes=True)
