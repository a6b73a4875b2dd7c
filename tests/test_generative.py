import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import attar
from attar.errors import DataError, SettingError

X = load_digits().data.astype(np.float32)


@pytest.fixture(scope="module")
def linear():
    """A linear autoencoder, whose codes are linear in the rows."""
    ae = attar.Autoencoder("ae", 4, network="linear", scaling="none", epochs=3, random_state=0)
    return ae.set_params(likelihood="gaussian", verbose=False).fit(X[:600])


@pytest.fixture(scope="module")
def vae():
    return attar.Autoencoder("vae", 4, epochs=2, random_state=0, verbose=False).fit(X[:600])


def test_the_way_between_two_rows_starts_and_ends_at_them(linear):
    a, b = X[600:603], X[700:703]
    ways = linear.interpolate(a, b, 5)
    assert ways.shape == (15, 64)
    ways = ways.reshape(3, 5, 64)
    np.testing.assert_allclose(ways[:, 0], linear.reconstruct(a), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(ways[:, -1], linear.reconstruct(b), rtol=1e-4, atol=1e-3)
    middle = (linear.reconstruct(a) + linear.reconstruct(b)) / 2
    np.testing.assert_allclose(ways[:, 2], middle, rtol=1e-4, atol=1e-3)


def test_ways_need_as_many_ends_as_starts(linear):
    with pytest.raises(DataError, match=r"a has 3 row\(s\), but b has 2"):
        linear.interpolate(X[:3], X[:2])
    with pytest.raises(SettingError, match="number of steps must be an integer above 0"):
        linear.interpolate(X[:2], X[:2], 0)


def test_neighbours_are_those_of_brute_force(linear, tmp_path):
    distances, numbers = linear.neighbours(X[600:620], 3)
    learnt = linear._fitted.training_summary.numbers
    codes, others = linear.transform(X[learnt]), linear.transform(X[600:620])
    brute = np.linalg.norm(others[:, None] - codes, axis=2)
    np.testing.assert_array_equal(numbers, learnt[brute.argsort(1)[:, :3]])
    np.testing.assert_allclose(distances, np.sort(brute, 1)[:, :3], rtol=1e-3, atol=1e-3)
    linear.save(tmp_path / "m.attar")
    again = attar.load(tmp_path / "m.attar").neighbours(X[600:620], 3)
    np.testing.assert_array_equal(again[1], numbers)


def test_a_row_that_was_learnt_from_is_its_own_nearest_neighbour(linear):
    some = linear._fitted.training_summary.numbers[:30]
    distances, numbers = linear.neighbours(X[some], 1)
    np.testing.assert_array_equal(numbers[:, 0], some)
    np.testing.assert_allclose(distances, 0, atol=1e-4)


def test_there_are_no_more_neighbours_than_known_rows(linear):
    assert linear.neighbours(X[:2], 10_000)[1].shape == (
        2,
        len(linear._fitted.training_summary.codes),
    )


def test_the_prior_and_a_mixture_draw_different_rows(vae):
    drawn = {by: vae.sample(200, by=by, random_state=0) for by in ("auto", "prior", "mixture")}
    np.testing.assert_array_equal(drawn["auto"], drawn["prior"])
    assert not np.array_equal(drawn["prior"], drawn["mixture"])


def test_what_is_fitted_to_codes_is_fitted_once(vae):
    vae.sample(1, by="mixture")
    known = dict(vae._fitted.drawings)
    vae.sample(5, by="mixture")
    assert vae._fitted.drawings == known


@pytest.mark.parametrize("by", ["mixture", "auto"])
def test_equal_seeds_give_equal_rows(vae, by):
    first, second = (vae.sample(5, by=by, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(vae.sample(5, by=by, random_state=4), first)


def test_misfits_are_refused_in_a_sentence(linear):
    with pytest.raises(SettingError, match="'prior' needs a code with a prior"):
        linear.sample(2, by="prior")
    with pytest.raises(SettingError, match="no sampler named 'mixtrue': did you mean 'mixture'"):
        linear.sample(2, by="mixtrue")
    with pytest.raises(SettingError, match="'point' has no clusters"):
        linear.clusters(X[:5])
    for n in (0, -3, 2.5):
        with pytest.raises(SettingError, match="number of samples must be an integer"):
            linear.sample(n)
    with pytest.raises(SettingError, match="samples may not fit into memory: draw 4,194,304 at"):
        linear.sample(10**11)
    with pytest.raises(SettingError, match=r"'autoregressive' needs .* symbols.*'point'.*'vq'"):
        linear.sample(2, by="autoregressive")
    with pytest.raises(SettingError, match=r"'manifold' needs .* metric.*'point'.*'riemannian'"):
        linear.sample(2, by="manifold")


def test_more_draws_make_a_tighter_bound_up_to_what_memory_holds(vae):
    bounds = [vae.score_samples(X[600:700], draws=k).mean() for k in (1, 8, 64)]
    assert bounds == sorted(bounds)
    with pytest.raises(SettingError, match="draws of 4 numbers are not possible: choose 1 to"):
        vae.score_samples(X[:1], draws=10**9)


def test_samples_leave_the_global_chance_alone(vae):
    before = torch.get_rng_state()
    vae.sample(3, by="mixture", random_state=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_that_are_weighed_in_parts_are_weighed_as_at_once(vae, monkeypatch):
    whole = vae.score_samples(X[600:620], draws=50)
    monkeypatch.setattr("attar.predictor.CHUNK", 7)
    np.testing.assert_allclose(vae.score_samples(X[600:620], draws=50), whole, rtol=1e-5)
    with pytest.raises(SettingError, match="number of draws must be an integer above 0"):
        vae.score_samples(X[:1], draws=2.5)
    with pytest.raises(SettingError, match="number of draws"):
        vae.score_samples(X[:1], draws=0)


def test_figures_take_as_many_draws_as_are_asked_for(vae):
    for k in (1, 40):
        score = vae.score_samples(X[600:650], draws=k).mean()
        assert vae.evaluate(X[600:650], draws=k)["nll_bound"] == pytest.approx(-score)
