"""torch's settings and random numbers belong to the user: no result depends on or changes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock, RLock
from typing import Any

import torch

# torch's random state belongs to the whole process: whoever draws from it takes turns.
TURN = RLock()
CPU = torch.device("cpu")


class SinglePrecision:
    """torch's default precision, single while any thread is inside, and then the user's again."""

    def __init__(self) -> None:
        self.lock, self.inside, self.before = Lock(), 0, torch.float32

    def __enter__(self) -> None:
        with self.lock:
            if not self.inside:
                self.before = torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            self.inside += 1

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                torch.set_default_dtype(self.before)


SINGLE_PRECISION = SinglePrecision()


@contextmanager
def default_settings() -> Iterator[None]:
    """Compute with torch's own defaults, and restore the user's settings at the end.

    These are gradients, inference mode, autocast, the default precision and the default device.

    Examples
    --------
    >>> with torch.inference_mode(), default_settings():
    ...     (torch.ones(1, requires_grad=True) + 1).requires_grad
    True
    """
    with ExitStack() as stack:
        stack.enter_context(SINGLE_PRECISION)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda", "mps", "xpu"):
            if torch.is_autocast_enabled(device):
                # The cache is emptied by the outermost autocast only: it would keep old weights.
                off = torch.autocast(device, enabled=False, cache_enabled=False)
                stack.enter_context(off)
        # A context that stays open makes every call of torch slower.
        if torch.get_default_device() != CPU:
            stack.enter_context(CPU)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread, and restore torch's number of them at the end.

    Several wait for each other thousands of times in the decomposition of a matrix: minutes, where
    other jobs use the cores.

    Examples
    --------
    >>> with one_thread():
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def exact_products() -> Iterator[None]:
    """Multiply matrices in full single precision, and restore torch's setting at the end.

    With the user's own, factors may be rounded to 10 or 7 bits.

    Examples
    --------
    >>> with exact_products():
    ...     a, b = torch.full((1, 1), 4097.0), torch.full((1, 1), 4095.0)
    ...     (a @ b).item()
    16777215.0
    """
    backends = [
        getattr(one, "matmul", None) for one in (torch.backends.cuda, torch.backends.mkldnn)
    ]
    if not all(hasattr(backend, "fp32_precision") for backend in backends):  # before torch 2.9
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(precision)
        return
    before = _precisions(backends)
    _set_precisions(backends, ["ieee"] * len(before))
    try:
        yield
    finally:
        _set_precisions(backends, before)


def _precisions(backends: list[Any]) -> list[str]:
    return [backend.fp32_precision for backend in backends]


def _set_precisions(backends: list[Any], precisions: list[str]) -> None:
    for backend, precision in zip(backends, precisions, strict=True):
        backend.fp32_precision = precision


@contextmanager
def seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Draw from torch's generators with this seed, and restore their state at the end.

    Threads take turns, so that equal seeds give equal numbers in each.

    Examples
    --------
    >>> with seeded(0):
    ...     first = torch.rand(1)
    >>> with seeded(0):
    ...     bool(torch.rand(1) == first)
    True
    """
    cuda = device.type == "cuda"
    with TURN, torch.random.fork_rng([device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
