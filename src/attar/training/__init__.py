"""Training: the loop, optimizers, learning rate schedules, callbacks, checkpoints."""

from attar.training.callbacks import Callback, MLflow, Progress, Pruning, TensorBoard, Trackio
from attar.training.optim import Constant, Cosine, OneCycle, Optimizer, Schedule

__all__ = [
    "Callback",
    "Constant",
    "Cosine",
    "MLflow",
    "OneCycle",
    "Optimizer",
    "Progress",
    "Pruning",
    "Schedule",
    "TensorBoard",
    "Trackio",
]
