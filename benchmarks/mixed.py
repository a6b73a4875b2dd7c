"""A made table of mixed types: each column follows four hidden numbers, with noise of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Chance = np.random.Generator
Rows = NDArray[np.float64]

HIDDEN, MISSING, MOST_LEVELS = 4, 0.05, 30


@dataclass(frozen=True)
class Mixed:
    """How many columns there are of each type.

    In every second column of a type, one cell in twenty is missing.
    """

    floats: int = 0
    integers: int = 0
    booleans: int = 0
    times: int = 0
    strings: int = 0

    def frame(self, rows: int, part: int = 0) -> pd.DataFrame:
        """Return rows; each part has others, of the same columns."""
        causes, generator = np.random.default_rng(0), np.random.default_rng([1, part])
        hidden = generator.standard_normal((rows, HIDDEN))
        columns = {}
        for name, count in asdict(self).items():
            for i in range(count):
                column = pd.Series(COLUMNS[name](i, hidden, causes, generator))
                columns[f"{name}{i}"] = column.mask(generator.random(rows) < MISSING * (i % 2))
        return pd.DataFrame(columns)


def floats(i: int, hidden: Rows, causes: Chance, generator: Chance) -> Any:
    """Return numbers that are in turn linear, skewed, and waves."""
    signal = _signal(hidden, causes, generator)
    return (signal, np.exp(signal), np.sin(2 * signal))[i % 3]


def integers(i: int, hidden: Rows, causes: Chance, generator: Chance) -> Any:
    """Return counts."""
    rate = np.exp(1 + 0.7 * _signal(hidden, causes, generator))
    return pd.array(generator.poisson(rate), dtype="Int64")


def booleans(i: int, hidden: Rows, causes: Chance, generator: Chance) -> Any:
    """Return true or false, in equal shares."""
    return pd.array(_signal(hidden, causes, generator) > 0, dtype="boolean")


def times(i: int, hidden: Rows, causes: Chance, generator: Chance) -> Any:
    """Return times around the start of 2020, to the second; a year is a standard deviation."""
    seconds = (31_557_600 * _signal(hidden, causes, generator)).astype("timedelta64[s]")
    return np.datetime64("2020-01-01", "us") + seconds


def strings(i: int, hidden: Rows, causes: Chance, generator: Chance) -> Any:
    """Return one of 5, 8, 11, ... words, at most 30."""
    levels = min(5 + 3 * i, MOST_LEVELS)
    logits = 2 * hidden @ causes.standard_normal((HIDDEN, levels))
    chosen = (logits + generator.gumbel(size=logits.shape)).argmax(1)
    return pd.array([f"level {level}" for level in range(levels)], dtype="str").take(chosen)


COLUMNS: dict[str, Callable[[int, Rows, Chance, Chance], Any]] = {
    "floats": floats,
    "integers": integers,
    "booleans": booleans,
    "times": times,
    "strings": strings,
}


def _signal(hidden: Rows, causes: Chance, generator: Chance) -> Rows:
    """Return a mixture of the hidden numbers with a tenth of noise, of variance 1."""
    weights = causes.standard_normal(HIDDEN)
    mixture = hidden @ (weights / np.linalg.norm(weights))
    noisy: Rows = np.sqrt(0.9) * mixture + np.sqrt(0.1) * generator.standard_normal(len(hidden))
    return noisy
