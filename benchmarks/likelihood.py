"""Test likelihood of MNIST in nats, beside published values.

``vae``: 784-400-40 on digits binarized once; 89.8 nats are published after 500 epochs, here 60.
``iwae``: 784-200-200-50 with 50 samples of each code, digits binarized at each epoch; Burda, Grosse
and Salakhutdinov (2016) report 84.8 after 3,280 epochs, here 40 minutes.

The negative log-likelihood of the test set is importance sampled. Settings were chosen on rows
held out of the training set.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import attar
from attar.bounds import ImportanceWeighted, Multiple
from attar.codes import Gaussian
from attar.data.stream import Stream
from attar.networks import Mlp
from attar.training import Optimizer
from benchmarks._common import Rows, arguments, flat, mnist, report

GOALS = {"vae": 89.0, "iwae": 86.0}
PIECE = 5000


def binarized(images: Rows, generator: np.random.Generator) -> Rows:
    """Return a Bernoulli sample of each pixel's brightness: bytes (n, pixels)."""
    rows = flat(images)
    return (generator.random(rows.shape, dtype=np.float32) < rows).astype(np.uint8)


class Binarized(Stream):
    """Images that are binarized again in each pass."""

    def __init__(self, images: Rows, seed: int) -> None:
        self.images, self.generator = images, np.random.default_rng(seed)

    @property
    def fingerprint(self) -> str:
        """A name: no training resumes from a checkpoint here."""
        return "binarized"

    def __iter__(self) -> Iterator[Rows]:
        for start in range(0, len(self.images), PIECE):
            yield binarized(self.images[start : start + PIECE], self.generator)


def vae(epochs: int, seed: int) -> attar.Autoencoder:
    """Return the model of 784-400-40; its ELBO is the mean over six samples."""
    return attar.Autoencoder(
        attar.Recipe(Gaussian(), bound=Multiple(6, 1)),
        40,
        network=Mlp((400,), "silu"),
        epochs=epochs,
        batch_size=128,
        optimizer=Optimizer("adamw"),
        learning_rate=0.008,
        random_state=seed,
    )


def iwae(minutes: float, seed: int) -> attar.Autoencoder:
    """Return the model of 784-200-200-50."""
    return attar.Autoencoder(
        attar.Recipe(Gaussian(), bound=ImportanceWeighted(50)),
        50,
        network=Mlp((200, 200), "silu"),
        epochs=1000,
        max_minutes=minutes,
        early_stopping=False,
        batch_size=64,
        learning_rate=0.003,
        random_state=seed,
    )


def main() -> None:
    """Fit the model, and print its likelihood."""
    options = arguments(__doc__, model="vae", epochs=60, minutes=40, seed=0, draws=1000)
    train, test = mnist("train"), mnist("test")
    data: Any
    if options.model == "vae":
        ae, data = vae(options.epochs, options.seed), binarized(train, np.random.default_rng(0))
    else:
        ae, data = iwae(options.minutes, options.seed), Binarized(train, 0)
    ae.set_params(likelihood="bernoulli", scaling="none", validation_fraction=1 / 60)
    started = time.perf_counter()
    ae.fit(data)
    seconds = time.perf_counter() - started
    test_rows = binarized(test, np.random.default_rng(1))
    nats = -float(ae.score_samples(test_rows, draws=options.draws).mean())
    result = {
        "model": options.model,
        "nats": nats,
        "goal": GOALS[options.model],
        "epochs": len(ae.history_),
        "seconds": seconds,
        "validation_bound": ae.history_.validation_loss.min(),
    }
    report(result, [result], options.json, "attar")


if __name__ == "__main__":
    main()
