"""The networks of the two contenders in plain PyTorch."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.networks import Conv
from benchmarks._common import Rows
from benchmarks.contenders import Task, Trained


def encoder(task: Task) -> nn.Sequential:
    """Return pixels -> features."""
    if task.channels:
        body = Conv(task.channels).encoder(task.shape, task.features)
        return nn.Sequential(nn.Unflatten(1, task.shape), body)
    layers = _perceptron(task.pixels, *task.hidden, task.features)
    return layers if task.variational else layers.append(nn.ReLU())


def decoder(task: Task) -> nn.Sequential:
    """Return code -> probabilities."""
    if task.channels:
        body = Conv(task.channels).decoder(task.code_size, task.shape)
        return nn.Sequential(body, nn.Flatten(), nn.Sigmoid())
    return _perceptron(task.code_size, *task.hidden[::-1], task.pixels).append(nn.Sigmoid())


def draw(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return a sampled code of each row, and the sum of the KL divergences from the prior."""
    mean, log_variance = features.chunk(2, dim=-1)
    z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
    return z, -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())


def cross_entropy(probabilities: Tensor, rows: Tensor) -> Tensor:
    """Return the sum over all cells."""
    return functional.binary_cross_entropy(probabilities, rows, reduction="sum")


def trained(stamps: list[float], encoder: nn.Module, decoder: nn.Module) -> Trained:
    """Return the modules as functions of arrays."""

    def predictor(module: nn.Module, rows: Rows) -> Rows:
        with torch.no_grad():
            return module.cpu().eval()(torch.from_numpy(rows)).numpy()

    return Trained(stamps, lambda x: predictor(encoder, x), lambda z: predictor(decoder, z))


def _perceptron(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
