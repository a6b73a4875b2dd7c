"""Inspection: the columns of data, and what a fit would choose for them, before training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import Self

import pandas as pd

from attar.data.cells import Boolean, Category, Component, Phase
from attar.data.kind import Kind, Portion
from attar.data.scaling import Symmetric
from attar.data.summary import Summary
from attar.data.table import Table
from attar.likelihoods import Likelihood, Mixed
from attar.plan import Choice, Plan

# A table of more rows is shown by its first and last ones.
MOST_ROWS = 60


@dataclass(frozen=True)
class ColumnChoice:
    """How a fit would treat a column of a table, a channel of a series, or all of the data.

    Attributes
    ----------
    name, type : str
    missing : float or None
        The fraction of missing values; None where the model does not use the column.
    scaling, likelihood : str
    remark : str
        What else is done to it.
    """

    name: str
    type: str
    missing: float | None
    scaling: str
    likelihood: str
    remark: str


@dataclass(frozen=True)
class Inspection:
    """The columns of data, and what a fit would choose.

    Attributes
    ----------
    kind : str
        ``"table"``, ``"images"``, ``"series"``, ``"sparse"`` or ``"sound"``.
    rows : int
        Of a series or of sound, its windows.
    shape : tuple of int
        The shape of a prepared row, the network's input.
    columns : tuple of ColumnChoice
    choices : tuple of Choice

    Examples
    --------
    >>> import numpy as np
    >>> from attar import Autoencoder
    >>> rows = np.random.default_rng(0).normal(size=(100, 4))
    >>> inspection = Autoencoder().inspect(rows)
    >>> inspection.kind, inspection.rows, inspection.shape
    ('table', 100, (4,))
    >>> inspection.columns[0].scaling, inspection.columns[0].missing
    ('standard', 0.0)
    """

    kind: str
    rows: int
    shape: tuple[int, ...]
    columns: tuple[ColumnChoice, ...]
    choices: tuple[Choice, ...]

    @classmethod
    def of(cls, kind: Kind, summary: Summary, plan: Plan) -> Self:
        """Return the inspection of data of a kind, from its summary and the plan of a fit."""
        sample = summary.sample
        values = summary.rows * len(kind.columns(sample)) / sample.shape[0]
        if summary.partial:
            values = summary.rows * prod(kind.shape)
        columns = []
        for portion in kind.portions:
            counts = summary.moments.count[portion.columns]
            used = len(counts) > 0
            columns.append(
                ColumnChoice(
                    portion.name,
                    portion.type,
                    1 - float(counts[0]) / values if used else None,
                    _scaling(plan, portion) if used else "",
                    _likelihood(plan.likelihood, portion) if used else "",
                    portion.remark,
                )
            )
        return cls(kind.name, summary.rows, kind.shape, tuple(columns), plan.choices)

    def _repr_html_(self) -> str:
        """Return the tables of columns and of choices, which a notebook shows."""
        columns = pd.DataFrame(self.columns)
        columns["missing"] = [
            "" if column.missing is None else f"{column.missing:.1%}" for column in self.columns
        ]
        shape = " × ".join(map(str, self.shape))
        with pd.option_context("display.max_colwidth", None):
            tables = [
                table.to_html(index=False, border=0, max_rows=MOST_ROWS)
                for table in (columns, pd.DataFrame(self.choices))
                if len(table)
            ]
        return "\n".join(
            [f"<p>{self.kind}: {self.rows:,} rows, each prepared as {shape} numbers</p>", *tables]
        )

    def to_json(self) -> dict[str, object]:
        """Return the inspection as plain JSON data."""
        return asdict(self)


def _scaling(plan: Plan, portion: Portion) -> str:
    """Return how a column is scaled, in words."""
    kind, scaler = plan.preparation.kind, plan.preparation.scaler
    if not isinstance(kind, Table):
        return plan.scaling.name
    cell = kind.cells[portion.columns][0]
    if isinstance(cell, Category):
        return f"one of {len(cell.features)}"
    if isinstance(cell, Boolean):
        return "0 or 1"
    if isinstance(cell, Phase):
        return "circle"
    if isinstance(cell, Component):
        return "unit variance"
    power = 1.0 if scaler.power is None else float(scaler.power[0, portion.columns.start])
    if power == 1:
        return "standard" if isinstance(plan.scaling, Symmetric) else plan.scaling.name
    return f"power {power:.2f}" if power > 0.005 else "logarithm"


def _likelihood(likelihood: Likelihood, portion: Portion) -> str:
    if not isinstance(likelihood, Mixed):
        return likelihood.name
    return " + ".join(dict.fromkeys(part.name for part in likelihood.columns[portion.columns]))
