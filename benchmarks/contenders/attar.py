"""attar with the network, batches and steps of the others."""

from __future__ import annotations

import time

import torch

import attar
from attar.codes import Gaussian, Point
from attar.networks import Conv, Mlp
from attar.training import Optimizer
from attar.training.callbacks import Callback, Progress
from benchmarks._common import Rows
from benchmarks.contenders import LEARNING_RATE, Task, Trained


class Stamps(Callback):
    """Records when each epoch ends."""

    def __init__(self) -> None:
        self.stamps: list[float] = []

    def on_epoch(self, progress: Progress) -> None:
        """Record the time."""
        self.stamps.append(time.perf_counter())


def fit(task: Task, images: Rows, epochs: int) -> Trained:
    """Return the trained model."""
    stamps = Stamps()
    ae = attar.Autoencoder(
        attar.Recipe(Gaussian() if task.variational else Point("relu")),
        task.code_size,
        network=Conv(task.channels) if task.channels else Mlp(task.hidden),
        likelihood="bernoulli",
        scaling="min-max",
        epochs=epochs,
        batch_size=task.batch_size,
        learning_rate=LEARNING_RATE,
        optimizer=Optimizer("adam", {"betas": (0.9, 0.999)}),
        schedule="constant",
        validation_fraction=0,
        early_stopping=False,
        precision="float32",  # as the others compute
        random_state=0,
        callbacks=[stamps],
    ).fit(images)
    model, shape = ae.model_.cpu(), (1, *images.shape[1:])

    @torch.no_grad()
    def encode(rows: Rows) -> Rows:
        values = torch.from_numpy(rows).unflatten(1, shape)
        return (model.encoder if task.variational else model.encode)(values).numpy()

    @torch.no_grad()
    def decode(codes: Rows) -> Rows:
        return model.decode(torch.from_numpy(codes)).flatten(1).numpy()

    return Trained(stamps.stamps, encode, decode)
