"""attar fit: learn a model from data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attar.cli import arguments
from attar.cli import output as out
from attar.files import check_writable

if TYPE_CHECKING:
    from attar.estimator import Autoencoder


def fit(
    source: arguments.Source,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="MODEL", help="The model file.", show_default=False),
    ],
    recipe: Annotated[str, typer.Option(help="A row of `attar recipes`.")] = "auto",
    code_size: Annotated[str, typer.Option(help="How many numbers a code has.")] = "auto",
    epochs: Annotated[str, typer.Option(help="How often each row is seen.")] = "auto",
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any other setting, such as network=conv; repeat it."
        ),
    ] = None,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
    size: arguments.Size = None,
    time_column: arguments.Time = None,
    series: arguments.Series = None,
    window: arguments.Window = None,
    stride: arguments.Stride = None,
    report: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="Write a report to this HTML page, too.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from where a broken-off fit stopped.")
    ] = False,
    seed: arguments.Seed = 0,
    as_json: arguments.Json = False,
) -> None:
    """Learn a model from data, and say how good it is."""
    check_writable(output)
    if report is not None:
        check_writable(report)
    from attar.data.source import read
    from attar.estimator import Autoencoder

    named = [f"recipe={recipe}", f"code_size={code_size}", f"epochs={epochs}"]
    settings = {"random_state": seed, **arguments.settings([*named, *(assignments or [])])}
    if as_json:
        settings.setdefault("verbose", False)
    estimator = Autoencoder().set_params(**settings)
    checkpoint = output.with_name(output.name + ".checkpoint")
    if not resume:
        checkpoint.unlink(missing_ok=True)
    started = time.perf_counter()
    given = arguments.form(source, size, time_column, series, window, stride)
    opened, wanted = read(given, label=condition or label), estimator.needs_condition
    told = arguments.told(opened, condition, wanted)
    try:
        estimator.fit(opened.data, condition=told, checkpoint=checkpoint)
    except KeyboardInterrupt:
        typer.echo(f"attar: stopped; go on with --resume (kept in {checkpoint}).", err=True)
        raise typer.Exit(130) from None
    seconds = time.perf_counter() - started
    estimator.save(output)
    checkpoint.unlink(missing_ok=True)
    figures = _figures(estimator, source)
    if report is not None:
        from attar.report import write_report

        shown = read(given, part="test", label=condition or label)
        told = arguments.told(shown, condition, wanted)
        write_report(estimator, shown.data, report, labels=shown.labels, condition=told)
    if as_json:
        result = {"model": str(output), "seconds": seconds, **figures}
        result["choices"] = [choice.to_json() for choice in estimator.choices_]
        result["diagnosis"] = [finding.to_json() for finding in estimator.diagnose()]
        print(out.dumped(result))
        return
    print(
        f"Held-out error {figures['error']:.4g} with {estimator.code_size_} numbers: "
        f"{figures['error_to_pca']:.2f} of PCA's {figures['pca_error']:.4g}."
    )
    for finding in estimator.diagnose():
        print(finding)
    pages = "" if report is None else f", with a report in {report}"
    print(f"Fitted in {seconds:.1f} s: {output}{pages}.")


def _figures(estimator: Autoencoder, source: str) -> dict[str, Any]:
    """Return measures on the data set's test part, or else on the rows that were held out."""
    from attar.data.datasets import DATASETS
    from attar.data.source import read

    if source in DATASETS:
        opened = read(source, part="test")
        told = arguments.told(opened, None, estimator.fitted.conditioning is not None)
        return estimator.evaluate(opened.data, condition=told)
    facts = estimator.fitted.study.facts
    return {
        "code_size": estimator.code_size_,
        "error": facts.error,
        "pca_error": facts.pca_error,
        "error_to_pca": facts.error / facts.pca_error if facts.pca_error else float("nan"),
    }
