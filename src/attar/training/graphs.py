"""Steps of a training: made one by one, or captured in a CUDA graph and replayed.

A small step is some hundred operations of microseconds, and a GPU waits while Python launches each.
A graph is launched as a whole. What it reads must stay where it was: rows, learning rate and
progress are written into tensors of fixed places, and random numbers are torch's to advance.
"""

from __future__ import annotations

import random
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import torch
from sklearn.utils import check_random_state
from torch import Tensor, distributed, nn

from attar.errors import first_line, warn
from attar.objective import Objective

# Steps of each shape before one is captured: libraries choose their algorithms in these.
WARM_UP = 3

# Steps of a training from which captures pay: one takes as long as some dozens of steps.
CAPTURED_FROM = 200

Work = Callable[[], None]


class Steps(ABC):
    """The steps of a training, in a context that is entered for all of them.

    Parameters
    ----------
    step : callable
        Makes a step on the rows of a batch.
    objective : Objective
    optimizers : list of Optimizer
    """

    def __init__(
        self,
        step: Callable[[Tensor], None],
        objective: Objective,
        optimizers: list[torch.optim.Optimizer],
    ) -> None:
        self.step, self.objective, self.optimizers = step, objective, optimizers

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *error: object) -> None:
        """Return to where the context was entered."""

    @abstractmethod
    def renew(self) -> None:
        """Take notice of what was changed since the last step."""

    @abstractmethod
    def set(self, rate: float, progress: float) -> None:
        """Set the learning rate and the progress of the next steps."""

    @abstractmethod
    def __call__(self, rows: Tensor) -> None:
        """Make a step on the rows of a batch."""

    def _set(self, rate: float | Tensor, progress: float | Tensor) -> None:
        self.objective.progress = progress
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate


class OneByOne(Steps):
    """Steps whose operations are launched one by one."""

    def __exit__(self, *error: object) -> None:
        """Do nothing."""

    def renew(self) -> None:
        """Do nothing."""

    def set(self, rate: float, progress: float) -> None:
        """Set the learning rate and the progress of the next steps."""
        self._set(rate, progress)

    def __call__(self, rows: Tensor) -> None:
        """Make a step on the rows of a batch."""
        self.step(rows)


class Graphs(ABC):
    """Captures work in graphs."""

    @abstractmethod
    def stream(self) -> AbstractContextManager[object]:
        """Return a context in which all work is done, captured or not."""

    @abstractmethod
    def waits(self, work: Work) -> bool:
        """Do some work, and return whether the host waited for a result meanwhile."""

    @abstractmethod
    def captured(self, work: Work) -> Work:
        """Return how to repeat some work, which is not done now."""


class CudaGraphs(Graphs):
    """Captures work on a GPU in CUDA graphs.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Use a stream of its own, as work on the default one cannot be captured."""
        before = torch.cuda.current_stream(self.device)
        own = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        own.wait_stream(before)
        try:
            with torch.cuda.stream(own):
                yield
        finally:
            before.wait_stream(own)

    def waits(self, work: Work) -> bool:
        """Do some work, and return whether the host waited for a result meanwhile."""
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                work()
            finally:
                torch.cuda.set_sync_debug_mode(before)
        return any("synchronizing CUDA operation" in str(one.message) for one in caught)

    def captured(self, work: Work) -> Work:
        """Return how to repeat some work, which is not done now."""
        graph = torch.cuda.CUDAGraph()
        generator = torch.cuda.default_generators[torch.cuda.current_device()]
        before = generator.clone_state()
        try:
            # Another thread may lock pages for the next rows.
            stream, mode = torch.cuda.current_stream(), "thread_local"
            with torch.cuda.graph(graph, stream=stream, capture_error_mode=mode):
                work()
        except BaseException:
            # A capture that fails leaves a generator that refuses to draw.
            generator.graphsafe_set_state(before)
            raise
        replay: Work = graph.replay
        return replay


@dataclass
class SameShape:
    """Steps on batches of one shape: how many were made, and how to repeat one."""

    made: int = 0
    rows: Tensor = field(default_factory=lambda: torch.empty(0))
    repeat: Work | None = None
    latest_terms: dict[str, Tensor] = field(default_factory=dict)


class Replayed(Steps):
    """Steps that are captured once for each shape of batches, and replayed.

    Steps stay one by one, with a warning that says why, where one depends on what the host does
    meanwhile: reads a result, draws random numbers, or changes an attribute of a module. All of it
    is found in a step like any other, so that none is lost.

    Parameters
    ----------
    step, objective, optimizers
        As of :class:`Steps`.
    device : torch.device
    graphs : Graphs

    Attributes
    ----------
    obstacle : str or None
        Why steps are made one by one.
    """

    def __init__(
        self,
        step: Callable[[Tensor], None],
        objective: Objective,
        optimizers: list[torch.optim.Optimizer],
        device: torch.device,
        graphs: Graphs,
    ) -> None:
        super().__init__(step, objective, optimizers)
        self.graphs, self.device = graphs, device
        self.rate, self.progress = torch.zeros((), device=device), torch.zeros((), device=device)
        self.shapes: dict[torch.Size, SameShape] = {}
        self.surroundings: dict[str, object] = {}
        self.obstacle: str | None = None

    def __enter__(self) -> Self:
        self.context = self.graphs.stream()
        self.context.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Drop all graphs, and leave their stream."""
        self.shapes.clear()
        self.context.__exit__(None, None, None)

    def renew(self) -> None:
        """Drop graphs of a model whose attributes or tensors are others by now."""
        now = self._surroundings()
        if now != self.surroundings:
            self.shapes.clear()
            self.surroundings = now

    def set(self, rate: float, progress: float) -> None:
        """Set the learning rate and the progress of the next steps, without waiting for any."""
        self.rate.fill_(rate)
        self.progress.fill_(progress)
        self._set(self.rate, self.progress)

    def __call__(self, rows: Tensor) -> None:
        """Make a step on the rows of a batch."""
        if self.obstacle is not None:
            self.step(rows)
            return
        shape = self.shapes.setdefault(rows.shape, SameShape())
        if shape.made == WARM_UP and shape.repeat is None:
            self._capture(shape, rows)
        if shape.repeat is not None:
            shape.rows.copy_(rows)
            self.objective.latest_terms = shape.latest_terms
            shape.repeat()
            return
        shape.made += 1
        if shape.made == WARM_UP:
            self._watch(rows)
        else:
            self.step(rows)

    def _watch(self, rows: Tensor) -> None:
        """Make a step, and find out what of it a graph would leave out."""
        before = random_states() | self._surroundings()
        waits = self.graphs.waits(partial(self.step, rows))
        after = random_states() | self._surroundings()
        changed = [name for name, value in after.items() if before.get(name) != value]
        if waits:
            self._give_up("the processor reads results of a step")
        elif changed:
            self._give_up(f"a step changes {changed[0]}")
        self.surroundings = self._surroundings()

    def _capture(self, shape: SameShape, rows: Tensor) -> None:
        shape.rows = rows.clone()
        flags = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        try:
            # Of a fused optimizer nothing else depends on it, and it warns outside a capture.
            for group in flags:
                group["capturable"] = True
            shape.repeat = self.graphs.captured(partial(self.step, shape.rows))
            shape.latest_terms = self.objective.latest_terms
        except Exception as error:  # of a driver, or of a user's module
            self._give_up(first_line(error))
        finally:
            for group in flags:
                group["capturable"] = False

    def _give_up(self, obstacle: str) -> None:
        self.obstacle = obstacle
        self.shapes.clear()
        warn(f"The GPU gets the operations of each step one by one, which is slower: {obstacle}.")

    def _surroundings(self) -> dict[str, object]:
        """Return what is fixed in a graph: attributes of modules, and where tensors are."""
        objective = self.objective
        modules = nn.ModuleList([objective.model, objective.heads, *objective.critics.values()])
        states = (state for each in self.optimizers for state in each.state.values())
        tensors = [*modules.parameters(), *modules.buffers()]
        tensors += [tensor for state in states for tensor in state.values()]
        return {
            "where a tensor is": [tensor.data_ptr() for tensor in tensors],
            **{
                f"{type(module).__name__}.{name} of module {number}": value
                for number, module in enumerate(modules.modules())
                for name, value in vars(module).items()
                if isinstance(value, bool | int | float | str | None)
            },
        }


def random_states() -> dict[str, object]:
    """Return the states of the random numbers that the processor draws."""
    # NumPy's own, whose state holds an array.
    numpy = check_random_state(None).get_state(legacy=False)
    return {
        "torch's random numbers": torch.get_rng_state().tolist(),
        "NumPy's random numbers": repr({**numpy["state"], "key": numpy["state"]["key"].tolist()}),
        "Python's random numbers": random.getstate(),
    }


def steps_of(
    step: Callable[[Tensor], None],
    objective: Objective,
    optimizers: list[torch.optim.Optimizer],
    steps: int,
) -> Steps:
    """Return how so many steps are made: replayed on a GPU, where that pays and can be done.

    A fused optimizer counts its steps on the device; processes wait for each other in a step.
    """
    device = next(objective.model.parameters()).device
    fused = all(group.get("fused") for each in optimizers for group in each.param_groups)
    alone = not (distributed.is_available() and distributed.is_initialized())
    if device.type == "cuda" and fused and alone and steps >= CAPTURED_FROM:
        return Replayed(step, objective, optimizers, device, CudaGraphs(device))
    return OneByOne(step, objective, optimizers)
