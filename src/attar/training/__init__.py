"""Step 7, learn: backpropagation, batch after batch."""

from attar.training.callbacks import Callback, Progress
from attar.training.optimizers import Optimizer
from attar.training.schedules import Constant, Cosine, OneCycle, Schedule

__all__ = [
    "Callback",
    "Constant",
    "Cosine",
    "OneCycle",
    "Optimizer",
    "Progress",
    "Schedule",
]
