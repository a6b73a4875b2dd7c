"""attar's variants with Pythae's network, batches, samples and weights."""

from __future__ import annotations

import time

import attar
from attar.codes import InverseAutoregressive, VectorQuantized
from attar.likelihoods import Bernoulli, FixedGaussian
from attar.networks import Mlp
from attar.penalties import CodeNorm, DecoderWeights, DensityRatio, MaximumMeanDiscrepancy
from attar.recipes import recipe
from attar.training.callbacks import Callback, Progress
from benchmarks._common import Rows
from benchmarks.variants import (
    BATCH_SIZE,
    CODE_SIZE,
    DENSITIES,
    HIDDEN,
    MIXTURES,
    Trained,
)

# The sum of squared errors, as Pythae has it; its decoder ends in a sigmoid there, attar's in none.
SQUARES = FixedGaussian(variance=0.5)

# Set here: settings with the same meaning in Pythae; all else is the recipe's.
RECIPES = {
    "ae": recipe("ae"),
    "vae": recipe("vae"),
    "beta-vae": recipe("beta-vae").replace(code__beta=4.0),
    "iwae": recipe("iwae").replace(bound__samples=10),
    # Pythae weighs the sum of seven kernels by 0.03, and attar their mean.
    "wae-mmd": recipe("wae-mmd").replace(penalties=(MaximumMeanDiscrepancy(7 * 0.03),)),
    "vamp": recipe("vamp").replace(code__prior__components=50),
    # One symbol of 512 for an image; Pythae's commitment is to the mean of 16 squares, attar's to
    # their sum. The codebook follows its symbols by attar's moving means, and not by steps.
    "vq-vae": recipe("vq-vae").replace(
        code=VectorQuantized(codebook=512, dim=CODE_SIZE, commitment=0.25 / CODE_SIZE)
    ),
    "rae-l2": recipe("rae-l2").replace(penalties=(CodeNorm(1e-4), DecoderWeights(1e-7))),
    # The critic is attar's: two layers of 256, not five of 1,000. It is trained on all rows of a
    # batch, as is the model; Pythae splits each batch between them.
    "factor-vae": recipe("factor-vae").replace(penalties=(DensityRatio(2.0),)),
    # The masked networks have Pythae's layers; in attar they also get features of the row.
    "iaf": recipe("iaf").replace(code__flow=InverseAutoregressive(2, (128, 128, 128))),
}


class Stamps(Callback):
    """Records when training begins and each epoch ends."""

    def __init__(self) -> None:
        self.stamps: list[float] = []

    def on_start(self, progress: Progress) -> None:
        """Record the time."""
        self.stamps.append(time.perf_counter())

    def on_epoch(self, progress: Progress) -> None:
        """Record the time."""
        self.stamps.append(time.perf_counter())


def fit(variant: str, rows: Rows, epochs: int, seed: int) -> Trained:
    """Return the trained model."""
    stamps = Stamps()
    ae = attar.Autoencoder(
        RECIPES[variant],
        CODE_SIZE,
        network=Mlp((HIDDEN,), "relu"),
        likelihood=Bernoulli() if variant in DENSITIES else SQUARES,
        scaling="none",
        epochs=epochs,
        batch_size=BATCH_SIZE,
        validation_fraction=0,
        early_stopping=False,
        random_state=seed,
        callbacks=[stamps],
    ).fit(rows)
    sampler = "mixture" if variant in MIXTURES else "prior"
    return Trained(
        stamps.stamps,
        ae.reconstruct,
        lambda rows, draws: -float(ae.score_samples(rows, draws=draws).mean()),
        lambda n: ae.sample(n, sampler=sampler, random_state=seed),
    )
