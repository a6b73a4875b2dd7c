"""The rows that a page shows, with their codes and as the model brings them back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from attar.applied import Applied
from attar.data.kind import Rows


@dataclass(frozen=True)
class Shown:
    """Some rows and what the model makes of them.

    Attributes
    ----------
    rows, back : rows (n, *cells)
        Raw, NaN where a cell is missing; nothing is missing in ``back``.
    prepared, decoded : array (n, *shape)
        The same in prepared units, those of the error.
    codes : array (n, d)
    """

    rows: Rows
    back: Rows
    prepared: Rows
    decoded: Rows
    codes: Rows

    @classmethod
    def of(cls, applied: Applied, rows: Rows) -> Self:
        """Return rows (n, *cells) with what the model makes of them."""
        codes = applied.encode(rows)
        back, decoded = brought_back(applied, codes)
        return cls(rows, back, applied.preparation.prepare(rows).numpy(), decoded, codes)

    def at(self, places: NDArray[np.intp]) -> Shown:
        """Return some of the rows."""
        return Shown(
            self.rows[places],
            self.back[places],
            self.prepared[places],
            self.decoded[places],
            self.codes[places],
        )

    @property
    def off(self) -> Rows:
        """How far each prepared cell is off (n, *shape), NaN where it is missing."""
        off: Rows = self.decoded - self.prepared
        return off

    @property
    def errors(self) -> NDArray[np.float64]:
        """The mean squared error of the prepared cells that are not missing, for each row."""
        return known_mean(np.square(self.off.reshape(len(self.codes), -1)), 1)


def known_mean(values: NDArray[Any], axis: int | tuple[int, ...]) -> NDArray[np.float64]:
    """Return the mean of what is not missing (NaN) along axes, in double precision; 0 of none."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis, dtype=np.float64)
    return np.asarray(total / np.maximum(known.sum(axis), 1))


def brought_back(applied: Applied, codes: Rows) -> tuple[Rows, Rows]:
    """Return what codes (n, d) stand for: raw rows (n, *cells), and prepared ones (n, *shape)."""
    decoded = applied.decode(codes)
    return applied.preparation.raw(decoded), decoded.numpy()
