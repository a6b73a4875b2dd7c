"""Inspection: what attar sees in data, and what it would choose, before anything is learnt."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from attar.data.cells import Boolean, Category, Phase
from attar.data.kind import Kind, Portion
from attar.data.scaling import Symmetric
from attar.data.summary import Summary
from attar.data.table import Table
from attar.likelihoods import Likelihood, Mixed
from attar.plan import Choice, Plan


@dataclass(frozen=True)
class ColumnChoice:
    """A column of a table, a channel of a series, or all of the data, where it is alike.

    Attributes
    ----------
    name, type : str
    missing : float or None
        The share of values that are missing; None where the column is not learnt.
    scaling, likelihood : str
        How it is prepared, and what describes it.
    remark : str
        What is special about it.
    """

    name: str
    type: str
    missing: float | None
    scaling: str
    likelihood: str
    remark: str


@dataclass(frozen=True)
class Inspection:
    """What attar sees in data, and what a fit would choose.

    Attributes
    ----------
    kind : str
        ``"table"``, ``"images"``, ``"series"`` or ``"sparse"``.
    rows : int
        Of a series: its windows.
    shape : tuple of int
        The shape of a row as networks see it.
    columns : tuple of ColumnChoice
    choices : tuple of Choice
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
        columns = []
        for portion in kind.portions:
            known = summary.moments.count[portion.columns]
            used = len(known) > 0
            columns.append(
                ColumnChoice(
                    portion.name,
                    portion.type,
                    1 - float(known[0]) / values if used else None,
                    _scaling(plan, portion) if used else "",
                    _likelihood(plan.likelihood, portion) if used else "",
                    portion.remark,
                )
            )
        return cls(kind.name, summary.rows, kind.shape, tuple(columns), plan.choices)

    def to_json(self) -> dict[str, Any]:
        """Return the inspection as plain JSON data."""
        return asdict(self)


def _scaling(plan: Plan, portion: Portion) -> str:
    """Return how a portion is prepared, in words."""
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
    power = 1.0 if scaler.bend is None else float(scaler.bend[0, portion.columns.start])
    if power == 1:
        return "standard" if isinstance(plan.scaling, Symmetric) else plan.scaling.name
    return f"power {power:.2f}" if power > 0.005 else "logarithm"


def _likelihood(likelihood: Likelihood, portion: Portion) -> str:
    if not isinstance(likelihood, Mixed):
        return likelihood.name
    return " + ".join(dict.fromkeys(part.name for part in likelihood.columns[portion.columns]))
