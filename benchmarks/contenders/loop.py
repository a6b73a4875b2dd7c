"""A plain PyTorch loop, as in PyTorch's own example of a variational autoencoder."""

from __future__ import annotations

import time

import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks._common import Rows, flat
from benchmarks.contenders import LEARNING_RATE, Task, Trained
from benchmarks.contenders import torch_parts as parts


def fit(task: Task, images: Rows, epochs: int) -> Trained:
    """Return the trained model."""
    torch.manual_seed(0)
    rows = TensorDataset(torch.from_numpy(flat(images)))
    loader = DataLoader(rows, batch_size=task.batch_size, shuffle=True)
    encoder, decoder = parts.encoder(task), parts.decoder(task)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    stamps = []
    for _ in range(epochs):
        total = 0.0
        for (data,) in loader:
            optimizer.zero_grad()
            code = encoder(data)
            z, divergence = parts.draw(code) if task.variational else (code, 0.0)
            loss = parts.cross_entropy(decoder(z), data) + divergence
            loss.backward()
            total += loss.item()
            optimizer.step()
        stamps.append(time.perf_counter())
    return parts.trained(stamps, encoder, decoder)
