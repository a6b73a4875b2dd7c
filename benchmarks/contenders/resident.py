"""A PyTorch loop whose rows are on the device: eager, or compiled to CUDA graphs."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from benchmarks._common import Rows, flat
from benchmarks.contenders import LEARNING_RATE, Task, Trained
from benchmarks.contenders import torch_parts as parts


def fit(task: Task, images: Rows, epochs: int, compiled: bool = False) -> Trained:
    """Return the trained model."""
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = torch.from_numpy(flat(images)).to(device)
    encoder, decoder = parts.encoder(task).to(device), parts.decoder(task).to(device)
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(weights, LEARNING_RATE, fused=True)

    def loss_of(batch: Tensor) -> Tensor:
        code = encoder(batch)
        z, divergence = parts.draw(code) if task.variational else (code, 0.0)
        return (parts.cross_entropy(decoder(z), batch) + divergence) / len(batch)

    loss = torch.compile(loss_of, mode="reduce-overhead") if compiled else loss_of
    stamps = []
    for _ in range(epochs):
        for places in torch.randperm(len(rows), device=device).split(task.batch_size):
            optimizer.zero_grad()
            loss(rows[places]).backward()
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        stamps.append(time.perf_counter())
    return parts.trained(stamps, encoder, decoder)
