"""Training: the loop, optimizers, learning rate schedules, callbacks, checkpoints."""

from attar.training.callbacks import Callback, Progress
from attar.training.optim import Constant, Cosine, OneCycle, Optimizer, Schedule

__all__ = [
    "Callback",
    "Constant",
    "Cosine",
    "OneCycle",
    "Optimizer",
    "Progress",
    "Schedule",
]
