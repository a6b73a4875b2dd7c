import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from attar import choices
from attar.choices import Choice
from attar.codes import Gaussian as GaussianCode
from attar.codes import Point, SparseL1
from attar.likelihoods import Bernoulli, Gaussian, LearnedGaussian
from attar.networks import Conv, Mlp

CHANCE = np.random.default_rng(0)
NICE = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256]


@pytest.mark.parametrize("n", [1, 7, 4999, 5000, 5001, 12_345])
def test_a_sample_is_spread_evenly_and_not_too_large(n):
    rows = np.arange(n)
    sample = choices.sample_of(rows)
    assert min(n, 2500) <= len(sample) <= 5000
    assert len(set(np.diff(sample))) <= 1
    assert n - 1 - sample[-1] < max(1, n / 2000)


def test_nearly_black_and_white_data_are_coins():
    ink = (CHANCE.random((50, 20)) < 0.3).astype(float)
    assert choices.likelihood(ink, Point())[0] == Bernoulli()
    ink[:, :3] = 0.5
    assert choices.likelihood(ink, Point()) == (Bernoulli(), "85% of the cells are near 0 or 1")


def test_other_data_are_normal_with_a_variance_that_is_learnt_where_the_code_has_its_price():
    for x in (CHANCE.random((50, 20)), CHANCE.normal(size=(50, 20)), 5.0 * np.eye(20)):
        assert choices.likelihood(x, Point())[0] == Gaussian()
        assert choices.likelihood(x, GaussianCode())[0] == LearnedGaussian()
        assert choices.likelihood(x, SparseL1())[0] == LearnedGaussian()


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 33, 32), (1, 1, 1025)])
def test_large_images_get_convolutions(shape):
    assert choices.network(shape)[0] == Conv()


@pytest.mark.parametrize("shape", [(3,), (64,), (5000,), (1, 28, 28), (1, 32, 32)])
def test_all_else_gets_a_perceptron_that_begins_as_a_linear_map(shape):
    network, _ = choices.network(shape)
    assert isinstance(network, Mlp)
    assert network.shortcut
    assert network.widths == ((512, 256) if math.prod(shape) > 256 else (256, 128))


def test_the_code_size_is_near_the_number_of_components_that_hold_the_variance():
    x = load_digits().data / 16
    shares = PCA().fit(x).explained_variance_ratio_.cumsum()
    needed = int((shares < 0.85).sum()) + 1
    size, reason = choices.code_size(x)
    assert size == min(NICE, key=lambda nice: abs(math.log(nice / needed)))
    assert reason == f"{needed} principal components hold 85% of the variance"
    assert choices.code_size(x.reshape(-1, 1, 8, 8)) == (size, reason)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_the_code_size_of_exact_structure_is_its_rank(rank):
    basis = np.linalg.qr(CHANCE.normal(size=(30, 30)))[0][:rank]
    for n in (10, 200):
        latent = np.linalg.qr(CHANCE.normal(size=(n, rank)) - 0.0)[0]
        assert choices.code_size((latent - latent.mean(0)) @ basis)[0] in (max(1, rank - 1), rank)


def test_the_code_is_never_larger_than_the_data():
    assert choices.code_size(CHANCE.normal(size=(50, 1)))[0] == 1
    assert choices.code_size(np.eye(5).repeat(9, 0))[0] <= 5


def test_rows_that_are_all_alike_need_one_number():
    assert choices.code_size(np.ones((9, 4))) == (1, "the rows are all alike")


@given(st.integers(2, 10**8))
def test_batches_are_powers_of_two_near_the_root(n):
    size, _ = choices.batch_size(n)
    assert size in [2**i for i in range(5, 11)]
    if 32**2 <= n <= 1024**2:
        assert 2**-0.5 <= size / math.sqrt(n) <= 2**0.5 + 1e-9


@given(st.integers(2, 10**7), st.sampled_from([32, 64, 1024]))
def test_epochs_make_about_eight_thousand_steps(n, size):
    epochs, _ = choices.epochs(n, size)
    steps = math.ceil(n / size)
    assert 10 <= epochs <= 400
    if 20 <= steps <= 800:
        assert abs(epochs * steps - 8000) <= steps / 2


def test_a_choice_says_what_and_why_in_a_line():
    choice = Choice("code_size", "8", "as an example")
    assert str(choice) == "code_size: 8 (as an example)"
    assert Choice(**choice.to_json()) == choice
