"""Ten published variants, Pythae's and attar's, with the same network, rows, batches and epochs.

784-512-16-512-784 on MNIST in batches of 64; each run in a fresh process. Pythae has its own
networks, optimizer (Adam, steps of 1e-4) and hyperparameters, attar its own optimizer and schedule;
a contender's file says which weights of loss terms were matched.

Variants with a density are trained on images binarized once, the others on grey ones. Test images
have the same form. Metrics of a run, lower is better:

- ``mse``: squared error per pixel of reconstructed test images, from deterministic codes;
- ``nll``: nats per binarized test image, importance sampled with 200 draws;
- ``distance``: Fréchet distance of 5,000 generated images from the grey test images, in the 64
  hidden units of a small classifier. ``ae``, ``rae-l2`` and ``vq-vae`` sample codes from a mixture
  of ten Gaussians fitted to codes, for both contenders; the others from their prior;
- ``seconds``: the median of an epoch, the first left out where there are more.

A metric of attar is no worse if its median over the seeds is greater by no more than the larger
of the contenders' ranges. A contender that fails is named in the table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks._common import (
    Rows,
    arguments,
    flat,
    in_fresh_process,
    middle,
    mnist,
    report,
    spread,
)

PIXELS, HIDDEN, CODE_SIZE, BATCH_SIZE = 784, 512, 16, 64
DRAWS, SAMPLES = 200, 5_000

DENSITIES = ("vae", "beta-vae", "iwae", "vamp", "factor-vae", "iaf")
MIXTURES = ("ae", "rae-l2", "vq-vae")
VARIANTS = "ae,vae,beta-vae,iwae,wae-mmd,vamp,vq-vae,rae-l2,factor-vae,iaf"

QUALITIES, GOAL = ("mse", "nll", "distance"), 0.5


@dataclass(frozen=True)
class Trained:
    """A model after its training.

    Attributes
    ----------
    stamps : list of float
        When training began and each epoch ended, in seconds.
    reconstruct : callable
        Rows (n, pixels) to rows.
    nll : callable
        Rows and a number of draws to nats per row.
    sample : callable
        A number of rows to generated rows.
    """

    stamps: list[float]
    reconstruct: Callable[[Rows], Rows]
    nll: Callable[[Rows, int], float]
    sample: Callable[[int], Rows]

    def epoch_seconds(self) -> float:
        """Return the median of all epochs but the first, or the first where it is the only one."""
        seconds = np.diff(self.stamps)
        return float(np.median(seconds[1:] if len(seconds) > 1 else seconds))


@dataclass(frozen=True)
class FeatureExtractor:
    """The hidden layer of a classifier of digits.

    Attributes
    ----------
    weights : array (pixels, features)
    biases : array (features,)
    """

    weights: Rows
    biases: Rows

    @classmethod
    def fit(cls) -> FeatureExtractor:
        """Return the extractor of a classifier trained on MNIST."""
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        from attar.data.source import read

        source = read("mnist/train")
        network = MLPClassifier((64,), max_iter=8, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(flat(source.data), source.labels)
        return cls(network.coefs_[0], network.intercepts_[0])

    def distance(self, rows: Rows, others: Rows) -> float:
        """Return the Fréchet distance of two sets of images (n, pixels)."""
        from attar.evaluation.generation import frechet_distance

        return frechet_distance(self._features(rows), self._features(others))

    def _features(self, rows: Rows) -> Rows:
        return np.maximum(rows @ self.weights + self.biases, 0)


def binarized(rows: Rows, seed: int) -> Rows:
    """Return a Bernoulli sample, 0 or 1, of each pixel's brightness."""
    generator = np.random.default_rng(seed)
    return (generator.random(rows.shape, dtype=np.float32) < rows).astype(np.float32)


def run(
    contender: str,
    variant: str,
    seed: int,
    rows: int,
    test: int,
    epochs: int,
    extractor: FeatureExtractor,
) -> dict[str, float]:
    """Return the metrics of a contender's variant."""
    has_density = variant in DENSITIES
    images, grey = mnist("train")[:rows], flat(mnist("test"))
    train_rows, test_rows = flat(images), grey
    if has_density:
        train_rows, test_rows = binarized(train_rows, 0), binarized(test_rows, 1)
    fit = import_module(f"benchmarks.contenders.variants_{contender}").fit
    trained: Trained = fit(variant, train_rows, epochs, seed)
    metrics = {"mse": float(np.square(trained.reconstruct(test_rows) - test_rows).mean())}
    if has_density:
        metrics["nll"] = trained.nll(test_rows[:test], DRAWS)
    metrics["distance"] = extractor.distance(grey, trained.sample(SAMPLES))
    return {**metrics, "seconds": trained.epoch_seconds()}


def compared(peers: list[dict[str, float]], ours: list[dict[str, float]]) -> dict[str, Any]:
    """Return the medians of both over seeds, and how they compare."""
    names = [name for name in (*QUALITIES, "seconds") if name in peers[0]]
    medians = {name: (middle(peers, name), middle(ours, name)) for name in names}
    ranges = {name: (spread(peers, name), spread(ours, name)) for name in names}
    widths = {name: max(most - least for least, most in both) for name, both in ranges.items()}
    worse = [
        name
        for name, (peer, our) in medians.items()
        if name in QUALITIES and not our <= peer + widths[name]
    ]
    peer_seconds, seconds = medians["seconds"]
    return {"medians": medians, "spread": ranges, "worse": worse, "ratio": seconds / peer_seconds}


def line(variant: str, found: dict[str, Any]) -> dict[str, Any]:
    """Return a variant's line of the table."""
    cells: dict[str, Any] = {"": variant}
    medians = found.get("medians", {})
    for name in (*QUALITIES, "seconds"):
        peer, our = medians.get(name, (np.nan, np.nan))
        cells |= {f"pythae {name}": peer, f"attar {name}": our}
    cells["ratio"] = found.get("ratio", np.nan)
    if "failed" in found:
        return {**cells, "no worse": "; ".join(found["failed"].values())}
    return {**cells, "no worse": "no: " + ", ".join(found["worse"]) if found["worse"] else "yes"}


def main() -> None:
    options = arguments(__doc__, rows=60_000, test=1_000, epochs=5, seeds=3, variants=VARIANTS)
    extractor = FeatureExtractor.fit()
    result: dict[str, dict[str, Any]] = {}
    for variant in options.variants.split(","):
        runs: dict[str, list[dict[str, float]]] = {"pythae": [], "attar": []}
        failed: dict[str, str] = {}
        for seed in range(options.seeds):
            for contender, done in runs.items():
                settings = (options.rows, options.test, options.epochs, extractor)
                try:
                    done.append(in_fresh_process(run, contender, variant, seed, *settings))
                except Exception as error:  # a peer that fails must not stop the others
                    first = f"{contender}: {error!r}".partition("\n")[0]
                    failed.setdefault(contender, first)
                    print(variant, seed, first, file=sys.stderr)
                else:
                    print(variant, seed, contender, done[-1], file=sys.stderr)
        result[variant] = {"failed": failed} if failed else compared(*runs.values())
    settings = {key: value for key, value in vars(options).items() if key != "json"}
    in_time = [name for name, found in result.items() if found.get("ratio", np.inf) <= GOAL]
    table = [line(variant, found) for variant, found in result.items()]
    report({"settings": settings, **result, "in_time": in_time}, table, options.json, "pythae")


if __name__ == "__main__":
    main()
