import numpy as np
import pytest
import torch

from attar.applied import CHUNK, Applied
from attar.codes import Gaussian
from attar.data.kinds import kind_of
from attar.data.preparation import Preparation
from attar.data.scaling import Standard
from attar.likelihoods import Bernoulli
from attar.networks import Mlp
from attar.recipes import Recipe


@pytest.fixture
def applied():
    x = np.random.default_rng(0).normal(size=(CHUNK + 70, 5)) * 7 + 3
    model = Recipe(Gaussian()).build((5,), 2, Mlp((6,), "tanh"), Bernoulli()).model.eval()
    kind, summary = kind_of(x).of([x])
    preparation = Preparation.fit(kind, Standard(), summary)
    return Applied(preparation, model, 2, doubles=True), x


def prepared(x):
    return torch.from_numpy((x - x.mean(0)) / x.std(0))


def test_codes_are_the_models_own(applied):
    applied, x = applied
    codes = applied.encode(x)
    model = applied.model
    assert codes.dtype == np.float64
    single = applied.encode(x.astype(np.float32))
    assert single.dtype == np.float32
    with torch.no_grad():
        expected = model.encode(prepared(x).float()).numpy()
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(codes, expected, rtol=1e-4, atol=1e-5)


def test_in_double_precision_a_row_does_not_depend_on_its_neighbours(applied):
    applied, x = applied
    whole = applied.encode(x)
    for i in (0, 1, CHUNK - 1, CHUNK, len(x) - 1):
        np.testing.assert_allclose(applied.encode(x[i : i + 1])[0], whole[i], rtol=1e-12)


def test_the_model_itself_stays_in_single_precision(applied):
    applied, x = applied
    applied.encode(x)
    assert all(p.dtype == torch.float32 for p in applied.model.parameters())


def test_decoded_values_are_the_models_own(applied):
    applied, _ = applied
    z = np.random.default_rng(1).normal(size=(CHUNK + 9, 2))
    values = applied.decode(z)
    assert values.dtype == torch.float64
    with torch.no_grad():
        expected = applied.model.decode(torch.from_numpy(z).float())
    torch.testing.assert_close(values.float(), expected, rtol=1e-4, atol=1e-6)


def test_traces_cover_each_row_once_under_the_given_draws(applied):
    applied, x = applied
    noise = torch.randn(3, 1, 2)
    traces = list(applied.traces(x, noise))
    targets = torch.cat([trace.batch.target for trace in traces])
    torch.testing.assert_close(targets, prepared(x), rtol=1e-10, atol=1e-10)
    for trace in traces:
        mean, log_variance = trace.features.chunk(2, -1)
        z = mean + (log_variance / 2).exp() * noise.double()
        torch.testing.assert_close(trace.coded.z, z)
        assert trace.coded.z.shape[0] * trace.coded.z.shape[1] <= CHUNK
