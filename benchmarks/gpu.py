"""Small steps on a GPU: attar, with and without graphs, and its peers; then the tests of the GPU.

A plain and a variational autoencoder of MNIST, as in ``steps``, and a convolutional variational
one of synthetic images of 64 x 64 pixels. Each contender trains in a fresh process, in single
precision; the first epoch, which compiles and captures, is not counted. The rows of PyTorch's
loops are on the device, and their Adam is fused. An epoch of attar includes the measurement of its
loss. ``loss``: nats per row of other images, by one function for all.

Without a GPU the same runs on the CPU, where nothing is captured or compiled: with ``--rows 2000
--epochs 1`` in a minute.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module

import torch

from attar.training import graphs
from benchmarks import _shapes
from benchmarks._common import Rows, arguments, flat, in_fresh_process, mnist, report
from benchmarks.contenders import TASKS, Task, Trained

MODELS = {**TASKS, "conv": Task(4096, (), 16, 128, variational=True, channels=(16, 32, 64))}
CONTENDERS = ("attar", "one by one", "eager", "compiled", "pythae")
GOALS = "at least 8 x eager, no slower than compiled; ae: an epoch in 30 ms"
SHAPES, HELD_OUT = 20_000, 2_000


def images_of(name: str, part: str, most: int) -> Rows:
    """Return the images of a model, for training or for the test."""
    if name != "conv":
        return mnist(part)[:most]
    small, _ = _shapes.sample(min(most, SHAPES), seed=int(part == "test"))
    return small.repeat(2, axis=1).repeat(2, axis=2)


def fit_of(contender: str) -> Callable[[Task, Rows, int], Trained]:
    """Return how a contender trains."""
    module = {"one by one": "attar", "eager": "resident", "compiled": "resident"}
    fit = import_module(f"benchmarks.contenders.{module.get(contender, contender)}").fit
    if contender == "one by one":
        graphs.WARM_UP = sys.maxsize
    if contender == "compiled":
        return lambda *settings: fit(*settings, compiled=True)
    return fit


def run(contender: str, name: str, epochs: int, rows: int) -> dict[str, float]:
    """Return a contender's median seconds per epoch after the first, and its loss."""
    task, images = MODELS[name], images_of(name, "train", rows)
    trained = fit_of(contender)(task, images, epochs + 1)
    seconds = trained.epoch_seconds()
    loss = trained.loss(task, flat(images_of(name, "test", HELD_OUT)))
    return {"steps": -(-len(images) // task.batch_size) / seconds, "epoch": seconds, "loss": loss}


def main() -> None:
    options = arguments(__doc__, epochs=5, rows=60_000)
    found = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if found else "no GPU here: these are figures of the CPU"
    contenders = CONTENDERS if found else [c for c in CONTENDERS if c != "compiled"]
    result, table = {}, []
    for name in MODELS:
        done = {c: in_fresh_process(run, c, name, options.epochs, options.rows) for c in contenders}
        result[name] = done
        table += [
            {
                "": name,
                "contender": contender,
                "steps a second": one["steps"],
                "ms an epoch": 1000 * one["epoch"],
                "x eager": one["steps"] / done["eager"]["steps"],
                "loss": one["loss"],
            }
            for contender, one in done.items()
        ]
    report({**result, "device": device, "goals": GOALS}, table, options.json, "pythae")
    if found:
        tests = [sys.executable, "-m", "pytest", "-n", "8", "tests/test_gpu.py"]
        sys.exit(subprocess.run(tests, check=False).returncode)


if __name__ == "__main__":
    main()
