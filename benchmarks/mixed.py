"""A synthetic table of mixed types: each column depends on four latent variables and its noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

Rows = NDArray[np.float64]

LATENT, MISSING, MOST_CATEGORIES = 4, 0.05, 30


@dataclass(frozen=True)
class MixedTable:
    """A table with so many columns of each type.

    In every second column of a type, 5% of the cells are missing.
    """

    floats: int = 0
    integers: int = 0
    booleans: int = 0
    times: int = 0
    strings: int = 0

    def frame(self, rows: int, part: int = 0) -> pd.DataFrame:
        """Return rows of the table; each part has other rows."""
        weights, noise = np.random.default_rng(0), np.random.default_rng([1, part])
        latent = noise.standard_normal((rows, LATENT))
        columns = {}
        for name, count in asdict(self).items():
            for i in range(count):
                column = pd.Series(COLUMNS[name](i, latent, weights, noise))
                columns[f"{name}{i}"] = column.mask(noise.random(rows) < MISSING * (i % 2))
        return pd.DataFrame(columns)


def floats(i: int, latent: Rows, weights: Generator, noise: Generator) -> Any:
    """Return a linear, a skewed or a sinusoidal function of the latent variables."""
    signal = _signal(latent, weights, noise)
    return (signal, np.exp(signal), np.sin(2 * signal))[i % 3]


def integers(i: int, latent: Rows, weights: Generator, noise: Generator) -> Any:
    """Return counts."""
    rate = np.exp(1 + 0.7 * _signal(latent, weights, noise))
    return pd.array(noise.poisson(rate), dtype="Int64")


def booleans(i: int, latent: Rows, weights: Generator, noise: Generator) -> Any:
    """Return true or false, with equal probability."""
    return pd.array(_signal(latent, weights, noise) > 0, dtype="boolean")


def times(i: int, latent: Rows, weights: Generator, noise: Generator) -> Any:
    """Return times around the start of 2020, to the second, with a standard deviation of a year."""
    seconds = (31_557_600 * _signal(latent, weights, noise)).astype("timedelta64[s]")
    return np.datetime64("2020-01-01", "us") + seconds


def strings(i: int, latent: Rows, weights: Generator, noise: Generator) -> Any:
    """Return one of 5, 8, 11, ... categories, at most 30."""
    count = min(5 + 3 * i, MOST_CATEGORIES)
    logits = 2 * latent @ weights.standard_normal((LATENT, count))
    chosen = (logits + noise.gumbel(size=logits.shape)).argmax(1)
    return pd.array([f"category {i}" for i in range(count)], dtype="str").take(chosen)


COLUMNS: dict[str, Callable[[int, Rows, Generator, Generator], Any]] = {
    "floats": floats,
    "integers": integers,
    "booleans": booleans,
    "times": times,
    "strings": strings,
}


def _signal(latent: Rows, weights: Generator, noise: Generator) -> Rows:
    """Return a linear combination of the latent variables, of variance 1, a tenth of it noise."""
    direction = weights.standard_normal(LATENT)
    mixture = latent @ (direction / np.linalg.norm(direction))
    noisy: Rows = np.sqrt(0.9) * mixture + np.sqrt(0.1) * noise.standard_normal(len(latent))
    return noisy
