"""Verbs that apply a model: encode, reconstruct, sample, evaluate and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attar import names
from attar.cli import arguments
from attar.errors import unknown


def encode(
    model: arguments.Model,
    source: arguments.Source,
    output: arguments.Rows,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
) -> None:
    """Write the codes of rows; large files are processed piece by piece."""
    arguments.check(output)
    from attar.data.files.tabular import STREAMS
    from attar.data.source import read
    from attar.estimator import load

    estimator = load(model)
    kind = estimator.fitted_.kind
    opened = read(source, part="test", label=condition or label, kind=kind)
    labels = arguments.condition_of(
        opened, condition, estimator.fitted_.condition_encoder is not None
    )
    columns = [str(name) for name in estimator.get_feature_names_out()]
    table = output.name.endswith(tuple(STREAMS))
    with arguments.writer(output, columns) as writer:
        for piece in kind.pieces(opened.data):
            codes = estimator.transform(piece, condition=labels)
            index = kind.index(piece) if table else None
            named = dict(zip(columns, codes.T, strict=True))
            writer.write(codes if index is None else index.assign(**named))


def reconstruct(
    model: arguments.Model,
    source: arguments.Source,
    output: arguments.Rows,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
) -> None:
    """Write the reconstruction of rows; missing cells are predicted."""
    arguments.check(output)
    arguments.check_separate(output, source)
    from attar.data.pictures import Pictures
    from attar.data.source import read
    from attar.estimator import load

    estimator = load(model)
    kind = estimator.fitted_.kind
    opened = read(source, part="test", label=condition or label, kind=kind)
    data, fitted = opened.data, estimator.fitted_
    labels = arguments.condition_of(opened, condition, fitted.condition_encoder is not None)
    pictures = data.names if isinstance(data, Pictures) else None
    white = None if pictures else fitted.predictor.preparation.brightest
    with arguments.writer(output, kind.feature_names(), white, pictures) as writer:
        for piece in kind.pieces(data):
            writer.write(estimator.reconstruct(piece, condition=labels))


def sample(
    model: arguments.Model,
    output: arguments.Rows,
    number: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 16,
    sampler: Annotated[
        str, typer.Option(help="Of new codes: prior, mixture, kernel-density, flow, ...")
    ] = "auto",
    condition: Annotated[
        str | None, typer.Option(metavar="LABEL", help="The condition of the new rows.")
    ] = None,
    seed: arguments.Seed = 0,
) -> None:
    """Write generated rows."""
    if sampler not in (*names.SAMPLERS, "auto"):
        raise unknown("sampler", sampler, names.SAMPLERS)
    arguments.check(output)
    from attar.estimator import load

    estimator = load(model)
    rows = estimator.sample(number, sampler=sampler, condition=condition, random_state=seed)
    preparation = estimator.fitted_.predictor.preparation
    columns, white = preparation.kind.feature_names(), preparation.brightest
    with arguments.writer(output, columns, white) as writer:
        writer.write(rows)


def evaluate(
    model: arguments.Model,
    source: arguments.Source,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
    draws: Annotated[
        int, typer.Option(min=1, help="How many draws of each code the likelihood takes.")
    ] = 32,
    as_json: arguments.Json = False,
) -> None:
    """Print the metrics of a model on rows, beside those of PCA with as many components."""
    from attar.data.source import read
    from attar.estimator import load

    estimator = load(model)
    opened = read(source, part="test", label=condition or label, kind=estimator.fitted_.kind)
    labels = arguments.condition_of(
        opened, condition, estimator.fitted_.condition_encoder is not None
    )
    metrics = estimator.evaluate(opened.data, draws=draws, condition=labels)
    if as_json:
        print(arguments.dumped(metrics))
        return
    for name, value in metrics.items():
        print(f"{name:20} {value:,.6g}")


def report(
    model: arguments.Model,
    source: arguments.Source,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="PAGE", help="The HTML page.", show_default=False),
    ],
    label: arguments.Label = None,
    condition: arguments.Condition = None,
    colours: Annotated[
        str | None,
        typer.Option(
            "--labels", metavar="FILE", help="A file with a label for each row, to colour by."
        ),
    ] = None,
) -> None:
    """Write an HTML report about a model on rows."""
    arguments.check_writable(output)
    from attar.data.source import read
    from attar.estimator import load
    from attar.report import write_report

    estimator = load(model)
    shown = read(source, part="test", label=condition or label, kind=estimator.fitted_.kind)
    groups = shown.labels if colours is None else read(colours).data
    labels = arguments.condition_of(
        shown, condition, estimator.fitted_.condition_encoder is not None
    )
    write_report(estimator, shown.data, output, labels=groups, condition=labels)
