"""Time of a training step with one thread, with all of torch's, and with the automatic number.

Default fits of pendigits, of rows of 1,000 columns and of MNIST's images (conv) start beside 0, 1
and 3 processes that only count, and are stopped after some seconds. The three take turns, and the
fastest turn of each counts: the automatic number's time is compared with the better fixed one's.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from unittest.mock import patch

import numpy as np
import torch

from attar import Autoencoder
from attar.training import Callback, Progress
from attar.training.threads import Threads
from benchmarks._common import Rows, arguments, data_folder, mnist, report

JOBS = (0, 1, 3)
VARIANTS = ("one", "all", "automatic")


def pendigits() -> Rows:
    folder = data_folder()
    if folder is None:
        raise SystemExit("Set ATTAR_DATA to the folder of adbench/.")
    rows: Rows = np.load(folder / "adbench/28_pendigits.npz")["X"]
    return rows


def wide() -> Rows:
    random = np.random.default_rng(0)
    codes, weights = random.standard_normal((4000, 40)), random.standard_normal((40, 1000))
    rows: Rows = np.tanh(codes @ weights).astype(np.float32)
    return rows


def images() -> Rows:
    return mnist("test")[:4000]


TASKS: dict[str, tuple[Callable[[], Rows], str]] = {
    "pendigits": (pendigits, "auto"),
    "wide": (wide, "auto"),
    "images": (images, "conv"),
}


class EnoughError(Exception):
    """The time is over."""


class Clock(Callback):
    """Counts steps, and stops a training after some seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.steps = seconds, 0

    def on_start(self, progress: Progress) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_step(self, progress: Progress) -> None:
        """Count a step."""
        self.steps += 1
        self.passed = time.perf_counter() - self.started
        if self.passed > self.seconds:
            raise EnoughError


def fixed(number: int) -> Threads:
    """Return threads that are always so many."""
    threads = Threads()
    threads.number = number
    return threads


def step_time(rows: Rows, network: str, variant: str, seconds: float) -> float:
    """Return the mean seconds of a step."""
    clock = Clock(seconds)
    model = Autoencoder(network=network, callbacks=[clock], verbose=False)
    number = 1 if variant == "one" else torch.get_num_threads()
    made = fixed(number) if variant != "automatic" else None
    try:
        with patch("attar.fitted.Threads", lambda *a, **k: made or Threads(*a, **k)):
            model.fit(rows)
    except EnoughError:
        pass
    return clock.passed / clock.steps


@contextmanager
def beside(jobs: int) -> Iterator[None]:
    """Keep so many processes busy."""
    spawn = multiprocessing.get_context("spawn")
    busy = [spawn.Process(target=all, args=(count(1),), daemon=True) for _ in range(jobs)]
    for process in busy:
        process.start()
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.join()


def main() -> None:
    options = arguments(__doc__, seconds=2, repeats=4)
    result: dict[str, dict[str, float]] = {}
    for name, (make, network) in TASKS.items():
        rows = make()
        for jobs in JOBS:
            times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
            with beside(jobs):
                for _ in range(options.repeats):
                    for variant, done in times.items():
                        done.append(step_time(rows, network, variant, options.seconds))
            best = {variant: 1000 * min(done) for variant, done in times.items()}
            better = min(best["one"], best["all"])
            result[f"{name}, {jobs} jobs"] = {**best, "ratio": best["automatic"] / better}
    table = [{"": name, **times} for name, times in result.items()]
    report(result, table, options.json)


if __name__ == "__main__":
    main()
