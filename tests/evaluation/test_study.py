import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from attar.codes import Point
from attar.data.kinds import kind_of
from attar.data.preparation import DensePreparation
from attar.data.scaling import Unscaled
from attar.evaluation.diagnostics import TrainingSummary
from attar.likelihoods import FixedGaussian
from attar.networks import Linear
from attar.predictor import Predictor
from attar.recipe import Recipe


def study_of(predictor, learnt, apart, **settings):
    return TrainingSummary.of(
        predictor, learnt, np.arange(len(learnt)), predictor, apart, **settings
    )


@pytest.fixture
def pca_model():
    """PCA in the form of a linear autoencoder whose third code dimension says nothing."""
    x = np.random.default_rng(0).normal(size=(200, 5)) * [4, 3, 1, 0.5, 0.2] + 2
    pca = PCA(2).fit(x[:150])
    model = Recipe(Point()).build((5,), 3, Linear(), FixedGaussian()).model.double()
    basis = torch.zeros(3, 5, dtype=torch.float64)
    basis[:2] = torch.from_numpy(pca.components_)
    mean = torch.from_numpy(pca.mean_)
    with torch.no_grad():
        model.encoder[1].weight.copy_(basis)
        model.encoder[1].bias.copy_(-basis @ mean)
        model.decoder[0].weight.copy_(basis.T)
        model.decoder[0].bias.copy_(mean)
    kind, summary = kind_of(x).of([x])
    preparation = DensePreparation.fit(kind, Unscaled(), summary)
    return Predictor(preparation, model.float().eval(), 3, doubles=True), pca, x[:150], x[150:]


def test_the_facts_of_a_model_that_is_pca_are_pcas(pca_model):
    predictor, pca, learnt, apart = pca_model
    training_summary = study_of(predictor, learnt, apart, held_out=True, best_epoch=3)
    facts = training_summary.facts

    def error(rows):
        return np.square(rows - pca.inverse_transform(pca.transform(rows))).mean()

    assert facts.error == pytest.approx(error(apart), rel=1e-4)
    assert facts.train_error == pytest.approx(error(learnt), rel=1e-4)
    assert facts.pca_errors[2] == pytest.approx(facts.error, rel=1e-3)
    assert facts.column_scales == pytest.approx(learnt.std(0), rel=1e-4)
    codes = pca.transform(learnt)
    np.testing.assert_allclose(training_summary.codes[:, :2], codes, rtol=1e-3, atol=1e-4)
    assert not training_summary.codes[:, 2].any()


def test_a_dimension_carries_its_share_of_the_variance(pca_model):
    predictor, pca, learnt, apart = pca_model
    carried = study_of(predictor, learnt, apart, held_out=True, best_epoch=3).facts.carried
    codes = pca.transform(apart)
    # Held at its mean, a component costs its variance, but for what the mean of the error moves.
    left = apart - pca.inverse_transform(codes)
    for j in range(2):
        gone = np.outer(codes[:, j] - codes[:, j].mean(), pca.components_[j])
        expected = np.square(left + gone).mean() - np.square(left).mean()
        assert carried[j] == pytest.approx(expected, rel=1e-3)
    assert carried[2] == pytest.approx(0, abs=1e-9)


def test_the_facts_of_data_with_gaps_are_of_known_cells(pca_model):
    predictor, _, learnt, apart = pca_model
    generator = np.random.default_rng(5)
    gaps = np.where(generator.random(apart.shape) < 0.3, np.nan, apart)
    facts = study_of(predictor, learnt, gaps, held_out=True, best_epoch=3).facts
    known = ~np.isnan(gaps)
    # This model was built for data without gaps: what is missing is 0 to it.
    filled = np.where(known, gaps, 0.0)
    back = predictor.decode(predictor.encode(filled)).numpy()
    assert facts.error == pytest.approx(np.square(filled - back)[known].mean(), rel=1e-4)
    codes = predictor.encode(filled)
    for j in range(2):
        held = codes.copy()
        held[:, j] = codes[:, j].mean()
        without = np.square(filled - predictor.decode(held).numpy())[known].mean()
        assert facts.carried[j] == pytest.approx(without - facts.error, rel=1e-3)
    holed = study_of(predictor, np.vstack([learnt, gaps]), apart, held_out=True, best_epoch=3)
    whole = np.vstack([learnt, gaps])
    assert holed.facts.column_scales == pytest.approx(np.nanstd(whole, 0), rel=1e-4)


def test_an_ordered_code_has_an_error_for_each_size(pca_model):
    predictor, pca, learnt, apart = pca_model
    facts = study_of(predictor, learnt, apart, held_out=True, best_epoch=3, ordered=True).facts
    assert len(facts.size_errors) == 4
    # The codes are those of PCA about its mean, so that the first k are PCA's of size k.
    for k in range(3):
        few = pca.transform(apart)
        few[:, k:] = 0
        expected = np.square(apart - pca.inverse_transform(few)).mean()
        assert facts.size_errors[k] == pytest.approx(expected, rel=1e-4)
    assert facts.size_errors[3] == pytest.approx(facts.error, rel=1e-6)
    assert not study_of(predictor, learnt, apart, held_out=True, best_epoch=3).facts.size_errors
