"""Pythae's models in Pythae's own trainer, without its output."""

from __future__ import annotations

import io
import logging
import tempfile
import time
from contextlib import redirect_stderr

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import AE, VAE, AEConfig, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor

from benchmarks._common import Rows, flat
from benchmarks.contenders import LEARNING_RATE, Task, Trained
from benchmarks.contenders import torch_parts as parts


class Encoder(BaseEncoder):
    """The encoder in Pythae's interface."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.variational, self.body = task.variational, parts.encoder(task)

    def forward(self, x: Tensor) -> ModelOutput:
        """Return the code, or its mean and log-variance."""
        features = self.body(x)
        if not self.variational:
            return ModelOutput(embedding=features)
        mean, log_variance = features.chunk(2, dim=-1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    """The decoder in Pythae's interface."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.body = parts.decoder(task)

    def forward(self, z: Tensor) -> ModelOutput:
        """Return the probabilities."""
        return ModelOutput(reconstruction=self.body(z))


class CrossEntropyAE(AE):
    """Pythae's AE, which has squared error only, with the loss of all contenders."""

    def loss_function(self, recon_x: Tensor, x: Tensor) -> Tensor:
        """Return nats per row."""
        return parts.cross_entropy(recon_x, x) / len(x)


class Stamps(TrainingCallback):
    """Records when each epoch ends."""

    def __init__(self) -> None:
        self.stamps: list[float] = []

    def on_epoch_end(self, training_config: BaseTrainerConfig, **kwargs: object) -> None:
        """Record the time."""
        self.stamps.append(time.perf_counter())


def fit(task: Task, images: Rows, epochs: int) -> Trained:
    """Return the trained model."""
    size = {"input_dim": (task.pixels,), "latent_dim": task.code_size}
    encoder, decoder = Encoder(task), Decoder(task)
    if task.variational:
        model = VAE(VAEConfig(reconstruction_loss="bce", **size), encoder, decoder)
    else:
        model = CrossEntropyAE(AEConfig(**size), encoder, decoder)
    rows, stamps = torch.from_numpy(flat(images)), Stamps()
    logging.disable()
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        config = BaseTrainerConfig(
            output_dir=folder,
            per_device_train_batch_size=task.batch_size,
            num_epochs=epochs,
            learning_rate=LEARNING_RATE,
            seed=0,
        )
        dataset = BaseDataset(rows, torch.zeros(len(rows)))
        BaseTrainer(model, dataset, training_config=config, callbacks=[stamps]).train()
    return parts.trained(stamps.stamps, encoder.body, decoder.body)
