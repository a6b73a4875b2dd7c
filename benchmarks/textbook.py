"""The textbook autoencoder: Keras on TensorFlow for 50 epochs, against the same network in attar.

784 pixels, 32 rectified units, 784 sigmoids; binary cross-entropy; all of MNIST. Each fit runs in
a fresh process with its data in memory. A fit of a few rows loads what either library loads on
first use; then one whole fit is timed. The losses are of the test images, by one function for both.

Keras trains as in the textbook: 50 epochs of batches of 256. attar trains the same network and loss
from principal components, by a one-cycle schedule over one epoch. Its batch size and learning rate
were chosen by the loss on training images.
"""

from __future__ import annotations

import os
import time

from benchmarks._common import (
    Rows,
    arguments,
    cross_entropy,
    flat,
    in_fresh_process,
    middle,
    mnist,
    report,
    spread,
)

PIXELS, CODE_SIZE, BATCH_SIZE, WARM = 784, 32, 256, 1024


def keras_fit(seed: int, epochs: int) -> dict[str, float]:
    """Return the seconds of the textbook's fit, and its loss in nats per pixel."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    def fit(rows: Rows, epochs: int) -> keras.Model:
        model = keras.Sequential(
            [
                keras.Input((PIXELS,)),
                keras.layers.Dense(CODE_SIZE, activation="relu"),
                keras.layers.Dense(PIXELS, activation="sigmoid"),
            ]
        )
        model.compile(optimizer="adam", loss="binary_crossentropy")
        model.fit(rows, rows, epochs=epochs, batch_size=BATCH_SIZE, shuffle=True, verbose=0)
        return model

    rows, unseen = flat(mnist("train")), flat(mnist("test"))
    keras.utils.set_random_seed(seed)
    fit(rows[:WARM], 1)
    start = time.perf_counter()
    model = fit(rows, epochs)
    seconds = time.perf_counter() - start
    probabilities = model.predict(unseen, verbose=0)
    return {"seconds": seconds, "loss": cross_entropy(unseen, probabilities) / PIXELS}


def attar_fit(seed: int, epochs: int) -> dict[str, float]:
    """Return the seconds of attar's fit, and its loss in nats per pixel."""
    import torch

    import attar
    from attar.codes import Point
    from attar.networks import Mlp

    def fit(rows: Rows, epochs: int) -> attar.Autoencoder:
        return attar.Autoencoder(
            attar.Recipe(Point("relu")),
            CODE_SIZE,
            network=Mlp(()),
            likelihood="bernoulli",
            scaling="min-max",
            epochs=epochs,
            batch_size=128,
            learning_rate=0.025,
            validation_fraction=0,
            random_state=seed,
        ).fit(rows)

    images, unseen = mnist("train"), flat(mnist("test"))
    fit(images[:WARM], 1)
    start = time.perf_counter()
    ae = fit(images, epochs)
    seconds = time.perf_counter() - start
    with torch.no_grad():
        codes = ae.model_.encode(torch.from_numpy(unseen).unflatten(1, (1, 28, 28)))
        probabilities = ae.model_.decode(codes).numpy()
    return {"seconds": seconds, "loss": cross_entropy(unseen, probabilities) / PIXELS}


def main() -> None:
    options = arguments(__doc__, seeds=3, peer_epochs=50, epochs=1)
    peers, ours = [], []
    for seed in range(options.seeds):
        peers.append(in_fresh_process(keras_fit, seed, options.peer_epochs))
        ours.append(in_fresh_process(attar_fit, seed, options.epochs))
    seconds, peer_seconds = middle(ours, "seconds"), middle(peers, "seconds")
    contenders = {"keras": (peers, options.peer_epochs), "attar": (ours, options.epochs)}
    table = [
        {"": name, "seed": seed, "epochs": epochs, "seconds": run["seconds"], "loss": run["loss"]}
        for name, (runs, epochs) in contenders.items()
        for seed, run in enumerate(runs)
    ]
    result = {
        "peer_seconds": peer_seconds,
        "seconds": seconds,
        "speedup": peer_seconds / seconds,
        "peer_loss": middle(peers, "loss"),
        "loss": middle(ours, "loss"),
        "peer_epochs": options.peer_epochs,
        "epochs": options.epochs,
        "seeds": options.seeds,
        "spread": {
            "peer_seconds": spread(peers, "seconds"),
            "seconds": spread(ours, "seconds"),
            "peer_loss": spread(peers, "loss"),
            "loss": spread(ours, "loss"),
        },
    }
    report(result, table, options.json, "keras", "tensorflow")


if __name__ == "__main__":
    main()
