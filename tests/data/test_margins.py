import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy import stats

import attar
from attar.data.margins import Margins
from attar.data.table import NumericTable


def imposed(train, drawn):
    kind = NumericTable("float64", train.shape[1])
    return Margins.of(train, kind).imposed_on(drawn, Margins.of(drawn, kind))


def test_numbers_get_the_other_distribution_and_keep_their_ranks():
    rng = np.random.default_rng(0)
    train, drawn = rng.gamma(2, size=(5000, 1)), rng.normal(size=(3000, 1))
    new = imposed(train, drawn)
    assert stats.ks_2samp(new[:, 0], train[:, 0]).statistic < 0.002
    assert (new.min(), new.max()) == (train.min(), train.max())
    order = np.argsort(drawn[:, 0])
    assert (np.diff(new[order, 0]) >= 0).all()


def test_numbers_that_stem_from_one_distribution_stay_what_they_are():
    rows = np.random.default_rng(0).normal(size=(900, 3))
    np.testing.assert_allclose(imposed(rows, rows), rows, atol=1e-12)


def test_a_spike_comes_as_often_as_it_is_there_and_nothing_comes_that_is_not():
    rng = np.random.default_rng(0)
    train = np.where(rng.random(4000) < 0.91, 0, 1000 + rng.integers(0, 50, 4000) * 100)
    new = imposed(train[:, None].astype(float), rng.normal(size=(4000, 1)))
    assert abs((new == 0).mean() - (train == 0).mean()) < 0.001
    assert np.isin(new, train).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_decimals_and_steps_are_kept(dtype):
    rng = np.random.default_rng(0)
    train = (rng.integers(3, 4000, (3000, 1)) * 0.05).round(2).astype(dtype)
    new = imposed(train, rng.normal(size=(500, 1))).astype(dtype)
    assert_array_equal((np.rint(new / 0.05) * 0.05).round(2).astype(dtype), new)


def test_decimals_with_rounding_errors_have_their_step():
    train = (np.arange(60.0) + 0.123 - 0.023)[:, None]
    assert (np.abs(train - (np.arange(60) + 0.1)[:, None]) > 0).any()
    new = imposed(train, np.random.default_rng(0).normal(size=(500, 1)))
    assert np.isin(new, (np.arange(60) + 0.1).round(6)).all()


def test_the_nearest_values_in_range_are_whole_steps():
    train = np.array([[0.5, 3.0], [2.5, 9.0], [1.0, np.nan]])
    margins = Margins.of(train, NumericTable("float64", 2))
    new = margins.within(np.array([[-7.0, 3.2], [1.3, 100.0]]))
    assert_array_equal(new, [[0.5, 3.0], [1.5, 9.0]])


def test_expected_values_are_possible():
    train = np.array([[0.0, 0.0, -1.0, np.nan], [1.0, 9.5, 3.0, np.nan], [0.0, 2.0, 2.0, np.nan]])
    margins = Margins.of(train, NumericTable("float64", 4))
    expected = np.array([[-0.2, -3.0, -7.0, -1.0], [1.3, 99.0, 50.0, 1.0], [0.4, 0.7, 0.1, 0.0]])
    possible = [[0.0, 0.0, -7.0, -1.0], [1.0, 99.0, 50.0, 1.0], [0.4, 0.7, 0.1, 0.0]]
    assert_array_equal(margins.possible(expected), possible)


def test_reconstructed_amounts_are_never_negative(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"amount": rng.exponential(size=300), "flag": rng.random(300) < 0.1})
    table["flag"] = table.flag.astype(float)
    table["profit"] = table.amount - rng.exponential(size=300)
    ae = attar.Autoencoder("ae", 1, epochs=3, random_state=0, verbose=False).fit(table)
    ae.save(tmp_path / "model.attar")
    for model in (ae, attar.load(tmp_path / "model.attar")):
        for made in (model.reconstruct(table), model.inverse_transform([[-50.0], [50.0]])):
            assert made.amount.min() >= 0
            assert made.flag.between(0, 1).all()
    assert ae.inverse_transform([[-50.0], [50.0]]).profit.min() < 0


def test_rows_of_a_condition_have_the_range_and_the_steps_of_all():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 400)
    table = pd.DataFrame({"n": rng.poisson(1 + 6 * label), "half": rng.integers(0, 9, 400) / 2})
    ae = attar.Autoencoder("conditional", epochs=5, random_state=0, verbose=False)
    new = ae.fit(table, condition=label).sample(300, condition=np.int64(1), random_state=0)
    assert new.n.isin(range(table.n.max() + 1)).all()
    assert new.half.isin(np.arange(9) / 2).all()


def test_a_cell_without_values_stays_without():
    train, drawn = np.full((9, 1), np.nan), np.zeros((4, 1))
    assert np.isnan(imposed(train, drawn)).all()


def test_new_rows_of_a_table_have_its_values(tmp_path):
    rng = np.random.default_rng(0)
    n, size = 1500, rng.normal(size=1500)
    table = pd.DataFrame(
        {
            "size": size,
            "count": rng.poisson(np.exp(0.4 * size)),
            "gain": np.where(rng.random(n) < 0.9, 0, rng.integers(1, 90, n) * 100),
            "price": np.round(np.exp(size), 2),
            "flag": (rng.random(n) < 0.05).astype(int),
            "stars": rng.integers(1, 6, n).astype(float),
        }
    )
    ae = attar.Autoencoder("vae", epochs=5, random_state=0, verbose=False).fit(table)
    new = ae.sample(3000, random_state=0)
    assert_array_equal(new.dtypes, table.dtypes)
    for name in ("count", "flag", "stars"):
        assert new[name].isin(table[name]).all()
    assert (new.gain % 100 == 0).all()
    assert_array_equal((100 * new.price).round() / 100, new.price)
    assert new["size"].between(size.min(), size.max()).all()
    assert new.price.between(table.price.min(), table.price.max()).all()
    for name in table:
        assert stats.ks_2samp(new[name], table[name]).statistic < 0.03
    ae.save(tmp_path / "model.attar")
    again = attar.load(tmp_path / "model.attar").sample(3000, random_state=0)
    pd.testing.assert_frame_equal(again, new)
