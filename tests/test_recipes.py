import ast
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from attar import SettingError, recipes
from attar.codes import Gaussian, Point
from attar.data.batches import Held, Selection
from attar.likelihoods import Bernoulli, FixedGaussian, LearnedGaussian
from attar.networks import Linear, Mlp
from attar.penalties import Contractive
from attar.recipe import Recipe
from attar.recipes import TABLE, names, recipe, resolve
from attar.records import Batch
from attar.training import Cosine, OneCycle, Optimizer
from attar.training.loop import Training, TrainingSettings

DOUBLE = torch.float64


def trained(objective, x, size, epochs, batch, rate, schedule=OneCycle()):  # noqa: B008
    """Train an objective on rows and return the metrics of each epoch."""
    every = torch.arange(len(x))
    held = Held(x, lambda x: x)
    training = Training(
        objective,
        Selection(held, every, batch),
        Selection(held, every, len(x)),
        None,
        TrainingSettings(epochs, batch, Optimizer("adam"), schedule, rate),
    )
    return training.run()


class TestLinearTruths:
    """A linear autoencoder is PCA; a linear VAE is probabilistic PCA."""

    K = 3

    @pytest.fixture
    def x(self):
        generator = np.random.default_rng(0)
        turn = np.linalg.qr(generator.normal(size=(8, 8)))[0]
        scales = np.array([3.0, 2.0, 1.5, 0.6, 0.5, 0.4, 0.3, 0.3])
        return (generator.normal(size=(400, 8)) * scales) @ turn + generator.normal(size=8)

    def objective(self, code, likelihood):
        objective = Recipe(code).build((8,), self.K, Linear(), likelihood)
        objective.model.double()
        return objective

    def decoder_weight(self, objective):
        return objective.model.decoder[0].weight.detach().numpy()

    def test_a_linear_autoencoder_finds_pcas_subspace_and_error(self, x):
        objective = self.objective(Point(), FixedGaussian())
        rows = torch.from_numpy(x)
        trained(objective, rows, self.K, 1200, 400, 0.05, Cosine())
        pca = PCA(self.K).fit(x)
        angles = subspace_angles(self.decoder_weight(objective), pca.components_.T)
        assert angles.max() < 0.01
        with torch.no_grad():
            reconstructed = objective.model.decode(objective.model.encode(rows)).numpy()
        best = np.square(x - pca.inverse_transform(pca.transform(x))).mean()
        assert np.square(x - reconstructed).mean() == pytest.approx(best, rel=1e-3)

    def test_a_linear_vae_finds_probabilistic_pcas_likelihood_noise_and_subspace(self, x):
        objective = self.objective(Gaussian(), LearnedGaussian())
        rows = torch.from_numpy(x)
        trained(objective, rows, self.K, 1500, 400, 0.03, Cosine())
        pca = PCA(self.K).fit(x)
        with torch.no_grad():
            trace = objective.model(Batch(rows, rows), torch.randn(64, 400, self.K, dtype=DOUBLE))
            bound = (trace.log_likelihood - trace.coded.rate).mean().item()
        assert bound == pytest.approx(pca.score(x), rel=5e-3)
        noise = objective.model.likelihood.log_variances().exp().item()
        assert noise == pytest.approx(pca.noise_variance_, rel=0.02)
        angles = subspace_angles(self.decoder_weight(objective), pca.components_.T)
        assert angles.max() < 0.02


def test_a_recipe_by_name_is_the_tables():
    assert list(names()) == list(TABLE)
    for name in names():
        assert resolve(name) is recipe(name) is TABLE[name].recipe
    own = Recipe(Gaussian(0.5))
    assert resolve(own) is own


def test_an_unknown_recipe_suggests_the_nearest():
    with pytest.raises(SettingError, match="no recipe named 'beta-vea': did you mean 'beta-vae'"):
        resolve("beta-vea")
    with pytest.raises(SettingError, match="is not a recipe: give a name of `attar recipes`"):
        resolve(Gaussian())


def test_a_penalty_that_needs_a_point_refuses_a_random_code():
    wrong = Recipe(Gaussian(), penalties=(Contractive(),))
    with pytest.raises(SettingError, match="'contractive' needs a deterministic code"):
        wrong.build((8,), 2, Linear(), Bernoulli())


NEW_ROW = """\
    "iwae-vamp": Row(
        Recipe(Gaussian(prior=Vamp()), bound=ImportanceWeighted(5)),
        "Gaussian posterior, VampPrior, importance-weighted bound of 5 samples.",
        "Tomczak and Welling, VAE with a VampPrior, AISTATS 2018.",
    ),
"""


def rows_of(source):
    """Return the first and the last line of each row of the table, counted from 1."""
    table = next(
        node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and node.target.id == "TABLE"
    )
    return [
        (key.lineno, value.end_lineno) for key, value in zip(table.keys, table.values, strict=True)
    ]


def test_a_new_variant_is_a_few_lines_in_one_file(tmp_path, digits):
    source = Path(recipes.__file__).read_text("utf-8")
    rows = rows_of(source)
    assert len(rows) == len(TABLE)
    assert max(last - first + 1 for first, last in rows) <= 8
    assert NEW_ROW.count("\n") <= 8
    lines = source.splitlines(keepends=True)
    lines.insert(rows[-1][1], NEW_ROW)
    path = tmp_path / "recipes.py"
    path.write_text("".join(lines), "utf-8")
    spec = importlib.util.spec_from_file_location("changed_recipes", path)
    changed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(changed)
    assert list(changed.names()) == [*names(), "iwae-vamp"]
    objective = changed.recipe("iwae-vamp").build((64,), 8, Mlp((32,), "silu"), Bernoulli())
    before = objective.measure([Batch(digits, digits)])["loss"]
    history = trained(objective, digits, 8, 5, 40, 0.01)
    assert history[-1].loss < 0.8 * before
