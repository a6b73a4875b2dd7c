"""The diagnosis: what is wrong with a fitted model, in plain words, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from numpy.typing import NDArray

from attar.records import Epoch

Rows = NDArray[Any]


@dataclass(frozen=True)
class Finding:
    """One thing that the diagnosis found.

    Attributes
    ----------
    name : str
        ``worse-than-pca``, ``dead-units``, ``memorizing``, ``constant-columns``, ``unscaled``,
        ``not-converged``, or ``healthy`` where there is nothing else.
    problem, advice : str
        What is the case, and what to do.
    """

    name: str
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.problem} {self.advice}".strip()

    def to_json(self) -> dict[str, str]:
        """Return the finding as plain JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Facts:
    """What a diagnosis is made from.

    Attributes
    ----------
    error, train_error : float
        Mean squared error of a prepared cell, on rows that are not learnt from and on rows that
        are.
    pca_errors : sequence of float
        The error of PCA with 0, 1, 2, ... numbers on the former rows.
    held_out : bool
        Whether there were rows that are not learnt from.
    carried : sequence of float
        How much the error grows when a code dimension is held at its mean, for each.
    column_scales : sequence of float
        The standard deviation of each prepared column.
    column_names : sequence of str
    best_epoch : int
    size_errors : sequence of float
        The error with the first 0, 1, 2, ... numbers of an ordered code; empty for others.
    """

    error: float
    train_error: float
    pca_errors: list[float]
    held_out: bool
    carried: list[float]
    column_scales: list[float]
    column_names: list[str]
    best_epoch: int
    size_errors: list[float] = field(default_factory=list)

    @property
    def pca_error(self) -> float:
        """The error of PCA with as many numbers as the code has, or as many as there are."""
        return self.pca_errors[min(len(self.carried), len(self.pca_errors) - 1)]

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON data."""
        return asdict(self)


def diagnose(facts: Facts, history: Sequence[Epoch]) -> list[Finding]:
    """Return the findings, the gravest first; a single ``healthy`` one where nothing is wrong."""
    found = (
        _worse_than_pca(facts),
        _dead_units(facts),
        _memorizing(facts),
        _unscaled(facts),
        _constant(facts),
        _not_converged(facts, history),
    )
    findings = [finding for finding in found if finding is not None]
    if findings:
        return findings
    share = facts.error / facts.pca_error if facts.pca_error else 0.0
    return [Finding("healthy", f"Nothing is wrong: the error is {share:.2f} of PCA's.", "")]


def _worse_than_pca(facts: Facts) -> Finding | None:
    # Half a percent and a rounding error are no difference.
    if facts.error <= 1.005 * facts.pca_error + 1e-7:
        return None
    return Finding(
        "worse-than-pca",
        f"PCA with as many numbers has an error of {facts.pca_error:.4g}, less than this model's "
        f"{facts.error:.4g}.",
        "Train for more epochs, use a wider network, or a smaller weight on the rate.",
    )


def _dead_units(facts: Facts) -> Finding | None:
    dead = sum(
        growth <= 1e-3 * facts.pca_errors[0] / len(facts.carried) for growth in facts.carried
    )
    if not dead:
        return None
    size = len(facts.carried)
    return Finding(
        "dead-units",
        f"{dead} of {size} code dimensions carry nothing.",
        f"Use code_size={max(1, size - dead)}, or a smaller weight on the rate to wake them.",
    )


def _memorizing(facts: Facts) -> Finding | None:
    if not facts.held_out or facts.error <= 3 * facts.train_error or facts.error < 1e-6:
        return None
    gap = facts.error / max(facts.train_error, 1e-12)
    return Finding(
        "memorizing",
        f"The error on held-out rows is {gap:.1f} times the error on the rows learnt from.",
        "Add rows, a corruption such as 'gaussian-noise', dropout, or a smaller network.",
    )


def _unscaled(facts: Facts) -> Finding | None:
    varying = [scale for scale in facts.column_scales if scale > 0]
    if not varying or max(varying) <= 30 * median(varying):
        return None
    widest = facts.column_scales.index(max(varying))
    return Finding(
        "unscaled",
        f"The column {facts.column_names[widest]!r} is {max(varying) / median(varying):.0f} times "
        "as wide as the middle one, and takes nearly all of the error.",
        "Use scaling='standard'.",
    )


def _constant(facts: Facts) -> Finding | None:
    constant = [i for i, scale in enumerate(facts.column_scales) if scale == 0]
    if not constant:
        return None
    return Finding(
        "constant-columns",
        f"{len(constant)} of {len(facts.column_scales)} columns never change, "
        f"{facts.column_names[constant[0]]!r} first.",
        "They cost nothing but time: leave them out where you can.",
    )


def _not_converged(facts: Facts, history: Sequence[Epoch]) -> Finding | None:
    if len(history) < 10 or facts.best_epoch < len(history) - 1:
        return None
    # Did the last tenth of the training bring more than a fiftieth of all that was gained?
    before = min(epoch.judged for epoch in history[: -(len(history) // 10)])
    last = min(epoch.judged for epoch in history)
    if before - last <= 0.02 * (history[0].judged - last):
        return None
    return Finding(
        "not-converged",
        "The loss was still falling when training ended.",
        f"Train longer: epochs={2 * len(history)}.",
    )
