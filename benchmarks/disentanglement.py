"""Disentanglement of variational autoencoders on synthetic shapes with known factors.

Each recipe is trained on the same images with the same network and epochs; the codes of test images
are compared with their factors. A recipe's ``gain`` is its mutual information gap (MIG) less
that of the first recipe named, by medians over the seeds.
"""

from __future__ import annotations

import time
from dataclasses import asdict

from benchmarks._common import Rows, arguments, middle, report, spread
from benchmarks._shapes import sample

CODE_SIZE, HIDDEN = 10, (256, 256)


def run(
    recipe: str, images: Rows, epochs: int, test: Rows, factors: Rows, seed: int
) -> dict[str, float]:
    """Return the scores of a recipe's codes of test images, their error, and the seconds."""
    import attar
    from attar.evaluation.disentanglement import dci, factor_score, mig, sap
    from attar.networks import Mlp

    start = time.perf_counter()
    ae = attar.Autoencoder(
        recipe,
        CODE_SIZE,
        network=Mlp(HIDDEN),
        likelihood="bernoulli",
        epochs=epochs,
        validation_fraction=0,
        early_stopping=False,
        random_state=seed,
    ).fit(images)
    seconds = time.perf_counter() - start
    codes = ae.transform(test)
    return {
        "mig": mig(codes, factors),
        "sap": sap(codes, factors),
        **asdict(dci(codes, factors)),
        "factor_score": factor_score(codes, factors),
        "error": ae.evaluate(test)["error"],
        "seconds": seconds,
    }


def main() -> None:
    options = arguments(
        __doc__,
        recipes="vae,beta-tcvae,factor-vae",
        seeds=3,
        images=12_000,
        test=5_000,
        epochs=30,
    )
    images, _ = sample(options.images, seed=0)
    test, factors = sample(options.test, seed=1)
    result, table = {}, []
    for recipe in options.recipes.split(","):
        runs = [
            run(recipe, images, options.epochs, test, factors, seed)
            for seed in range(options.seeds)
        ]
        middles = {key: middle(runs, key) for key in runs[0]}
        table.append({"": recipe, **middles})
        gain = middles["mig"] - table[0]["mig"]
        result[recipe] = {**middles, "gain": gain, "spread": spread(runs, "mig")}
    settings = {key: value for key, value in vars(options).items() if key != "json"}
    report({"settings": settings, **result}, table, options.json)


if __name__ == "__main__":
    main()
