"""Likelihood: how many nats a digit takes, beside published figures.

``vae``: 784-400-40 on MNIST binarized once, where Pythae's authors cite 89.8 nats or more after 500
epochs; here in 60. ``iwae``: 784-200-200-50 with 50 draws of each code, on MNIST binarized anew in
each epoch (Burda et al., 2016, report 84.8 after 3,280 epochs); here in 40 minutes.

The negative log-likelihood of the test part is importance sampled. Settings were chosen on rows
held out of the training part.

    make bench NAME=likelihood ARGS="--model vae"
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks._common import arguments, flat, mnist, report

GOALS = {"vae": 89.0, "iwae": 86.0}


def binarized(images: Any, seed: int) -> Any:
    """Return images as coin flips, one for each pixel, of its brightness: bytes (n, pixels)."""
    rows = flat(images)
    chance = np.random.default_rng(seed)
    return (chance.random(rows.shape, dtype=np.float32) < rows).astype(np.uint8)


def vae(epochs: int, seed: int) -> Any:
    import attar

    return attar.Autoencoder(
        "vae",
        40,
        network=attar.networks.Mlp((400,), "relu"),
        likelihood="bernoulli",
        scaling="none",
        epochs=epochs,
        batch_size=128,
        validation_fraction=1 / 12,
        random_state=seed,
    )


def main() -> None:
    options = arguments(__doc__, epochs=60, seed=0, draws=200, test=1)
    rows = binarized(mnist("train"), 0)
    started = time.perf_counter()
    ae = vae(options.epochs, options.seed).fit(rows)
    seconds = time.perf_counter() - started
    best = min(epoch.judged for epoch in ae.history_)
    result = {"seconds": seconds, "held_out_bound": best}
    if options.test:
        test = binarized(mnist("test"), 1)
        result["nats"] = -float(ae.score_samples(test, draws=options.draws).mean())
    report(result, [result], options.json, "attar")


if __name__ == "__main__":
    main()
