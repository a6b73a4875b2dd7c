"""Verbs that print: info, inspect and recipes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attar import names
from attar.cli import arguments, pictures
from attar.cli.sounds import described
from attar.errors import ArchiveError
from attar.remote import file_at

if TYPE_CHECKING:
    from attar.inspection import ColumnChoice, Inspection


# What `attar info` shows of a model that is made for a task, and where its description has it.
SHOWN = {
    "anomalies": {
        "data": "scorer",
        "settings": "settings",
        "rows": "rows",
        "alarm_interval": "alarm_interval",
    },
    "gaps": {"data": "data", "rows": "rows"},
    "labels": {"classes": "classes", "held_out": "held_out", "label": "label"},
    "numbers": {"held_out": "held_out", "label": "label"},
    "future": {"data": "form", "horizon": "horizon", "model": "model"},
    "clusters": {"data": "data", "rows": "rows", "sizes": "sizes"},
}


def info(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A model file, or a compressed file.",
            parser=file_at,
            show_default=False,
        ),
    ],
    as_json: arguments.Json = False,
) -> None:
    """Print what a model file, or a compressed file, contains."""
    from attar.codec.clips import CodedClips, is_compressed_sound
    from attar.codec.coded_pictures import CodedPictures, is_compressed_pictures

    if is_compressed_sound(file):
        contents = described(CodedClips.of(file), file)
    elif is_compressed_pictures(file):
        contents = pictures.described(CodedPictures.of(file), file)
    else:
        contents = _archive(file) if _is_compressed(file) else _model(file)
    if as_json:
        print(arguments.to_json(contents))
        return
    width = max(map(len, contents))
    for name, value in contents.items():
        print(f"{name:{width}} {_words(value)}")


def card(
    model: arguments.Model,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PAGE",
            help="The card, such as README.md; its picture goes beside it. Printed without.",
            parser=file_at,
        ),
    ] = None,
) -> None:
    """Write the model card of a model file: data, figures, diagnosis, citation."""
    from attar.storage import check_writable

    if output is not None:
        check_writable(output)
    with arguments.importing():
        from attar.sharing import ModelCard

    found = ModelCard.of(model)
    if output is None:
        print(found.without_picture)
    else:
        found.write(output)


def _is_compressed(path: Path) -> bool:
    from attar.codec.container import MAGIC

    with suppress(OSError), path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC
    return False


def _model(model: Path) -> dict[str, object]:
    """Return what a model file contains."""
    from attar import storage

    contents, description = storage.describe_model(model)
    if "task" in description:
        return {
            "file": str(model),
            "bytes": model.stat().st_size,
            "format": storage.FORMAT,
            "task": description["task"],
            "settings": {"name": storage.TASKS[description["task"]][0], **description["settings"]},
            **{name: description[key] for name, key in SHOWN[description["task"]].items()},
        }
    weights = sum(prod(of[1]) for name, of in contents.items() if name.startswith("model."))
    return {
        "file": str(model),
        "fingerprint": storage.fingerprint(contents, description),
        "bytes": model.stat().st_size,
        "format": storage.FORMAT,
        "data": description["kind"],
        "recipe": description["recipe"],
        "network": description["network"],
        "likelihood": description["likelihood"],
        "code_size": description["code_size"],
        "weights": weights,
        "epochs": len(description["history"]),
        "validation_error": description["diagnostics"]["error"],
        "choices": description["choices"],
    }


def _archive(path: Path) -> dict[str, object]:
    """Return what a compressed file contains; its chunks are not read."""
    from attar.codec.container import ArchiveReader

    archive = ArchiveReader(path)
    size, model_bytes = path.stat().st_size, len(archive.model or b"")
    bits = 8 * (size - model_bytes) / max(1, archive.rows)
    try:
        form, cells = _form(archive.schema), float(archive.schema["cells"])
        cell = "byte" if "text" in archive.schema["values"] else "dimension"
    except (LookupError, TypeError, ValueError):
        raise ArchiveError(f"{path} is damaged: its schema is of another form.") from None
    return {
        "file": str(path),
        "fingerprint": archive.fingerprint,
        "bytes": size,
        "model_bytes": model_bytes,
        "data": form,
        "rows": archive.rows,
        "cells_of_a_row": round(cells),
        "bits_per_row": round(bits, 4),
        f"bits_per_{cell}": round(bits / max(1, cells), 4),
        "chunks": len(archive),
        **{key: archive.schema[key] for key in ("error_bounds",) if key in archive.schema},
    }


def _form(schema: dict[str, Any]) -> str:
    """Return in words what a compressed file holds."""
    values = schema["values"]
    if schema["csv"]:
        return "CSV file, byte for byte"
    if "text" in values:
        from attar.codec.text import Form

        return f"text: {Form(**values['text'])}"
    if "names" in values:
        return "pictures"
    if "dtype" in values:
        import numpy as np

        return f"array of {np.dtype(values['dtype']).name}"
    return "series" if "points" in values else "table"


def _words(value: object) -> str:
    """Return a value on one line: a part as an expression, a choice with its reason."""
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value)
    if not isinstance(value, dict):
        return f"{value:,}" if type(value) is int else str(value)
    if "reason" in value:
        return f"{value['setting']} {value['value']} ({value['reason']})"
    name = str(value.get("part", value.get("name", ""))).rpartition("/")[2]
    inner = [f"{k}={_words(v)}" for k, v in value.items() if k not in ("part", "name") and v]
    text = ", ".join(inner)
    short = text if len(text) < 200 else "..."
    return f"{name}({short})" if name else short


def inspect(
    source: arguments.Sources = None,
    assignments: arguments.Settings = None,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
    columns: arguments.Columns = None,
    drop: arguments.Drop = None,
    ids: arguments.Ids = None,
    size: arguments.Size = None,
    tile: arguments.Tile = None,
    time: arguments.Time = None,
    series: arguments.Series = None,
    window: arguments.Window = None,
    stride: arguments.Stride = None,
    absent: arguments.Absent = None,
    paragraphs: arguments.Paragraphs = False,
    split: arguments.Split = None,
    rate: arguments.Rate = None,
    view: arguments.View = None,
    channels: arguments.Channels = None,
    sql: arguments.Sql = None,
    db: arguments.Db = None,
    delimiter: arguments.Delimiter = None,
    decimal: arguments.Decimal = None,
    encoding: arguments.Encoding = None,
    na: arguments.Na = None,
    as_json: arguments.Json = False,
) -> None:
    """Print the columns of data as attar reads them, and what fit would choose, and why."""
    settings = arguments.settings(assignments or []) | arguments.columns(
        columns, drop, ids, condition or label
    )
    names.check(settings)
    with arguments.importing():
        from attar.data.source import read
        from attar.estimator import Autoencoder

    estimator = Autoencoder().set_params(**settings)
    table = arguments.rows(source, delimiter, decimal, encoding, na, sql, db)
    table = arguments.text(table, columns, paragraphs, encoding, split)
    data = arguments.form(
        table, size, tile, time, series, window, stride, absent, rate, view, channels
    )
    opened = read(data, label=condition or label)
    labels = arguments.condition_of(opened, condition, arguments.is_conditional(estimator))
    inspection = estimator.inspect(opened.data, condition=labels)
    if as_json:
        print(json.dumps(inspection.to_json() | {"file": opened.description}))
        return
    if opened.description:
        print(f"{arguments.file_of(table)}: {opened.description}")
    _print(inspection)


def _print(inspection: Inspection) -> None:
    shape = " x ".join(f"{side:,}" for side in inspection.shape)
    print(f"{inspection.kind}: {inspection.rows:,} rows, network input {shape}\n")
    header = ("column", "type", "missing", "scaling", "likelihood", "")
    _print_aligned([header, *map(_line, inspection.columns)])
    print()
    _print_aligned([(choice.setting, choice.value, choice.reason) for choice in inspection.choices])


def _line(column: ColumnChoice) -> tuple[str, ...]:
    missing = "" if column.missing is None else f"{column.missing:.1%}"
    if column.missing == 0:
        missing = "none"
    return column.name, column.type, missing, column.scaling, column.likelihood, column.remark


def _print_aligned(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def recipes(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="One recipe, in full.", autocompletion=arguments.complete_recipe
        ),
    ] = None,
    only_names: Annotated[bool, typer.Option("--names", help="Print the names only.")] = False,
    as_json: arguments.Json = False,
) -> None:
    """Print the table of recipes, or one of them with its parts and where it was published."""
    if name is not None:
        names.check({"recipe": name})
    rows = [row for row in names.TABLE if name in (None, row["name"])]
    if as_json:
        print(json.dumps([{key: row[key] for key in row if key != "expression"} for row in rows]))
    elif name is not None:
        print("{name}: {summary}\n\n{expression}\n\n{citation}".format(**rows[0]))
    else:
        for row in rows:
            print(row["name"] if only_names else f"{row['name']:14} {row['summary']}")
