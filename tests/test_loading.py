"""attar.load gives the estimator that a model file holds."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris

import attar
from attar import ModelFileError, SettingError
from attar.storage import read_model, write_model

X, y = load_iris(return_X_y=True)
HOLES = np.where(np.arange(X.size).reshape(X.shape) % 17 == 0, np.nan, X)
STEPS = np.sin(np.arange(120) / 4)[None]
FITTED = {
    "Autoencoder": lambda: attar.Autoencoder(code_size=2, epochs=1, random_state=0).fit(HOLES),
    "AnomalyDetector": lambda: attar.AnomalyDetector(0.1, random_state=0).fit(X),
    "Imputer": lambda: attar.Imputer(None, random_state=0).fit(HOLES),
    "Forecaster": lambda: attar.Forecaster(horizon=3).fit(STEPS),
    "Classifier": lambda: attar.Classifier(code_size=1, epochs=1, random_state=0).fit(X, y),
    "Regressor": lambda: attar.Regressor(code_size=1, epochs=1, random_state=0).fit(X, X[:, 2]),
    "Clusterer": lambda: attar.Clusterer(3, random_state=0).fit(X),
}


def result(estimator):
    """What an estimator is for, of the rows of the fit."""
    if isinstance(estimator, attar.Forecaster):
        return estimator.predict()
    return estimator.predict(X) if hasattr(estimator, "predict") else estimator.transform(HOLES)


@pytest.mark.parametrize("name", FITTED)
def test_a_file_gives_the_estimator_that_was_saved(name, tmp_path):
    fitted = FITTED[name]()
    fitted.save(tmp_path / "m.attar")
    back = attar.load(tmp_path / "m.attar")
    assert type(back) is type(fitted) is getattr(attar, name)
    assert_array_equal(result(back), result(fitted))


def test_a_task_takes_no_network_and_no_device_and_must_be_known(tmp_path):
    path = tmp_path / "m.attar"
    FITTED["Clusterer"]().save(path)
    for wrong in ({"device": "cuda"}, {"network": (None, None)}):
        with pytest.raises(SettingError, match=r"holds a Clusterer, which takes no network"):
            attar.load(path, **wrong)
    with pytest.raises(ModelFileError, match=r"holds no Autoencoder: open it with attar.Clusterer"):
        attar.Autoencoder.load(path)
    tensors, description = read_model(path)
    write_model(path, tensors, description | {"task": "dreams"})
    with pytest.raises(ModelFileError, match="is for a task 'dreams', which this attar does not"):
        attar.load(path)
