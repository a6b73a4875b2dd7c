"""Odd rows: fit --for anomalies, and the verb score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attar.cli import arguments
from attar.errors import FileError, SettingError
from attar.remote import file_at

if TYPE_CHECKING:
    import pandas as pd

    from attar.cli.tasks import TaskFit
    from attar.data.source import Data
    from attar.data.source import Source as Opened
    from attar.estimator import Autoencoder
    from attar.tasks.anomalies.detector import AnomalyDetector


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
) -> None:
    """Write how odd each row is; large files are processed piece by piece."""
    from attar import storage
    from attar.data.files.tabular import STREAMS

    if not output.name.endswith(tuple(STREAMS)):
        raise FileError(f"Scores are a table: write {output.name} as .csv, .parquet or .feather.")
    arguments.check_output(output)
    arguments.check_separate(output, source)
    _, description = storage.describe_model(model)
    with arguments.importing():
        from attar.data.source import read
        from attar.estimator import Autoencoder
        from attar.tasks.anomalies.detector import AnomalyDetector

    rows = arguments.rows(source, delimiter, decimal, encoding, na, sql, db)
    if "task" in description:
        detector = AnomalyDetector.load(model)
        opened = read(rows, "test", kind=detector.model_.kind)
        opened = without_labels(opened, label, detector.label_)
        tables = _of_detector(detector, detector.pieces(opened), explain)
    else:
        if explain:
            raise SettingError("--explain is for models of fit --for anomalies.")
        estimator = Autoencoder.load(model, device=device)
        kind = estimator.fitted_.kind
        opened = without_labels(read(rows, "test", kind=kind), label, estimator.fitted_.label)
        tables = _of_model(estimator, kind.pieces(opened.data))
    first = next(tables)
    with arguments.writer(output, list(first.columns)) as writer:
        writer.write(first)
        for table in tables:
            writer.write(table)


def without_labels(source: Opened, label: str | None, of_fit: str | None) -> Opened:
    """Return a source without its column of labels, by default that of the fit, if it has it."""
    from attar.data.source import has_column, with_label

    if label is None and of_fit is not None and has_column(source.data, of_fit):
        label = of_fit
    return with_label(source, label)


def _of_detector(
    detector: AnomalyDetector, pieces: Iterable[Any], explain: bool
) -> Iterator[pd.DataFrame]:
    """Yield score, p-value and flag of rows, and the columns that make them odd."""
    import pandas as pd

    for piece in pieces:
        odd = -detector.score_samples(piece)
        found: dict[str, Any] = {"score": odd, "pvalue": detector.model_.pvalues(odd)}
        found |= {"flag": -odd < detector.offset_}
        if explain:
            why = detector.explain(piece)
            places = why.groupby("row").cumcount()
            for i in range(int(places.max()) + 1):
                part = why[places == i].drop(columns=["row", "low", "high"], errors="ignore")
                for name, column in part.items():
                    mixed = column.map(str) if column.dtype == object else column
                    found[f"{name}_{i + 1}"] = mixed.to_numpy()
        yield pd.DataFrame(found)


def _of_model(estimator: Autoencoder, pieces: Iterable[Any]) -> Iterator[pd.DataFrame]:
    """Yield the log-likelihood of rows."""
    import pandas as pd

    for piece in pieces:
        yield pd.DataFrame({"log_likelihood": estimator.score_samples(piece)})
