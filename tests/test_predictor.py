from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from attar.codes import Gaussian
from attar.data.kinds import kind_of
from attar.data.preparation import DensePreparation
from attar.data.scaling import Standard
from attar.evaluation.scores import log_likelihoods
from attar.likelihoods import Bernoulli, LearnedGaussian
from attar.networks import Mlp
from attar.predictor import CELLS, CHUNK, Predictor
from attar.recipe import Recipe


@pytest.fixture
def predictor():
    x = np.random.default_rng(0).normal(size=(CHUNK + 70, 5)) * 7 + 3
    model = Recipe(Gaussian()).build((5,), 2, Mlp((6,), "tanh"), Bernoulli()).model.eval()
    kind, summary = kind_of(x).of([x])
    preparation = DensePreparation.fit(kind, Standard(), summary)
    return Predictor(preparation, model, 2, doubles=True), x


def prepared(x):
    return torch.from_numpy((x - x.mean(0)) / x.std(0))


def test_codes_are_the_models_own(predictor):
    predictor, x = predictor
    codes = predictor.encode(x)
    model = predictor.model
    assert codes.dtype == np.float64
    single = predictor.encode(x.astype(np.float32))
    assert single.dtype == np.float32
    with torch.no_grad():
        expected = model.encode(prepared(x).float()).numpy()
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(codes, expected, rtol=1e-4, atol=1e-5)


def test_in_double_precision_a_row_does_not_depend_on_its_neighbours(predictor):
    predictor, x = predictor
    whole = predictor.encode(x)
    for i in (0, 1, CHUNK - 1, CHUNK, len(x) - 1):
        np.testing.assert_allclose(predictor.encode(x[i : i + 1])[0], whole[i], rtol=1e-12)


def test_the_model_itself_stays_in_single_precision(predictor):
    predictor, x = predictor
    predictor.encode(x)
    assert all(p.dtype == torch.float32 for p in predictor.model.parameters())


def test_decoded_values_are_the_models_own(predictor):
    predictor, _ = predictor
    z = np.random.default_rng(1).normal(size=(CHUNK + 9, 2))
    values = predictor.decode(z)
    assert values.dtype == torch.float64
    with torch.no_grad():
        expected = predictor.model.decode(torch.from_numpy(z).float())
    torch.testing.assert_close(values.float(), expected, rtol=1e-4, atol=1e-6)


def test_traces_cover_each_row_once_under_the_given_draws(predictor):
    predictor, x = predictor
    noise = torch.randn(3, 1, 2)
    traces = list(predictor.traces(x, noise))
    targets = torch.cat([trace.batch.target for trace in traces])
    torch.testing.assert_close(targets, prepared(x), rtol=1e-10, atol=1e-10)
    for trace in traces:
        mean, log_variance = trace.features.chunk(2, -1)
        z = mean + (log_variance / 2).exp() * noise.double()
        torch.testing.assert_close(trace.coded.z, z)
        assert trace.coded.z.shape[0] * trace.coded.z.shape[1] <= CHUNK


@pytest.mark.parametrize("draws", [5, 6])
def test_rows_are_weighted_at_antithetic_draws(predictor, draws):
    predictor, x = predictor
    given = []
    predictor.model.code.register_forward_pre_hook(lambda _, inputs: given.append(inputs[1]))
    log_likelihoods(predictor, x[:4], draws)
    noise = torch.cat(given)
    assert len(noise) == draws
    assert len(noise.unique(dim=0)) == draws
    assert torch.equal(noise[3:], -noise[: draws - 3])


@pytest.fixture
def holed():
    x = np.random.default_rng(0).normal(size=(CHUNK + 70, 5)) * 7 + 3
    x[np.random.default_rng(1).random(x.shape) < 0.3] = np.nan
    recipe = Recipe(Gaussian())
    model = recipe.build((5,), 2, Mlp((6,), "tanh"), LearnedGaussian(), missing=True).model.eval()
    kind, summary = kind_of(x).of([x])
    return Predictor(DensePreparation.fit(kind, Standard(), summary), model, 2, doubles=True), x


def test_the_model_sees_which_cells_are_known(holed):
    predictor, x = holed
    scaled = torch.from_numpy((x - np.nanmean(x, 0)) / np.nanstd(x, 0))
    batches = [trace.batch for trace in predictor.traces(x, torch.zeros(1, 1, 2))]
    assert [len(batch.target) for batch in batches] == [CHUNK, 70]
    observed = torch.cat([batch.observed for batch in batches])
    assert torch.equal(observed, torch.from_numpy(~np.isnan(x)))
    target = torch.cat([batch.target for batch in batches])
    torch.testing.assert_close(target, scaled.nan_to_num(0.0), rtol=1e-10, atol=1e-10)
    with torch.no_grad():
        expected = predictor.model.encode(target.float(), observed).numpy()
    np.testing.assert_allclose(predictor.encode(x), expected, rtol=1e-4, atol=1e-5)


def test_codes_are_restored_in_the_users_form_with_every_cell(holed):
    predictor, x = holed
    codes = predictor.encode(x)
    back = predictor.restore(codes)
    assert back.dtype == x.dtype
    expected = predictor.decode(codes).numpy() * np.nanstd(x, 0) + np.nanmean(x, 0)
    np.testing.assert_allclose(back, expected, rtol=1e-9, atol=1e-9)
    assert np.isfinite(back).all()


def test_the_likelihood_of_a_row_is_of_its_known_cells(holed):
    predictor, x = holed
    (trace, *_) = predictor.traces(x, torch.zeros(1, 1, 2))
    rows = len(trace.batch.target)
    cells = Normal(trace.parameters[0], 1.0).log_prob(trace.batch.target)
    known = torch.from_numpy(~np.isnan(x[:rows]))
    expected = torch.where(known, cells, 0.0).sum(1)
    torch.testing.assert_close(trace.log_likelihood[0], expected)


def test_wide_rows_are_processed_a_few_at_a_time():
    kind = SimpleNamespace(shape=(3, 512, 512))
    wide = Predictor(SimpleNamespace(kind=kind), None, 2, doubles=True)
    assert wide.chunk == CELLS // 4 // (3 * 512 * 512)
    assert [len(part) for _, part in wide.chunks(np.zeros((50, 1)))] == [1] * 50
    kind.shape = (1, 128, 128)
    assert wide.chunk == CELLS // (128 * 128)
    kind.shape = (CELLS + 1,)
    assert wide.chunk == 1
