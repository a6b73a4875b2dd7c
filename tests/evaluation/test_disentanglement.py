import itertools

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from attar.errors import DataError
from attar.evaluation.disentanglement import dci, factor_score, mig, sap

# Every combination of classes, equally often: factors that are exactly independent.
CLASSES = (3, 4, 5)
FACTORS = np.tile(np.array(list(itertools.product(*map(range, CLASSES)))), (20, 1))
GENERATOR = np.random.default_rng(0)
NOISE = GENERATOR.normal(size=(len(FACTORS), 5))
# One to one, in another order, of any sign and scale, with a constant dimension.
PERFECT = np.c_[-3.0 * FACTORS[:, 2], np.zeros(len(FACTORS)), FACTORS[:, 0], 1e-3 * FACTORS[:, 1]]
ROTATION = np.linalg.qr(GENERATOR.normal(size=(3, 3)))[0]
MIXED = (FACTORS / np.std(FACTORS, axis=0)) @ ROTATION
EACH = {
    "mig": mig,
    "sap": sap,
    "disentanglement": lambda z, f: dci(z, f).disentanglement,
    "completeness": lambda z, f: dci(z, f).completeness,
    "informativeness": lambda z, f: dci(z, f).informativeness,
    "factor score": factor_score,
}
# The scores of a perfect code, and of one without information.
BEST = dict.fromkeys(EACH, 1.0) | {"sap": 1 - np.mean([1 / m for m in CLASSES])}
WORST = dict.fromkeys(EACH, 0.0) | {
    "informativeness": np.mean([1 / m for m in CLASSES]),
    "factor score": 1 / 3,
}


@pytest.mark.parametrize("name", EACH)
def test_a_code_that_equals_the_factors_has_the_best_score(name):
    assert EACH[name](PERFECT, FACTORS) == pytest.approx(BEST[name], abs=1e-12)


@pytest.mark.parametrize("name", EACH)
def test_noise_has_the_worst_score(name):
    assert EACH[name](NOISE, FACTORS) == pytest.approx(WORST[name], abs=0.08)


@pytest.mark.parametrize("name", ["mig", "sap", "disentanglement", "completeness"])
def test_a_rotation_is_not_disentangled(name):
    assert EACH[name](MIXED, FACTORS) < 0.6 * BEST[name]


@pytest.mark.parametrize("measure", [mig, sap])
def test_a_factor_in_two_dimensions_has_no_gap(measure):
    assert measure(np.c_[PERFECT, PERFECT], FACTORS) == pytest.approx(0, abs=1e-12)


def test_the_completeness_of_factors_in_two_of_eight_dimensions():
    doubled = np.c_[PERFECT, PERFECT]
    assert dci(doubled, FACTORS).completeness == pytest.approx(1 - 1 / 3, abs=0.02)


@pytest.mark.parametrize("name", ["disentanglement", "factor score"])
def test_a_dimension_of_two_factors_is_not_disentangled(name):
    joint = np.c_[FACTORS[:, 0] + 3.0 * FACTORS[:, 1], FACTORS[:, 2]]
    assert EACH[name](joint, FACTORS) < 0.8


def test_mig_is_the_gap_of_mutual_informations_over_entropies():
    few = np.c_[FACTORS[:, 0] // 2, FACTORS[:, 0], FACTORS[:, 1] % 2]
    first, second, _ = FACTORS.T
    gaps = [
        1 - mutual_info_score(first, first // 2) / mutual_info_score(first, first),
        np.log(2) / np.log(4),
        0,
    ]
    assert mig(few, FACTORS) == pytest.approx(np.mean(gaps), rel=1e-9)
    assert mutual_info_score(second, second % 2) == pytest.approx(np.log(2))


def test_the_variance_of_a_dimension_is_relative_to_its_own():
    blurred = FACTORS + 0.1 * NOISE[:, :3]
    assert factor_score(blurred, FACTORS) == 1
    assert factor_score(blurred * [1, 2**-10, 2**10], FACTORS) == 1


def test_sap_weights_rare_and_frequent_classes_equally():
    # The best threshold is right for 60 of 90 rows of one class, and for all 10 of the other.
    factor, z = np.repeat([0, 0, 1], [60, 30, 10]), np.repeat([0.0, 1.0, 1.0], [60, 30, 10])
    assert sap(z[:, None], factor[:, None]) == pytest.approx((60 / 90 + 1) / 2, rel=1e-12)


def test_mig_uses_equal_intervals():
    bit = GENERATOR.permutation(np.repeat([0, 1], 500))
    z = bit + 0.4 * GENERATOR.random(1000)
    assert mig(z[:, None], bit[:, None]) == pytest.approx(1)
    assert mig(z[:, None], bit[:, None], bins=1) == 0
    # The largest value lies in the last interval, not beyond it.
    assert mig(bit[:, None], bit[:, None], bins=2) == pytest.approx(1)


@pytest.mark.parametrize("name", EACH)
def test_constant_factors_are_left_out(name):
    more = np.c_[np.full(len(FACTORS), 7), FACTORS]
    assert EACH[name](PERFECT, more) == EACH[name](PERFECT, FACTORS)
    with pytest.raises(DataError, match="All factors are constant"):
        EACH[name](PERFECT, more[:, :1])


@pytest.mark.parametrize("name", EACH)
def test_a_constant_code_has_the_worst_score(name):
    constant = np.ones((len(FACTORS), 2))
    assert EACH[name](constant, FACTORS) == pytest.approx(WORST[name], abs=0.08)


@pytest.mark.parametrize("measure", [dci, factor_score])
def test_equal_seeds_give_equal_scores(measure):
    blurred = MIXED + 0.3 * NOISE[:, :3]
    assert measure(blurred, FACTORS, seed=1) == measure(blurred, FACTORS, seed=1)
    assert measure(blurred, FACTORS, seed=1) != measure(blurred, FACTORS, seed=2)


def test_the_completeness_of_equally_important_dimensions_is_0():
    # Each dimension determines the factor in half of the rows: by symmetry both are equally
    # important.
    bit, which = GENERATOR.integers(2, size=(2, 4000))
    z = np.c_[np.where(which, bit, 0.5), np.where(which, 0.5, bit)]
    assert dci(z, bit[:, None]).completeness == pytest.approx(0, abs=0.05)
    assert dci(z, bit[:, None]).informativeness == 1
