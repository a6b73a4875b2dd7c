"""How far variational autoencoders find the factors that made images of shapes were drawn from.

Each recipe learns the same images with the same network and as many epochs; codes of other images
are then held against their factors. A recipe's ``gain`` is its mutual information gap (MIG) less
that of the first recipe named, by medians over the seeds.
"""

from __future__ import annotations

import time
from dataclasses import asdict

from benchmarks._common import Rows, arguments, middle, report, spread
from benchmarks._shapes import made

CODE_SIZE, HIDDEN = 10, (256, 256)


def run(
    recipe: str, images: Rows, epochs: int, unseen: Rows, factors: Rows, seed: int
) -> dict[str, float]:
    """Return the scores of a recipe's codes of unseen images, their error, and the seconds."""
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
    codes = ae.transform(unseen)
    return {
        "mig": mig(codes, factors),
        "sap": sap(codes, factors),
        **asdict(dci(codes, factors)),
        "factor_score": factor_score(codes, factors),
        "error": ae.evaluate(unseen)["error"],
        "seconds": seconds,
    }


def main() -> None:
    options = arguments(
        __doc__,
        recipes="vae,beta-tcvae,factor-vae",
        seeds=3,
        images=12_000,
        unseen=5_000,
        epochs=30,
    )
    images, _ = made(options.images, seed=0)
    unseen, factors = made(options.unseen, seed=1)
    result, table = {}, []
    for recipe in options.recipes.split(","):
        runs = [
            run(recipe, images, options.epochs, unseen, factors, seed)
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
