"""attar inspect: what attar sees in data, and what it would choose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from attar.cli import arguments

if TYPE_CHECKING:
    from attar.inspection import Inspection, Seen


def inspect(
    source: arguments.Source,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the fit; repeat it."),
    ] = None,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
    size: arguments.Size = None,
    time: arguments.Time = None,
    series: arguments.Series = None,
    window: arguments.Window = None,
    stride: arguments.Stride = None,
    as_json: arguments.Json = False,
) -> None:
    """Print what attar sees in data, and what fit would choose for it, and why."""
    from attar.data.source import read
    from attar.estimator import Autoencoder

    estimator = Autoencoder().set_params(**arguments.settings(assignments or []))
    given = arguments.form(source, size, time, series, window, stride)
    opened = read(given, label=condition or label)
    told = arguments.told(opened, condition, estimator.needs_condition)
    inspection = estimator.inspect(opened.data, condition=told)
    if as_json:
        print(json.dumps(inspection.to_json()))
        return
    _show(inspection)


def _show(inspection: Inspection) -> None:
    shape = " x ".join(f"{side:,}" for side in inspection.shape)
    print(f"{inspection.kind}: {inspection.rows:,} rows, each {shape} numbers to a network\n")
    heads = ("column", "type", "missing", "scaling", "likelihood", "")
    _aligned([heads, *map(_line, inspection.seen)])
    print()
    _aligned([(choice.setting, choice.value, choice.reason) for choice in inspection.choices])


def _line(seen: Seen) -> tuple[str, ...]:
    missing = "" if seen.missing is None else f"{seen.missing:.1%}" if seen.missing else "none"
    return seen.name, seen.type, missing, seen.scaling, seen.likelihood, seen.remark


def _aligned(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
