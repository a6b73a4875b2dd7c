"""The contenders of ``defaults``: each with its own defaults, and the same number of code units.

All get the same prepared rows, and return the reconstruction of test rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks._common import Rows


def pca(train: Rows, test: Rows, code_size: int, seed: int) -> Rows:
    """Principal components."""
    from sklearn.decomposition import PCA

    model = PCA(min(code_size, *train.shape), svd_solver="full").fit(train)
    return model.inverse_transform(model.transform(test))


def mlp_regressor(train: Rows, test: Rows, code_size: int, seed: int) -> Rows:
    """scikit-learn's ``MLPRegressor`` from rows to themselves, with one hidden layer, the code."""
    from sklearn.neural_network import MLPRegressor

    model = MLPRegressor(hidden_layer_sizes=(code_size,), random_state=seed).fit(train, train)
    return model.predict(test).reshape(test.shape)


def pyod(train: Rows, test: Rows, code_size: int, seed: int) -> Rows:
    """PyOD's ``AutoEncoder``, whose innermost layer is the code; it standardizes rows itself."""
    import torch
    from pyod.models.auto_encoder import AutoEncoder

    model = AutoEncoder(hidden_neuron_list=[64, code_size], random_state=seed, verbose=0)
    model.fit(train)
    model.model.eval()
    spread = model.X_std + 1e-8
    scaled = (test - model.X_mean) / spread
    with torch.no_grad():
        rows = model.model(torch.as_tensor(scaled, dtype=torch.float32)).numpy()
    return rows * spread + model.X_mean


def textbook(train: Rows, test: Rows, code_size: int, seed: int) -> Rows:
    """Keras's textbook program: a code of relu units, sigmoid outputs, binary cross-entropy."""
    import os

    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    from keras import layers

    low, span = train.min(0), np.ptp(train, axis=0)
    span = np.where(span > 0, span, 1)
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((train.shape[1],)),
            layers.Dense(code_size, activation="relu"),
            layers.Dense(train.shape[1], activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy")
    unit = (train - low) / span
    model.fit(unit, unit, epochs=50, batch_size=256, shuffle=True, verbose=0)
    return model.predict((test - low) / span, verbose=0) * span + low


CONTENDERS: dict[str, Callable[[Rows, Rows, int, int], Rows]] = {
    "pca": pca,
    "mlp_regressor": mlp_regressor,
    "pyod": pyod,
    "textbook": textbook,
}
