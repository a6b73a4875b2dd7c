"""The future of series: fit --for future, and the verb forecast."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attar.cli import arguments
from attar.errors import FileError
from attar.remote import file_at

if TYPE_CHECKING:
    from attar.cli.tasks import TaskFit
    from attar.data.source import Data


def fit_forecaster(data: Data, job: TaskFit) -> None:
    """Fit a forecaster, and print how good it is on held-out steps."""
    with arguments.importing():
        from attar.cli.tasks import Outcome
        from attar.tasks.future.forecaster import Forecaster

    forecaster = Forecaster()

    def outcome() -> Outcome:
        steps, history = forecaster.horizon_, forecaster.history_
        error = forecaster.model_.held_out_error
        words = (
            f"Held-out MSE {error:.3g}, in variances of the series, of {steps} steps forecast from "
            f"{history}."
        )
        record = {"horizon": steps, "history": history, "error": error}
        return Outcome(record, [words], {"error": error})

    job.run(forecaster, outcome, data)


def forecast(
    model: arguments.Model,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="The forecast: .csv, .parquet, .feather, ...",
            parser=file_at,
            show_default=False,
        ),
    ],
    source: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SOURCE]...",
            help="A file of series up to now; by default those of the fit, as they were.",
            parser=file_at,
            show_default=False,
        ),
    ] = None,
    future: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Rows of known-ahead columns, if SOURCE has none.",
            parser=file_at,
        ),
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(min=1, help="So many steps; by default all of the fit.")
    ] = None,
    coverage: Annotated[
        float, typer.Option(help="The share of outcomes that intervals hold.")
    ] = 0.9,
    sql: arguments.Sql = None,
    db: arguments.Db = None,
    delimiter: arguments.Delimiter = None,
    decimal: arguments.Decimal = None,
    encoding: arguments.Encoding = None,
    na: arguments.Na = None,
) -> None:
    """Forecast the steps after the last rows of series, with intervals."""
    from attar.data.files.tabular import STREAMS

    if not output.name.endswith(tuple(STREAMS)):
        raise FileError(f"Forecasts are a table: write {output.name} as .csv or .parquet.")
    arguments.check_output(output)
    with arguments.importing():
        import pandas as pd

        from attar.tasks.future.forecaster import Forecaster

    forecaster = Forecaster.load(model)
    described = delimiter, decimal, encoding, na
    given = source or sql is not None or db is not None
    rows = arguments.rows(source, *described, sql, db) if given else None
    ahead = None if future is None else arguments.rows([future], *described)
    found = forecaster.predict_interval(rows, coverage, horizon, ahead)
    if not isinstance(found, pd.DataFrame):
        raise FileError(f"{model} forecasts arrays, not tables: use attar.Forecaster.load.")
    found = found.rename(columns=str)
    with arguments.writer(output, list(found.columns)) as writer:
        writer.write(found)
