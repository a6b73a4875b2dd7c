"""The rows that a page shows, with their codes and as the model brings them back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from attar.applied import Applied
from attar.data.kind import Rows


@dataclass(frozen=True)
class Shown:
    """Some rows and what the model makes of them.

    Attributes
    ----------
    rows, back : array (n, *shape)
        In the user's own units; ``back`` in the user's own dtype, so integers are whole.
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
        """Return rows (n, *shape) with what the model makes of them."""
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
    def errors(self) -> NDArray[np.float64]:
        """The mean squared error of a prepared cell, for each row."""
        difference = (self.prepared - self.decoded).reshape(len(self.rows), -1)
        return np.asarray(np.square(difference).mean(1, dtype=np.float64))


def brought_back(applied: Applied, codes: Rows) -> tuple[Rows, Rows]:
    """Return what codes (n, d) stand for: (n, *shape) in the user's own units, and prepared."""
    decoded = applied.decode(codes)
    preparation = applied.preparation
    return preparation.kind.rows(preparation.restore(decoded)), decoded.numpy()
