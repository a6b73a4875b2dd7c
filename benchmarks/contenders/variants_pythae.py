"""Pythae's variants: its networks, trainers, samplers and settings."""

from __future__ import annotations

import io
import logging
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import torch
from pythae import models
from pythae.models import BaseAE, BaseAEConfig
from pythae.pipelines import TrainingPipeline
from pythae.samplers import BaseSampler, GaussianMixtureSampler, NormalSampler, VAMPSampler
from pythae.trainers import (
    AdversarialTrainerConfig,
    BaseTrainerConfig,
    CoupledOptimizerTrainerConfig,
)
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor

from benchmarks._common import Rows
from benchmarks.variants import BATCH_SIZE, CODE_SIZE, MIXTURES, PIXELS, Trained

SIZES = {"input_dim": (PIXELS,), "latent_dim": CODE_SIZE}
BINARY = {**SIZES, "reconstruction_loss": "bce"}

# Hyperparameters are Pythae's defaults, but for beta-VAE, whose default beta is 1.
MODELS: dict[str, tuple[Callable[[BaseAEConfig], BaseAE], BaseAEConfig]] = {
    "ae": (models.AE, models.AEConfig(**SIZES)),
    "vae": (models.VAE, models.VAEConfig(**BINARY)),
    "beta-vae": (models.BetaVAE, models.BetaVAEConfig(beta=4.0, **BINARY)),
    "iwae": (models.IWAE, models.IWAEConfig(**BINARY)),
    "wae-mmd": (models.WAE_MMD, models.WAE_MMD_Config(**SIZES)),
    "vamp": (models.VAMP, models.VAMPConfig(**BINARY)),
    "vq-vae": (models.VQVAE, models.VQVAEConfig(**SIZES)),
    "rae-l2": (models.RAE_L2, models.RAE_L2_Config(**SIZES)),
    "factor-vae": (models.FactorVAE, models.FactorVAEConfig(**BINARY)),
    "iaf": (models.VAE_IAF, models.VAE_IAF_Config(**BINARY)),
}

TRAINERS = {"rae-l2": CoupledOptimizerTrainerConfig, "factor-vae": AdversarialTrainerConfig}


class Stamps(TrainingCallback):
    """Records when training begins and each epoch ends."""

    def __init__(self) -> None:
        self.stamps: list[float] = []

    def on_train_begin(self, training_config: BaseTrainerConfig, **kwargs: object) -> None:
        """Record the time."""
        self.stamps.append(time.perf_counter())

    def on_epoch_end(self, training_config: BaseTrainerConfig, **kwargs: object) -> None:
        """Record the time."""
        self.stamps.append(time.perf_counter())


def fit(variant: str, rows: Rows, epochs: int, seed: int) -> Trained:
    """Return the trained model."""
    build, config = MODELS[variant]
    stamps, data = Stamps(), torch.from_numpy(rows)
    logging.disable()
    torch.manual_seed(seed)
    model = build(config)
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        training = TRAINERS.get(variant, BaseTrainerConfig)(
            output_dir=folder,
            per_device_train_batch_size=BATCH_SIZE,
            num_epochs=epochs,
            seed=seed,
        )
        pipeline = TrainingPipeline(model, training)
        pipeline(data, callbacks=[stamps])
        best = model.load_from_folder(str(Path(pipeline.trainer.training_dir, "final_model")))
    best.eval()

    @torch.no_grad()
    def nll(rows: Rows, draws: int) -> float:
        with redirect_stdout(io.StringIO()):
            return -float(best.get_nll(torch.from_numpy(rows), draws))

    @torch.no_grad()
    def sample(n: int) -> Rows:
        return sampler(variant, best, data).sample(n).numpy()

    @torch.no_grad()
    def reconstruct(rows: Rows) -> Rows:
        return reconstructed(best, torch.from_numpy(rows)).numpy()

    return Trained(stamps.stamps, reconstruct, nll, sample)


def reconstructed(model: BaseAE, rows: Tensor) -> Tensor:
    """Return the reconstruction of rows from their codes, or from the means of these.

    In two models ``predict`` skips the steps after the encoder.
    """
    if isinstance(model, models.VQVAE):
        return model.reconstruct(rows)
    if isinstance(model, models.VAE_IAF):
        codes = model.iaf_flow.inverse(model.encoder(rows).embedding).out
        return model.decoder(codes).reconstruction
    return model.predict(rows).recon_x


def sampler(variant: str, model: BaseAE, rows: Tensor) -> BaseSampler:
    """Return the sampler of new rows, fitted where it must be."""
    if variant in MIXTURES:
        mixture = GaussianMixtureSampler(model)
        mixture.fit(rows)
        return mixture
    return VAMPSampler(model) if isinstance(model, models.VAMP) else NormalSampler(model)
