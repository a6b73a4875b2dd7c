"""The contenders of ``steps``, one file each, with the same network, batches and steps.

Each has ``fit(task, images, epochs)``, and is imported in a process of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks._common import Rows, cross_entropy

LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Task:
    """The model that all contenders train.

    Attributes
    ----------
    pixels : int
    hidden : tuple of int
        The encoder's hidden layers; the decoder has them in reverse.
    code_size, batch_size : int
    variational : bool
        Whether the encoder gives mean and log-variance; else it gives a rectified code.
    channels : tuple of int
        Those of the encoder's convolutions, of square images; none for perceptrons.
    """

    pixels: int
    hidden: tuple[int, ...]
    code_size: int
    batch_size: int
    variational: bool
    channels: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of an image."""
        side = math.isqrt(self.pixels)
        return 1, side, side

    @property
    def features(self) -> int:
        """The size of the encoder's output."""
        return 2 * self.code_size if self.variational else self.code_size


TASKS = {
    "ae": Task(784, (), 32, 256, variational=False),
    "vae": Task(784, (400,), 20, 128, variational=True),
}


@dataclass(frozen=True)
class Trained:
    """A model after its training.

    Attributes
    ----------
    stamps : list of float
        When each epoch ended, in seconds.
    encode, decode : callable
        Rows to features, and codes to probabilities.
    """

    stamps: list[float]
    encode: Callable[[Rows], Rows]
    decode: Callable[[Rows], Rows]

    def epoch_seconds(self) -> float:
        """Return the median of all epochs but the first."""
        return float(np.median(np.diff(self.stamps)))

    def loss(self, task: Task, rows: Rows) -> float:
        """Return cross-entropy, plus the KL divergence if variational, in nats per row."""
        features = self.encode(rows)
        if not task.variational:
            return cross_entropy(rows, self.decode(features))
        mean, log_variance = np.split(features, 2, axis=1)
        noise = np.random.default_rng(0).standard_normal(mean.shape, np.float32)
        rate = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(1).mean()
        z = mean + np.exp(0.5 * log_variance) * noise
        return float(rate) + cross_entropy(rows, self.decode(z))
