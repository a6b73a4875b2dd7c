import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA
from torch.nn import functional

import attar
from attar.codes import Ordered, Point
from attar.errors import SettingError
from attar.networks.base import ACTIVATIONS

TRUTHS = {
    "identity": lambda x: x,
    "relu": functional.relu,
    "leaky-relu": functional.leaky_relu,
    "elu": functional.elu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_point_is_the_activation_of_its_features_at_no_rate(name):
    features = torch.randn(6, 3)
    code = Point(name).build(3)
    coded = code(features)
    assert torch.equal(coded.z, TRUTHS[name](features)[None])
    assert torch.equal(coded.rate, torch.zeros(1, 6))
    assert torch.equal(code.point(features), coded.z[0])
    assert coded.log_q is None
    assert coded.log_p is None


def test_noise_changes_nothing():
    features, code = torch.randn(6, 3), Point().build(3)
    assert torch.equal(code(features, torch.randn(4, 1, 3)).z, code(features).z)


def test_an_unknown_activation_suggests_the_nearest_name():
    with pytest.raises(SettingError, match="did you mean 'relu'"):
        Point("rellu").build(3)


def test_a_point_has_no_prior_and_no_density():
    assert Point().build(3).prior is None
    assert "density" not in Point().provides
    assert Point().beta == 0


@pytest.fixture(scope="module")
def fitted():
    generator = np.random.default_rng(0)
    basis = np.linalg.qr(generator.normal(size=(8, 8)))[0]
    rows = (generator.normal(size=(2000, 8)) * [4, 3, 2, 1.4, 1, 0.2, 0.2, 0.2]) @ basis.T
    rows = (rows - rows.mean(0)).astype(np.float32)
    ae = attar.Autoencoder(
        "ordered",
        4,
        network="linear",
        likelihood="gaussian",
        scaling="none",
        epochs=60,
        batch_size=128,
        learning_rate=0.03,
        random_state=0,
        verbose=False,
    )
    return ae.fit(rows), rows


def test_linear_networks_find_the_principal_components_in_their_order(fitted):
    ae, rows = fitted
    found = ae.model_.decoder[0].weight.detach().numpy()
    components = PCA(4).fit(rows).components_.T
    for k in range(1, 5):
        angle = subspace_angles(found[:, :k], components[:, :k]).max()
        assert angle < 0.12


def test_each_size_is_as_good_as_pca_of_that_size(fitted):
    ae, rows = fitted
    for k in range(1, 5):
        cut = ae.truncate(k)
        pca = PCA(k).fit(rows)
        best = np.square(rows - pca.inverse_transform(pca.transform(rows))).mean()
        assert np.square(rows - cut.reconstruct(rows)).mean() == pytest.approx(best, rel=0.03)


def test_a_truncated_code_is_the_first_dimensions_of_the_whole(fitted, tmp_path):
    ae, rows = fitted
    cut = ae.truncate(2)
    np.testing.assert_array_equal(cut.transform(rows), ae.transform(rows)[:, :2])
    assert cut.code_size_ == 2
    diagnostics = ae._fitted.training_summary.diagnostics
    assert cut._fitted.training_summary.diagnostics.error == diagnostics.size_errors[2]
    cut.save(tmp_path / "cut.attar")
    loaded = attar.load(tmp_path / "cut.attar")
    np.testing.assert_array_equal(loaded.reconstruct(rows), cut.reconstruct(rows))
    again = loaded.truncate(1)
    np.testing.assert_array_equal(again.transform(rows), ae.transform(rows)[:, :1])
    assert again.sample(3).shape == (3, 8)


def test_in_training_every_size_is_equally_frequent():
    module = Ordered().build(5).train()
    z = module(torch.ones(100, 5)).z[0]
    kept = z.sum(1)
    assert torch.bincount(kept.long(), minlength=6).tolist() == [0, 20, 20, 20, 20, 20]
    torch.testing.assert_close(z, (torch.arange(5) < kept[:, None]).float())
    torch.testing.assert_close(module.eval()(torch.ones(3, 5)).z[0], torch.ones(3, 5))


def test_the_error_falls_to_that_of_the_whole_code(fitted):
    diagnostics = fitted[0]._fitted.training_summary.diagnostics
    assert diagnostics.size_errors == sorted(diagnostics.size_errors, reverse=True)
    assert diagnostics.size_errors[-1] == pytest.approx(diagnostics.error, rel=1e-5)


def test_invalid_truncations_are_refused(fitted):
    with pytest.raises(SettingError, match="can be truncated to 1 to 4 of them, not to 5"):
        fitted[0].truncate(5)
    with pytest.raises(SettingError, match="can be truncated to 1 to 4 of them, not to 0"):
        fitted[0].truncate(0)
    with pytest.raises(SettingError, match=r"trained_size .* must be an integer above 0"):
        Ordered(trained_size=4.5).build(3)
    other = attar.Autoencoder(code_size=2, epochs=1, verbose=False).fit(fitted[1][:50])
    with pytest.raises(SettingError, match="'point' cannot be truncated: fit with the"):
        other.truncate(1)
