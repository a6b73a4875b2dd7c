import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from scipy.stats import entropy
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score

import attar
from attar.codes import Gaussian, Point, VectorQuantized
from attar.data.kinds import kind_of, preparation
from attar.data.scaling import MinMax, Unscaled
from attar.evaluation.baseline import Baseline
from attar.evaluation.evaluate import Coding, evaluate
from attar.evaluation.metrics import ssim
from attar.evaluation.reconstruction import CellReconstruction
from attar.evaluation.scores import log_likelihoods
from attar.likelihoods import FixedGaussian
from attar.networks import Mlp
from attar.predictor import Predictor
from attar.recipe import Recipe

SIZE = 3


def seeded():
    return torch.Generator().manual_seed(0)


def predictor_of(data, scaling, missing=False, code=None):
    kind, summary = kind_of(data).of([data])
    torch.manual_seed(3)
    recipe = Recipe(code or Point())
    model = recipe.build(kind.shape, SIZE, Mlp((7,), "tanh"), FixedGaussian(), missing).model
    return Predictor(preparation(kind, scaling, summary), model.eval(), SIZE, doubles=True)


def data_of(n=60, seed=0):
    return np.random.default_rng(seed).random((n, 6)) @ np.diag([1, 2, 3, 0.5, 1, 1])


def reconstruction_of(predictor, baseline, x, cuts=()):
    reconstruction = CellReconstruction(predictor, baseline)
    raw = predictor.preparation.kind.rows(x)
    for start, stop in pairwise([0, *cuts, raw.shape[0]]):
        for model, rows, batch in predictor.batches(raw[start:stop]):
            with torch.no_grad():
                reconstruction.add(model, rows, batch)
    return reconstruction.metrics()


@pytest.mark.parametrize("scaling", [Unscaled(), MinMax()], ids=lambda part: part.name)
@pytest.mark.parametrize("cuts", [(), (1, 17, 40)])
def test_metrics_are_those_of_scikit_learn(scaling, cuts):
    x, new = data_of(), data_of(seed=1)
    predictor = predictor_of(x, scaling)
    prepared = predictor.preparation.prepare(x).numpy()
    baseline = Baseline.fit(prepared, 5)
    found = reconstruction_of(predictor, baseline, new, cuts)
    target = predictor.preparation.prepare(new, torch.float64).numpy()
    back = predictor.decode(predictor.encode(new)).numpy()
    pca = PCA(SIZE).fit(prepared)
    linear = pca.inverse_transform(pca.transform(target))
    error, pca_error = np.square(target - back).mean(), np.square(target - linear).mean()
    assert found["rows"] == 60
    assert found["code_size"] == SIZE
    assert found["error"] == pytest.approx(error, rel=1e-5)
    assert found["pca_error"] == pytest.approx(pca_error, rel=1e-3)
    assert found["error_to_pca"] == pytest.approx(error / pca_error, rel=1e-3)
    explained = r2_score(target, back, multioutput="variance_weighted")
    assert found["explained_variance"] == pytest.approx(explained, rel=1e-4)


def test_only_values_from_0_to_1_have_a_psnr():
    x = data_of() / 3
    predictor = predictor_of(x, Unscaled())
    baseline = Baseline.fit(x, SIZE)
    found = reconstruction_of(predictor, baseline, x)
    assert found["psnr"] == pytest.approx(-10 * math.log10(found["error"]))
    assert "psnr" not in reconstruction_of(predictor, baseline, 4 * x)


def test_images_have_the_mean_ssim_of_their_rows():
    images = np.random.default_rng(0).random((7, 12, 12))
    predictor = predictor_of(images, Unscaled())
    baseline = Baseline.fit(predictor.preparation.prepare(images[..., None]).numpy(), SIZE)
    pieces = [(predictor, images[:2, None]), (predictor, images[2:, None])]
    found = evaluate(predictor, pieces, baseline, frozenset({"point"}), 1, False).metrics
    # Of the decoder's values, which a reconstruction clips to the observed range.
    decoded = predictor.decode(predictor.encode(images[:, None])).numpy()
    back = np.moveaxis(decoded, 1, -1)
    assert found["ssim"] == pytest.approx(ssim(images[..., None], back), rel=1e-5)


def test_a_row_is_weighted_by_prior_and_posterior():
    predictor = predictor_of(data_of(), Unscaled(), code=Gaussian())
    rows, noise = data_of(5), torch.zeros(1, 1, SIZE)
    (trace,) = predictor.traces(rows, noise)
    mean, log_variance = trace.features.chunk(2, -1)
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    prior = torch.distributions.Normal(torch.zeros_like(mean), 1.0)
    samples = mean + posterior.stddev * torch.randn(1, 1, SIZE, generator=seeded()).double()[0]
    cells = torch.distributions.Normal(predictor.decode(samples.numpy()), 1.0)
    expected = cells.log_prob(torch.from_numpy(rows)).sum(1)
    expected = expected + (prior.log_prob(samples) - posterior.log_prob(samples)).sum(1)
    np.testing.assert_allclose(log_likelihoods(predictor, rows, 1), expected, rtol=1e-6)


def test_missing_cells_are_left_out():
    x = data_of()
    incomplete = np.where(np.random.default_rng(2).random(x.shape) < 0.3, np.nan, x)
    incomplete[5] = np.nan
    predictor = predictor_of(incomplete, Unscaled(), missing=True)
    baseline = Baseline.fit(incomplete, SIZE)
    found = reconstruction_of(predictor, baseline, incomplete, [7, 20])
    back, known = predictor.decode(predictor.encode(incomplete)).numpy(), ~np.isnan(incomplete)
    error = np.square(incomplete - back)[known].mean()
    mean = np.nanmean(incomplete, 0)
    filled = np.where(known, incomplete, mean)
    pca = PCA(SIZE).fit(filled)
    # Missing cells are set to the mean, and have no error.
    linear = pca.inverse_transform(pca.transform(filled))
    assert found["error"] == pytest.approx(error, rel=1e-5)
    assert found["pca_error"] == pytest.approx(
        np.square(incomplete - linear)[known].mean(), rel=1e-3
    )
    variation = np.square(incomplete - mean)[known].mean()
    assert found["explained_variance"] == pytest.approx(1 - error / variation, rel=1e-5)


def test_constant_rows_have_no_explained_variance():
    x = np.ones((9, 6))
    found = reconstruction_of(predictor_of(x, Unscaled()), Baseline.fit(x, SIZE), x)
    assert found["explained_variance"] == 0
    assert math.isnan(found["error_to_pca"])


def test_a_pca_without_error_is_not_divided_by():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40, SIZE)) @ generator.normal(size=(SIZE, 6))
    found = reconstruction_of(predictor_of(x, Unscaled()), Baseline.fit(x, SIZE), x)
    assert 0 <= found["pca_error"] < 1e-6
    assert math.isnan(found["error_to_pca"])


def test_accuracy_is_the_fraction_of_correct_categories_and_booleans():
    generator = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "a": generator.normal(size=80),
            "kind": pd.Categorical(generator.choice(["x", "y", "z"], 80)),
            "is": generator.random(80) < 0.5,
        }
    )
    frame.loc[::9, "kind"] = np.nan
    predictor = predictor_of(frame, Unscaled(), missing=True)
    rows = predictor.preparation.kind.rows(frame)
    baseline = Baseline.fit(predictor.preparation.prepare(rows).numpy(), SIZE)
    back = predictor.restore(predictor.encode(rows))
    right = (back["kind"] == frame["kind"])[frame["kind"].notna()].tolist()
    right += (back["is"] == frame["is"]).tolist()
    found = reconstruction_of(predictor, baseline, frame, [7, 30])
    assert found["accuracy"] == pytest.approx(np.mean(right))
    assert "accuracy" not in reconstruction_of(
        predictor_of(data_of(), Unscaled()), Baseline.fit(data_of(), SIZE), data_of()
    )


def test_sparse_rows_have_the_metrics_of_dense_ones():
    dense = np.random.default_rng(0).poisson(0.5, (40, 6))
    matrix = sparse.csr_array(dense)
    baseline = Baseline.fit(dense.astype(np.float32), SIZE)
    predictor, other = predictor_of(matrix, Unscaled()), predictor_of(dense, Unscaled())
    other = Predictor(other.preparation, predictor.model, SIZE, doubles=False)
    densified = Predictor(predictor.preparation, Densified(predictor.model), SIZE, doubles=False)
    found = reconstruction_of(densified, baseline, matrix)
    assert found == pytest.approx(reconstruction_of(other, baseline, dense))


class Densified(torch.nn.Module):
    """A model for networks that take no sparse rows."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def encode(self, values, observed=None, condition=None):
        return self.model.encode(values.to_dense(), observed)

    def decode(self, z, condition=None):
        return self.model.decode(z)


def evaluation_of(predictor, x, provides, density, draws=4, cuts=()):
    baseline = Baseline.fit(predictor.preparation.prepare(x).numpy(), SIZE)
    pieces = [(predictor, piece) for piece in np.split(x, cuts)]
    return evaluate(predictor, pieces, baseline, frozenset(provides), draws, density).metrics


@pytest.mark.parametrize("cuts", [(), (1, 17, 40)])
def test_one_pass_has_the_metrics_of_each_part(cuts):
    x = data_of() / 3
    predictor = predictor_of(x, Unscaled(), code=Gaussian())
    found = evaluation_of(predictor, x, {"density"}, density=True, cuts=cuts)
    score = log_likelihoods(predictor, x, 4).mean()
    assert found["nll_bound"] == pytest.approx(-score, rel=1e-12)
    assert found["bits_per_dimension"] == pytest.approx(-score / 6 / math.log(2), rel=1e-12)
    expected = reconstruction_of(predictor, Baseline.fit(x.astype(np.float32), SIZE), x)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    means = predictor.encode(x)
    noise = torch.zeros(1, 1, predictor.model.noise_size)
    (trace,) = predictor.traces(x, noise)
    np.testing.assert_allclose(trace.coded.z[0].detach().numpy(), means, rtol=1e-9)
    assert found["rate"] == pytest.approx(trace.coded.rate.mean().item(), rel=1e-9)
    assert found["active_units"] == (means.var(0) > 0.01).sum()


def test_bits_are_of_the_columns_of_the_users_table():
    frame = pd.DataFrame({"a": list("xyz") * 20, "b": np.arange(60.0)})
    ae = attar.Autoencoder("vae", epochs=1, random_state=0, verbose=False).fit(frame)
    found = ae.evaluate(frame)
    assert ae.fitted_.kind.shape == (4,)  # three indicators and a number
    assert found["bits_per_row"] == pytest.approx(found["nll_bound"] / math.log(2))
    assert found["bits_per_dimension"] == pytest.approx(found["bits_per_row"] / 2)


def test_each_row_is_prepared_once(monkeypatch):
    x = data_of()
    predictor = predictor_of(x, Unscaled(), code=Gaussian())
    prepared = []
    batch = type(predictor.preparation).batch

    def counted(self, rows, *others):
        prepared.append(len(rows))
        return batch(self, rows, *others)

    monkeypatch.setattr(type(predictor.preparation), "batch", counted)
    evaluation_of(predictor, x, {"density"}, density=True, cuts=(10, 30))
    assert prepared == [10, 20, 30]


def test_a_deterministic_code_has_a_distortion_and_no_rate():
    x = data_of()
    predictor = predictor_of(x, Unscaled())
    found = evaluation_of(predictor, x, (), density=False)
    assert found["distortion"] == pytest.approx(-log_likelihoods(predictor, x, 1).mean(), rel=1e-12)
    assert not {"rate", "active_units", "nll_bound", "bits_per_dimension"} & set(found)


def test_symbols_have_codebook_use_and_perplexity():
    x = data_of()
    predictor = predictor_of(x, Unscaled(), code=VectorQuantized(codebook=8, dim=3))
    found = evaluation_of(predictor, x, {"symbols"}, density=False)
    noise = torch.zeros(1, 1, predictor.model.noise_size)
    (trace,) = predictor.traces(x, noise)
    sizes, columns = predictor.model.code.sizes, trace.coded.symbols[0].numpy().T
    used = [len(np.unique(column)) / size for column, size in zip(columns, sizes, strict=True)]
    assert found["codebook_use"] == pytest.approx(np.mean(used))
    frequencies = [np.unique(column, return_counts=True)[1] / len(x) for column in columns]
    relative = [math.exp(entropy(f)) / n for f, n in zip(frequencies, sizes, strict=True)]
    assert found["perplexity"] == pytest.approx(np.mean(relative))


def test_codes_that_were_not_added_have_no_metrics():
    assert Coding().metrics() == {}
