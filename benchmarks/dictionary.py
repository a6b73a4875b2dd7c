"""A synthetic dictionary: which sparse codes recover it, and with how many dead units.

512 random directions in 128 dimensions. Each row is the sum of about 7 of them, with random sizes
and a little noise; the most common is active in every fifth row, the rarest in one of 300, by the
law of Zipf and Mandelbrot. Each fit has as many units as there are directions, a linear encoder and
decoder, and runs in a fresh process.

``cosine`` is that of each direction with the nearest column of the decoder, in the mean over
directions. A unit is dead if no test row activates it. The error is that of test rows, relative to
their variance.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from benchmarks._common import Rows, arguments, in_fresh_process, middle, report, spread

FEATURES, DIMENSIONS, ACTIVE, NOISE, TEST = 512, 128, 7, 0.02, 20_000

CONTENDERS = (
    "matryoshka",
    "sparse-batchtopk",
    "sparse-topk",
    "sparse-jumprelu",
    "sparse-gated",
    "sparse-l1",
)


@dataclass(frozen=True)
class Rowset:
    """Rows generated from features (512, 128), the dictionary."""

    features: Rows
    rows: Rows
    test: Rows

    @classmethod
    def of(cls, rows: int, seed: int) -> Rowset:
        """Return training rows, and 20,000 test rows."""
        generator = np.random.default_rng(seed)
        features = generator.standard_normal((FEATURES, DIMENSIONS))
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        frequency = 1 / (np.arange(FEATURES) + 9)
        frequency *= ACTIVE / frequency.sum()

        def sample(count: int) -> Rows:
            sizes = generator.uniform(0.5, 1.5, (count, FEATURES))
            clean = sizes * (generator.random((count, FEATURES)) < frequency) @ features
            noisy = clean + NOISE * generator.standard_normal(clean.shape)
            return noisy.astype(np.float32)

        return cls(features, sample(rows), sample(TEST))


def fit(name: str, rows: int, epochs: int, seed: int) -> dict[str, float]:
    """Return how well the dictionary is recovered, and the seconds of the fit."""
    import attar
    from attar.codes import BatchTopK, Gated, JumpRelu, Matryoshka, SparseL1, TopK
    from attar.penalties import L2

    # Weight decay: without it a small activity with large decoder weights evades an L1 penalty.
    recipes = {
        "matryoshka": attar.Recipe(Matryoshka(ACTIVE)),
        "sparse-batchtopk": attar.Recipe(BatchTopK(ACTIVE)),
        "sparse-topk": attar.Recipe(TopK(ACTIVE)),
        "sparse-jumprelu": attar.Recipe(JumpRelu(beta=0.1)),
        "sparse-gated": attar.Recipe(Gated(beta=0.1), penalties=(L2(1e-3),)),
        "sparse-l1": attar.Recipe(SparseL1(beta=0.1), penalties=(L2(1e-3),)),
    }
    data = Rowset.of(rows, seed)
    start = time.perf_counter()
    ae = attar.Autoencoder(
        recipes[name],
        FEATURES,
        network="linear",
        likelihood="gaussian",
        scaling="none",
        epochs=epochs,
        batch_size=512,
        learning_rate=0.003,
        validation_fraction=0,
        random_state=seed,
        verbose=False,
    ).fit(data.rows)
    seconds = time.perf_counter() - start
    columns = ae.model_.decoder[0].weight.detach().numpy()
    # The column of a dead unit may be zero, without a direction.
    lengths = np.maximum(np.linalg.norm(columns, axis=0), 1e-12)
    nearest = (data.features @ (columns / lengths)).max(1)
    active = ae.transform(data.test) > 0
    error = np.square(data.test - ae.reconstruct(data.test)).sum()
    return {
        "cosine": float(nearest.mean()),
        "found": int((nearest > 0.9).sum()),
        "dead": int((~active.any(0)).sum()),
        "active": float(active.sum(1).mean()),
        "error": float(error / np.square(data.test - data.test.mean(0)).sum()),
        "seconds": seconds,
    }


def main() -> None:
    options = arguments(__doc__, rows=100_000, epochs=15, seeds=1, only="")
    table, result = [], {}
    for name in [options.only] if options.only else CONTENDERS:
        runs = []
        for seed in range(options.seeds):
            runs.append(in_fresh_process(fit, name, options.rows, options.epochs, seed))
            table.append({"": name, "seed": seed, **runs[-1]})
        result[name] = {key: middle(runs, key) for key in runs[0]}
        result[name]["spread"] = {key: spread(runs, key) for key in runs[0]}
    settings = {"rows": options.rows, "epochs": options.epochs, "seeds": options.seeds}
    report({**settings, "recipes": result}, table, options.json)


if __name__ == "__main__":
    main()
