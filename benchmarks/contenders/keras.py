"""Keras on TensorFlow, trained by ``fit``."""

from __future__ import annotations

import os
import time

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
from keras import layers, ops

from benchmarks._common import Rows, flat
from benchmarks.contenders import LEARNING_RATE, Task, Trained


class Sampling(layers.Layer):
    """Samples a code from mean and log-variance, and adds the KL divergence from the prior."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        # Keras's cross-entropy is a mean over pixels, so the divergence is divided by their number.
        self.weight = 1 / task.pixels
        self.generator = keras.random.SeedGenerator(0)

    def call(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Return the samples."""
        mean, log_variance = ops.split(features, 2, axis=-1)
        divergence = -0.5 * ops.sum(1 + log_variance - mean**2 - ops.exp(log_variance), axis=-1)
        self.add_loss(self.weight * ops.mean(divergence))
        noise = keras.random.normal(ops.shape(mean), seed=self.generator)
        return mean + ops.exp(0.5 * log_variance) * noise


class Stamps(keras.callbacks.Callback):
    """Records when each epoch ends."""

    def __init__(self) -> None:
        super().__init__()
        self.stamps: list[float] = []

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Record the time."""
        self.stamps.append(time.perf_counter())


def fit(task: Task, images: Rows, epochs: int) -> Trained:
    """Return the trained model."""
    keras.utils.set_random_seed(0)
    last = None if task.variational else "relu"
    encoder = _perceptron(task.pixels, task.hidden, task.features, last)
    decoder = _perceptron(task.code_size, task.hidden[::-1], task.pixels, "sigmoid")
    between = [Sampling(task)] if task.variational else []
    model = keras.Sequential([keras.Input((task.pixels,)), encoder, *between, decoder])
    model.compile(keras.optimizers.Adam(LEARNING_RATE), "binary_crossentropy")
    rows, stamps = flat(images), Stamps()
    model.fit(rows, rows, batch_size=task.batch_size, epochs=epochs, verbose=0, callbacks=[stamps])
    return Trained(
        stamps.stamps,
        lambda x: encoder.predict(x, verbose=0),
        lambda z: decoder.predict(z, verbose=0),
    )


def _perceptron(
    start: int, hidden: tuple[int, ...], end: int, last: str | None
) -> keras.Sequential:
    between = [layers.Dense(width, activation="relu") for width in hidden]
    return keras.Sequential([keras.Input((start,)), *between, layers.Dense(end, activation=last)])
