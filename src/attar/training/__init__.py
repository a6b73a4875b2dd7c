"""Step 7, learn: backpropagation, batch after batch."""

from attar.training.callbacks import Callback, Progress
from attar.training.optimizers import Adam, AdamW, Optimizer, RmsProp, Sgd
from attar.training.schedules import Constant, Cosine, OneCycle, Schedule

__all__ = [
    "Adam",
    "AdamW",
    "Callback",
    "Constant",
    "Cosine",
    "OneCycle",
    "Optimizer",
    "Progress",
    "RmsProp",
    "Schedule",
    "Sgd",
]
