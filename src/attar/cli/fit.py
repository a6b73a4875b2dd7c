"""attar fit: train a model on data."""

from __future__ import annotations

import time
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attar import names
from attar.cli import arguments

if TYPE_CHECKING:
    from attar.estimator import Autoencoder


def fit(
    source: arguments.Source,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="MODEL", help="The model file.", show_default=False),
    ],
    recipe: Annotated[str, typer.Option(help="A row of `attar recipes`.")] = "auto",
    code_size: Annotated[str, typer.Option(help="The number of latent dimensions.")] = "auto",
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
        bool, typer.Option("--resume", help="Resume a fit that was interrupted.")
    ] = False,
    seed: arguments.Seed = 0,
    as_json: arguments.Json = False,
) -> None:
    """Train a model on data, and print how good it is."""
    named = [f"recipe={recipe}", f"code_size={code_size}", f"epochs={epochs}"]
    settings = {"random_state": seed, **arguments.settings([*named, *(assignments or [])])}
    names.check(settings)
    for path in (output, report):
        if path is not None:
            arguments.check_writable(path)
    from attar.data.source import read
    from attar.estimator import Autoencoder

    if as_json:
        settings.setdefault("verbose", False)
    estimator = Autoencoder().set_params(**settings)
    checkpoint = output.with_name(output.name + ".checkpoint")
    if not resume:
        checkpoint.unlink(missing_ok=True)
    started = time.perf_counter()
    given = arguments.form(source, size, time_column, series, window, stride)
    opened, conditional = read(given, label=condition or label), arguments.is_conditional(estimator)
    labels = arguments.condition_of(opened, condition, conditional)
    try:
        estimator.fit(opened.data, condition=labels, checkpoint=checkpoint)
    except KeyboardInterrupt:
        typer.echo(f"attar: stopped; resume with --resume (kept in {checkpoint}).", err=True)
        raise typer.Exit(130) from None
    seconds = time.perf_counter() - started
    estimator.save(output)
    checkpoint.unlink(missing_ok=True)
    metrics = _metrics(estimator, source)
    if report is not None:
        from attar.report import write_report

        shown = read(given, part="test", label=condition or label)
        labels = arguments.condition_of(shown, condition, conditional)
        write_report(estimator, shown.data, report, labels=shown.labels, condition=labels)
    if as_json:
        result = {"model": str(output), "seconds": seconds, **metrics}
        result["choices"] = [choice.to_json() for choice in estimator.choices_]
        result["diagnosis"] = [finding.to_json() for finding in estimator.diagnose()]
        print(arguments.dumped(result))
        return
    print(_comparison(metrics))
    for finding in estimator.diagnose():
        print(finding)
    page = "" if report is None else f", with a report in {report}"
    print(f"Fitted in {seconds:.1f} s: {output}{page}.")


def _metrics(estimator: Autoencoder, source: str) -> dict[str, Any]:
    """Return metrics on the data set's test part, or else on the rows that were held out."""
    from attar.data.datasets import DATASETS
    from attar.data.source import read

    fitted = estimator.fitted_
    if source in DATASETS:
        opened = read(source, part="test")
        labels = arguments.condition_of(opened, None, fitted.condition_encoder is not None)
        return {"rows_of": "test", **estimator.evaluate(opened.data, condition=labels)}
    diagnostics = fitted.training_summary.diagnostics
    error, pca_error = diagnostics.error, diagnostics.pca_error
    return {
        "rows_of": "validation" if diagnostics.held_out else "training",
        "code_size": estimator.code_size_,
        "error": error,
        "pca_error": pca_error,
        "error_to_pca": error / pca_error if pca_error else float("nan"),
    }


def _comparison(metrics: dict[str, Any]) -> str:
    """Return the error beside PCA's, in words."""
    ratio, size = metrics["error_to_pca"], int(metrics["code_size"])
    words = f"{metrics['rows_of'].capitalize()} MSE {metrics['error']:.4g}"
    if isfinite(ratio):
        words += f", {abs(1 - ratio):.0%} {'below' if ratio <= 1 else 'above'}"
        words += f" PCA's {metrics['pca_error']:.4g}"
    return f"{words} with {size} number{'s' * (size > 1)}."
