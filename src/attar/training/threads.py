"""The number of threads of a training: the one with which steps take less time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

# Multiplications of a step's forward pass from which several threads may be faster, and from which
# they are used where time must not decide.
MEASURED_FROM, THREADS_FROM = 2**23, 2**26

# Steps that are compared: the latest ones with the number of threads in use, and new ones with the
# other.
RECENT, NEW = 8, 4

# The other number replaces the one in use where it takes less than this part of its time; several
# threads are compared again at once where steps take so many times as long as before.
BETTER, SLOWER = 0.9, 1.5

# Seconds between two comparisons: at least these, and so many times what the last one has cost.
SECONDS, COSTS = 5.0, 50


class Threads:
    """One thread, or all of torch's, whichever makes steps faster; restored at the end.

    Several threads wait for each other at each operation. On an idle machine they pay for large
    steps; where other jobs use the cores, a step can take hundreds of times as long as with one.
    Small steps use one thread. Of larger ones, a few are made with the other number now and then,
    and it is kept if their mean time is less.

    Threads divide some sums, which are then rounded differently. Where equal seeds must give equal
    numbers, time decides only if both numbers of threads give them; else the size of a step does.

    Parameters
    ----------
    work : int, default 0
        The multiplications of a step's forward pass.
    exact : bool, default False
        Whether equal seeds must give equal numbers.
    clock : callable, default time.perf_counter

    Attributes
    ----------
    number : int
        The threads in use.
    timed : bool
        Whether time decides.
    undecided : bool
        Whether :meth:`decide` has to find out first if it may.

    Examples
    --------
    >>> with Threads(work=1000) as threads:
    ...     with threads.step():
    ...         torch.get_num_threads()
    1
    """

    def __init__(
        self, work: int = 0, exact: bool = False, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.most, self.clock = torch.get_num_threads(), clock
        measurable = work >= MEASURED_FROM and self.most > 1
        self.timed, self.undecided = measurable and not exact, measurable and exact
        self.number = self.most if work >= THREADS_FROM and exact else 1
        self.recent: list[float] = []
        self.new: list[float] = []
        self.warm, self.comparing, self.usual, self.due = False, False, 0.0, clock()

    def __enter__(self) -> Threads:
        self.before = torch.get_num_threads()
        torch.set_num_threads(self.number)
        return self

    def __exit__(self, *error: object) -> None:
        torch.set_num_threads(self.before)

    def decide(self, numbers: Callable[[], Mapping[str, Tensor]]) -> None:
        """Let time decide if these numbers, those of a step, are the same with all threads."""
        torch.set_num_threads(1)
        one = numbers()
        torch.set_num_threads(self.most)
        several = numbers()
        self.timed = all(torch.equal(several[name], tensor) for name, tensor in one.items())
        self.undecided = False
        self._use(1 if self.timed else self.number)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Make a step, whose time counts."""
        if not self.timed:
            yield
            return
        started = self.clock()
        yield
        now = self.clock()
        count = self._compare if self.comparing else self._watch
        count(now - started, now)

    def _watch(self, seconds: float, now: float) -> None:
        """Count a step with the threads in use; start a comparison when it is time."""
        if not self.warm:  # the first step after a change fills caches
            self.warm = True
            return
        self.recent = [*self.recent, seconds][-RECENT:]
        slower = self.number > 1 and mean(self.recent) > SLOWER * self.usual
        if len(self.recent) == RECENT and (now >= self.due or slower):
            self.new, self.comparing = [], True
            self._switch()

    def _compare(self, seconds: float, now: float) -> None:
        """Count a step with the other number of threads; end as soon as it can't be better."""
        usual = mean(self.recent)
        most = NEW * BETTER * usual
        if not self.warm and seconds < most:
            self.warm = True
            return
        self.new.append(seconds)
        better = sum(self.new) < most
        if better and len(self.new) < NEW:
            return
        slow, fast = (self.recent, mean(self.new)) if better else (self.new, usual)
        self.due = now + max(SECONDS, COSTS * (sum(slow) - len(slow) * fast))
        self.comparing = False
        if better:
            self.recent = self.new
        else:
            self._switch()
        self.usual = mean(self.recent)

    def _switch(self) -> None:
        self._use(self.most if self.number == 1 else 1)

    def _use(self, number: int) -> None:
        self.number, self.warm = number, False
        torch.set_num_threads(number)


def mean(seconds: list[float]) -> float:
    """Return the mean time of steps."""
    return sum(seconds) / len(seconds)
