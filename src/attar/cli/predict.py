"""The verb predict: the label or the cluster of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar.cli import arguments
from attar.cli.clusters import predict_clusters
from attar.cli.labels import predict_labels
from attar.errors import FileError
from attar.remote import file_at


def predict(
    model: arguments.Model,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="The predictions: .csv, .parquet, .feather, ...",
            parser=file_at,
            show_default=False,
        ),
    ],
    source: arguments.Sources = None,
    label: arguments.Label = None,
    sql: arguments.Sql = None,
    db: arguments.Db = None,
    delimiter: arguments.Delimiter = None,
    decimal: arguments.Decimal = None,
    encoding: arguments.Encoding = None,
    na: arguments.Na = None,
    as_json: arguments.Json = False,
) -> None:
    """Write the label or the cluster of each row, with probabilities."""
    from attar import storage
    from attar.data.files.tabular import STREAMS

    if not output.name.endswith(tuple(STREAMS)):
        raise FileError(
            f"Predictions are a table: write {output.name} as .csv, .parquet or .feather."
        )
    arguments.check_output(output)
    arguments.check_separate(output, source)
    _, description = storage.describe_model(model)
    rows = arguments.rows(source, delimiter, decimal, encoding, na, sql, db)
    of_clusters = description.get("task") == "clusters"
    write = predict_clusters if of_clusters else predict_labels
    write(model, rows, output, label, as_json)
