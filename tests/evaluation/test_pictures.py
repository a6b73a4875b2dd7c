import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris

import attar
from attar.evaluation.pictures import reconstruction_picture


def picture(ae, X):
    fitted = ae.fitted_
    return reconstruction_picture(fitted.predictor, fitted.kind.rows(X))


def fitted(X, **settings):
    return attar.Autoencoder(epochs=1, code_size=2, random_state=0, verbose=False, **settings).fit(
        X
    )


def test_images_are_above_their_reconstructions():
    X = load_digits().images[:40].astype(np.uint8)
    ae = fitted(X, scaling="min-max")
    pixels = picture(ae, X)
    assert pixels.shape == (2 * 34, 8 * 34, 3)  # each pixel is 4 wide, and frames are black
    above, below = pixels.reshape(2, 34, 8, 34, 3).transpose(0, 2, 1, 3, 4)[:, :, 1:-1:4, 1:-1:4]
    grey = X[:8] / X[:8].max()
    np.testing.assert_array_equal(above, np.rint(255 * grey)[..., None].repeat(3, -1))
    decoded = ae.fitted_.predictor.decode(ae.transform(X[:8]).astype(np.float32)).numpy()[:, 0]
    shades = np.rint(255 * (decoded / (X[:8].max() / X.max())).clip(0, 1))
    assert np.abs(below[..., 0] - shades).max() <= 1


def test_windows_are_lines_and_rows_of_tables_have_no_picture():
    series = attar.Series(np.sin(np.arange(99.0) / 5)[None], window=16)
    ae = fitted(series, network="linear")
    assert picture(ae, series).shape == (150, 1600, 3)
    iris = load_iris().data
    assert picture(fitted(iris), iris) is None


@pytest.mark.parametrize("side", [1, 300])
def test_large_images_are_reduced(side):
    X = np.random.default_rng(0).random((12, side, 300))
    assert picture(fitted(X, network="linear"), X).shape[1] == 8 * (100 + 2)
