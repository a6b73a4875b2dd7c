import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from attar.applied import Applied
from attar.codes import Point
from attar.data.preparation import Preparation
from attar.data.scaling import Unscaled
from attar.data.source import kind_of
from attar.evaluation.study import Study
from attar.likelihoods import Gaussian
from attar.networks import Linear
from attar.recipes import Recipe


@pytest.fixture
def pca_model():
    """PCA in the form of a linear autoencoder whose third code dimension says nothing."""
    x = np.random.default_rng(0).normal(size=(200, 5)) * [4, 3, 1, 0.5, 0.2] + 2
    pca = PCA(2).fit(x[:150])
    model = Recipe(Point()).build((5,), 3, Linear(), Gaussian()).model.double()
    basis = torch.zeros(3, 5, dtype=torch.float64)
    basis[:2] = torch.from_numpy(pca.components_)
    mean = torch.from_numpy(pca.mean_)
    with torch.no_grad():
        model.encoder[1].weight.copy_(basis)
        model.encoder[1].bias.copy_(-basis @ mean)
        model.decoder[0].weight.copy_(basis.T)
        model.decoder[0].bias.copy_(mean)
    kind = kind_of(x)
    preparation = Preparation.fit(kind, Unscaled(), x)
    return Applied(preparation, model.float().eval(), 3, doubles=True), pca, x[:150], x[150:]


def test_the_facts_of_a_model_that_is_pca_are_pcas(pca_model):
    applied, pca, learnt, apart = pca_model
    study = Study.of(applied, learnt, apart, held_out=True, best_epoch=3)
    facts = study.facts

    def error(rows):
        return np.square(rows - pca.inverse_transform(pca.transform(rows))).mean()

    assert facts.error == pytest.approx(error(apart), rel=1e-4)
    assert facts.train_error == pytest.approx(error(learnt), rel=1e-4)
    assert facts.pca_errors[2] == pytest.approx(facts.error, rel=1e-3)
    assert facts.column_scales == pytest.approx(learnt.std(0), rel=1e-4)
    codes = pca.transform(learnt)
    np.testing.assert_allclose(study.codes[:, :2], codes, rtol=1e-3, atol=1e-4)
    assert not study.codes[:, 2].any()


def test_a_dimension_carries_its_share_of_the_variance(pca_model):
    applied, pca, learnt, apart = pca_model
    carried = Study.of(applied, learnt, apart, held_out=True, best_epoch=3).facts.carried
    codes = pca.transform(apart)
    # Held at its mean, a component costs its variance, but for what the mean of the error moves.
    left = apart - pca.inverse_transform(codes)
    for j in range(2):
        gone = np.outer(codes[:, j] - codes[:, j].mean(), pca.components_[j])
        expected = np.square(left + gone).mean() - np.square(left).mean()
        assert carried[j] == pytest.approx(expected, rel=1e-3)
    assert carried[2] == pytest.approx(0, abs=1e-9)
