"""Step 7, learn: backpropagation, batch after batch."""

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
