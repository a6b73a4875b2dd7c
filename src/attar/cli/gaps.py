"""Missing cells and gaps of text: fit --for gaps, and the verb impute."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attar.cli import arguments
from attar.cli.apply import write_rows
from attar.cli.latent import text_or_rows
from attar.errors import FileError, SettingError
from attar.remote import file_at

if TYPE_CHECKING:
    from attar.cli.tasks import TaskFit
    from attar.data.files.base import FileStream
    from attar.data.source import Data
    from attar.data.source import Source as Opened
    from attar.tasks.gaps.imputer import Imputer

# The column that numbers imputations.
IMPUTATION = "imputation"


def fit_imputer(data: Data, job: TaskFit) -> None:
    """Fit what fills missing cells, and print its errors of hidden ones."""
    with arguments.importing():
        from attar.cli.tasks import Outcome
        from attar.data.source import read
        from attar.tasks.gaps.imputer import Imputer

    if job.label is not None:
        raise SettingError(
            f"--label is not of --for gaps: --drop {job.label} leaves the column out."
        )
    imputer = Imputer()

    def outcome() -> Outcome:
        errors = imputer.errors_
        width = max(map(len, map(str, errors["column"])))
        lines = [
            "Errors of held-out cells (RMSE in standard deviations, or error rate), and those of "
            "the mean or the most frequent level:"
        ]
        for column, measure, error, baseline, share in errors.itertuples(index=False):
            figures = f"{measure:10}  {error:.3f}  {baseline:.3f}"
            lines.append(f"  {column!s:{width}}  {figures}  {share:.1%} missing")
        by_column = dict(zip(map(str, errors["column"]), errors["error"], strict=True))
        return Outcome({"errors": errors.to_dict("records")}, lines, by_column)

    job.run(imputer, outcome, read(data).data)


def impute(
    model: arguments.Model,
    source: Annotated[
        str | None,
        typer.Argument(metavar="[ROWS]", help="A file of rows, or a text.", show_default=False),
    ] = None,
    output: arguments.Printed = None,
    uncertainty: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE",
            help="Also write each filled cell and how sure it is: .csv, .parquet.",
            parser=file_at,
        ),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Write N imputations by draws instead, each with a number from 1 in a first column"
            ' "imputation": one long table, as of mice.',
        ),
    ] = None,
    sql: arguments.Sql = None,
    db: arguments.Db = None,
    delimiter: arguments.Delimiter = None,
    decimal: arguments.Decimal = None,
    encoding: arguments.Encoding = None,
    na: arguments.Na = None,
    on: arguments.On = None,
    workers: arguments.Workers = None,
    exact: arguments.Exact = False,
) -> None:
    """Write rows with their missing cells filled; of a CSV file, all others are the same bytes.

    A model of text fills each [...] in texts with the most likely words.
    """
    place = arguments.cluster(
        on, workers, exact, sql=sql, uncertainty=uncertainty is not None, draws=draws
    )
    for path in (output, uncertainty):
        if path is not None and place is None:
            arguments.check_output(path)
            if not path.suffix:
                raise FileError(f"{path} has no suffix: filled rows are a table, such as .csv.")
    sources = None if source is None else [file_at(source)]
    rows = arguments.rows(sources, delimiter, decimal, encoding, na, sql, db)
    if _is_of_text(model):
        if uncertainty is not None or draws is not None:
            raise SettingError("--uncertainty and --draws are for missing cells: leave them out.")
        if place is not None:
            raise SettingError("--on is for missing cells of tables: leave it out.")
        _infill(model, source if source and isinstance(rows, os.PathLike) else rows, output)
        return
    if output is None:
        raise SettingError("Only text is printed: give the output with -o.")
    with arguments.importing():
        from attar.data.files.several import Files
        from attar.data.source import read
        from attar.data.table import MixedTable, Table
        from attar.scale.verbs import Impute
        from attar.storage import written_whole
        from attar.tasks.gaps.cells import mended_csv
        from attar.tasks.gaps.imputer import Imputer

    imputer = Imputer.load(model)
    if place is not None:
        from attar.scale import ray

        ray.impute(imputer, rows, output, **place)
        return
    kind = imputer.model_.kind
    opened = read(rows, "test", kind=kind)
    if uncertainty is not None:
        unsure = imputer.uncertainty(opened)
        unsure[["value", "low", "high"]] = unsure[["value", "low", "high"]].map(_text)
        with arguments.writer(uncertainty, list(unsure.columns)) as writer:
            writer.write(unsure)
    if draws is not None:
        _write_draws(imputer, opened, output, draws)
        return
    file = arguments.file_of(rows)
    one = not isinstance(rows, Files) and file.name.lower().endswith(".csv")
    if one and output.suffix.lower() == ".csv":
        before: Any = kind.joined(list(imputer.pieces(opened)))
        content = file.read_bytes()
        table = kind if isinstance(kind, Table) else MixedTable.fit([before])[0]
        filled = mended_csv(table, content, before, imputer.transform(before), delimiter, encoding)
        if filled is not None:
            with written_whole(output) as path:
                path.write_bytes(filled)
            return
    with arguments.writer(output, [str(name) for name in imputer.model_.columns or ()]) as writer:
        for piece in Impute(imputer).pieces(opened.data):
            writer.write(piece)


def _is_of_text(model: Path) -> bool:
    from attar.storage import describe_model

    _, description = describe_model(model)
    kind = description.get("kind")
    return isinstance(kind, dict) and kind.get("name") == "text"


def _infill(model: Path, source: FileStream | Path | str, output: Path | None) -> None:
    """Fill gaps in texts."""
    with arguments.importing():
        from attar.estimator import Autoencoder

    estimator = Autoencoder.load(model)
    write_rows(estimator, estimator.infill(text_or_rows(estimator, source)), output)


def _write_draws(imputer: Imputer, opened: Opened, output: Path, number: int) -> None:
    import pandas as pd

    if IMPUTATION in (names := [str(name) for name in imputer.model_.columns or ()]):
        raise SettingError(f"--draws adds a column {IMPUTATION!r}, which the rows have: rename it.")
    with arguments.writer(output, [IMPUTATION, *names]) as writer:
        for piece in imputer.pieces(opened):
            for i, drawn in enumerate(imputer.impute_many(piece, number), 1):
                frame = pd.DataFrame(drawn)
                frame.insert(0, IMPUTATION, i)
                writer.write(frame)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
