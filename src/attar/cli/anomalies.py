"""Odd rows: fit --for anomalies, and the verb score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attar.cli import arguments
from attar.errors import FileError, SettingError
from attar.remote import file_at

if TYPE_CHECKING:
    from attar.cli.tasks import TaskFit
    from attar.data.source import Data


def fit_detector(data: Data, job: TaskFit) -> None:
    """Fit a detector of odd rows, and print what it promises."""
    with arguments.importing():
        from attar.cli.tasks import Outcome
        from attar.data.source import read
        from attar.tasks.anomalies.detector import AnomalyDetector

    detector = AnomalyDetector()

    def outcome() -> Outcome:
        low, high = detector.alarm_interval_
        words = (
            f"Of usual rows {low:.2%} to {high:.2%} are flagged (95% confidence)."
            if detector.contamination == "auto"
            else f"Of the rows of the fit {detector.contamination:.2%} are flagged."
        )
        figures = {"alarm_interval_low": low, "alarm_interval_high": high}
        return Outcome({"alarm_interval": [low, high]}, [words], figures)

    job.run(detector, outcome, read(data, label=job.label).data)


def score(
    model: arguments.Model,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="The scores: .csv, .parquet, .feather, ...",
            parser=file_at,
            show_default=False,
        ),
    ],
    source: arguments.Sources = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Also say what makes each row odd."),
    ] = False,
    label: arguments.Label = None,
    sql: arguments.Sql = None,
    db: arguments.Db = None,
    delimiter: arguments.Delimiter = None,
    decimal: arguments.Decimal = None,
    encoding: arguments.Encoding = None,
    na: arguments.Na = None,
    device: arguments.Device = "cpu",
    on: arguments.On = None,
    workers: arguments.Workers = None,
    exact: arguments.Exact = False,
) -> None:
    """Write how odd each row is; large files are processed piece by piece."""
    from attar import storage
    from attar.data.files.tabular import STREAMS

    place = arguments.cluster(on, workers, exact, sql=sql, device=device != "cpu")
    if place is None:
        if not output.name.endswith(tuple(STREAMS)):
            raise FileError(
                f"Scores are a table: write {output.name} as .csv, .parquet or .feather."
            )
        arguments.check_output(output)
        arguments.check_separate(output, source)
    _, description = storage.describe_model(model)
    of_detector = "task" in description
    if explain and not of_detector:
        raise SettingError("--explain is for models of fit --for anomalies.")
    with arguments.importing():
        from attar.data.source import read, without_labels
        from attar.estimator import Autoencoder
        from attar.scale.verbs import Detect, Score
        from attar.tasks.anomalies.detector import AnomalyDetector

    rows = arguments.rows(source, delimiter, decimal, encoding, na, sql, db)
    verb = (
        Detect(AnomalyDetector.load(model), explain, label=label)
        if of_detector
        else Score(Autoencoder.load(model, device=device), label=label)
    )
    if place is not None:
        from attar.scale.parts import apply

        apply(verb, rows, output, **place)
        return
    opened = without_labels(read(rows, "test", kind=verb.kind), label, verb.label_of_fit)
    tables = verb.pieces(opened.data)
    first = next(tables)
    with arguments.writer(output, list(first.columns)) as writer:
        writer.write(first)
        for table in tables:
            writer.write(table)
