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

# Cores are idle where so many operations, on so many numbers for each thread, take less than this
# part of one thread's time.
OPERATIONS, NUMBERS, IDLE = 20, 2**17, 0.75


class Threads:
    """One thread, or all of torch's, whichever makes steps faster; restored at the end.

    Several threads wait for each other at each operation. On an idle machine they pay for large
    steps; where other jobs use the cores, a step can take hundreds of times as long as with one.
    Small steps use one thread. Of larger ones, a few are made with the other number now and then,
    and it is kept if their mean time is less; several threads are tried on idle cores only.

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
        self.timed = work >= MEASURED_FROM and self.most > 1
        large = self.timed and work >= THREADS_FROM
        self.alike, self.undecided = not exact, exact and large
        self.otherwise = self.most if large else 1
        self.number, self.comparing, self.warm = 1, False, False
        self.recent: list[float] = []
        self.new: list[float] = []
        self.usual, self.due = 0.0, clock()

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
        self.alike = all(torch.equal(several[name], tensor) for name, tensor in one.items())
        self.timed, self.undecided = self.alike, False
        self._use(1 if self.alike else self.otherwise)

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
        if not slower and (len(self.recent) < RECENT or now < self.due):
            return
        if self.number == 1 and not cores_are_idle(self.most, self.clock):
            torch.set_num_threads(1)
            self.due = now + max(SECONDS, COSTS * (self.clock() - now))
        elif self.alike:
            self.new, self.comparing = [], True
            self._switch()
        else:
            self.undecided = True

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


def cores_are_idle(threads: int, clock: Callable[[], float] = time.perf_counter) -> bool:
    """Return whether so many threads make a few operations faster, and leave torch with so many.

    This takes milliseconds; where cores are busy, a single step may take seconds.
    """
    numbers = torch.zeros(NUMBERS * threads)
    torch.set_num_threads(1)
    numbers.exp()
    started = clock()
    for _ in range(OPERATIONS):
        numbers.exp()
    between = clock()
    torch.set_num_threads(threads)
    for _ in range(OPERATIONS):
        numbers.exp()
        if clock() - between > IDLE * (between - started):
            return False
    return True


def mean(seconds: list[float]) -> float:
    """Return the mean time of steps."""
    return sum(seconds) / len(seconds)
