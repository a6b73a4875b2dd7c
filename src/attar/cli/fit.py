"""The verb fit: train a model on data."""

from __future__ import annotations

import time
from dataclasses import replace
from importlib import import_module
from math import isfinite, log
from pathlib import Path
from typing import Annotated, Any

import typer

from attar import names
from attar.cli import arguments
from attar.cli.anomalies import fit_detector
from attar.cli.clusters import fit_clusterer
from attar.cli.forecast import fit_forecaster
from attar.cli.gaps import fit_imputer
from attar.cli.labels import fit_labels
from attar.errors import SettingError
from attar.remote import Url, file_at
from attar.scale import torchrun
from attar.storage import TASKS, check_writable

# How an estimator for a task is fitted, and what is printed of it.
FITS = {
    "anomalies": fit_detector,
    "gaps": fit_imputer,
    "future": fit_forecaster,
    "labels": fit_labels,
    "numbers": fit_labels,
    "clusters": fit_clusterer,
}


def fit(
    output: arguments.ModelOutput,
    source: arguments.Sources = None,
    recipe: arguments.Recipe = "auto",
    code_size: arguments.CodeSize = "auto",
    epochs: arguments.Epochs = "auto",
    max_minutes: Annotated[
        float | None,
        typer.Option(help="Stop training after this time, with the schedule complete."),
    ] = None,
    purpose: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="TASK",
            help="anomalies: a detector of odd rows, to score; gaps: an imputer, to impute; "
            "future: of series, to forecast; labels: a classifier, or of numbers a regressor, of "
            "rows with --label COLUMN, to predict; clusters: groups of rows, to predict.",
        ),
    ] = None,
    clusters: Annotated[
        str, typer.Option(help="The number of clusters of --for clusters; auto by default.")
    ] = "auto",
    horizon: Annotated[
        int | None,
        typer.Option(min=1, help="The steps that --for future forecasts; 96 by default."),
    ] = None,
    known: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="A known-ahead column, such as prices or holidays; may be repeated.",
        ),
    ] = None,
    static: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="A column that is constant within each series, such as its region; may be "
            "repeated.",
        ),
    ] = None,
    effort: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=3,
            help="The size of the network of the recipe lossless: 1 is the fastest, 3 the default.",
        ),
    ] = None,
    error: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[COLUMN=]BOUND",
            help="Near-lossless compression: the largest error of numbers, as a share of each "
            "column's range, or of one column in its own units; may be repeated.",
        ),
    ] = None,
    device: arguments.Device = "auto",
    assignments: arguments.Settings = None,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
    columns: arguments.Columns = None,
    drop: arguments.Drop = None,
    ids: arguments.Ids = None,
    size: arguments.Size = None,
    tile: arguments.Tile = None,
    time_column: arguments.Time = None,
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
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="PAGE",
            help="Also write a report to this HTML page.",
            parser=file_at,
        ),
    ] = None,
    log: arguments.Log = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume a fit that was interrupted.")
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Go on from the weights of this model, of data of the same form.",
            parser=file_at,
        ),
    ] = None,
    freeze: Annotated[
        str | None,
        typer.Option(
            metavar="PART",
            help="encoder: codes stay those of the model of --from, and only the decoder learns.",
        ),
    ] = None,
    on: arguments.OnRay = None,
    workers: arguments.Workers = None,
    exact: arguments.Exact = False,
    seed: arguments.Seed = 0,
    quiet: arguments.Quiet = False,
    as_json: arguments.Json = False,
) -> None:
    """Train a model on data, and print its error beside PCA's."""
    place = arguments.cluster(on, workers, exact, log=log)
    if clusters != "auto" and purpose != "clusters":
        raise SettingError("--clusters is of --for clusters: leave it out.")
    of_future = {"horizon": horizon, "known": known, "static": static}
    for name in (name for name, value in of_future.items() if value):
        if purpose != "future":
            raise SettingError(f"--{name} is of --for future: leave it out.")
    for assignment in log or ():
        names.check_tracker(assignment)
    if purpose is not None:
        if purpose not in TASKS:
            raise SettingError(f"--for takes {', '.join(TASKS)}, not {purpose!r}.")
        given: dict[str, object] = {
            **{"effort": effort, "error": error},
            **{"condition": condition, "report": report, "resume": resume},
            **{"from": start, "freeze": freeze, "on": on},
        }
        of_codes = purpose in ("labels", "numbers", "clusters")
        if not of_codes:
            given |= {"code-size": code_size != "auto", "epochs": epochs != "auto"}
            given |= {"max-minutes": max_minutes}
        if torchrun.is_started():
            raise SettingError(
                f"torchrun trains an autoencoder, not --for {purpose}: run it without torchrun."
            )
        for name in (name for name, value in given.items() if value):
            raise SettingError(
                f"--{name} is of an autoencoder, not of --for {purpose}: leave it out."
            )
        of_text = paragraphs or split or any("=" not in column for column in columns or ())
        if of_text and purpose != "anomalies" and not of_codes:
            raise SettingError(
                "Text is of an autoencoder, --for anomalies, labels or clusters, not of --for "
                f"{purpose}: leave out --column NAME, --paragraphs and --split."
            )
        check_writable(output)
        with arguments.importing():
            from attar.cli.tasks import TaskFit

        table = arguments.rows(source, delimiter, decimal, encoding, na, sql, db)
        table = arguments.text(table, columns, paragraphs, encoding, split)
        data = arguments.form(
            table, size, tile, time_column, series, window, stride, absent, rate, view, channels
        )
        settings = arguments.settings(assignments or []) | {"random_state": seed}
        if purpose == "future":
            others: dict[str, object] = {
                **{"column": columns, "drop": drop, "id": ids, "label": label, "size": size},
                **{"tile": tile, "window": window, "stride": stride, "absent": absent},
                **{"rate": rate, "view": view, "channels": channels},
                "recipe": recipe != "auto",
            }
            for name in (n for n, value in others.items() if value):
                raise SettingError(f"--{name} is not of --for future: leave it out.")
            settings |= {"horizon": horizon, "known": known or [], "static": static or []}
        else:
            settings |= arguments.columns(columns, drop, ids, label)
            settings |= {} if recipe == "auto" else {"recipe": recipe}
        if of_codes:
            trained = [f"code_size={code_size}", f"epochs={epochs}"]
            settings |= arguments.settings(trained) | {"max_minutes": max_minutes}
        if purpose == "clusters":
            settings |= arguments.settings([f"n_clusters={clusters}"])
        FITS[purpose](data, TaskFit(output, purpose, settings, label, log or (), quiet, as_json))
        return
    if freeze is not None and start is None:
        raise SettingError("--freeze keeps a part of a fitted model: give the model with --from.")
    named = [f"recipe={recipe}", f"code_size={code_size}", f"epochs={epochs}"]
    options = {"random_state": seed, "max_minutes": max_minutes, "device": device}
    settings = {**options, **arguments.settings([*named, *(assignments or [])])}
    settings |= arguments.columns(columns, drop, ids, condition or label)
    names.check(settings)
    from attar.data.datasets import DATASETS

    for path in (output, report):
        if path is not None:
            check_writable(path)
    with arguments.importing():
        import_module("torch._dynamo")  # which torch's optimizers import at their first step

        from attar.data.source import read
        from attar.estimator import Autoencoder
        from attar.likelihoods import Causal
        from attar.plan import MODEL
        from attar.training.callbacks import tracker
        from attar.training.checkpoints import check_checkpoint

    settings["callbacks"] = [tracker(assignment) for assignment in log or ()]
    if as_json or quiet:
        settings.setdefault("verbose", False)
    if start is None:
        estimator = Autoencoder()
    else:
        estimator = Autoencoder.load(start).set_params(warm_start=True)
        settings = {n: v for n, v in settings.items() if n not in MODEL or v != "auto"}
    estimator.set_params(**settings)
    for name in (n for n, value in {"effort": effort, "error": error}.items() if value):
        if not isinstance(estimator.get_params().get("recipe__likelihood"), Causal):
            raise SettingError(f"--{name} is for the recipe lossless, not for {recipe}.")
    if effort or error:
        causal = Causal.of_effort(effort or 3).replace(**_error_bounds(error or []))
        estimator.set_params(recipe__likelihood=causal)
    name = f"{output.name}.checkpoint"
    checkpoint = Path(name) if isinstance(output, Url) else output.with_name(name)
    if checkpoint.exists():
        check_checkpoint(checkpoint)
        if not resume:
            checkpoint.unlink(missing_ok=True)
    started = time.perf_counter()
    table = arguments.rows(source, delimiter, decimal, encoding, na, sql, db)
    table = arguments.text(table, columns, paragraphs, encoding, split)
    if tile is None and size is None:
        tile = arguments.tile_of(estimator, table)
    data = arguments.form(
        table, size, tile, time_column, series, window, stride, absent, rate, view, channels
    )
    opened, conditional = read(data, label=condition or label), arguments.is_conditional(estimator)
    labels = arguments.condition_of(opened, condition, conditional)
    try:
        how: Any = {"condition": labels, "checkpoint": checkpoint, "freeze": freeze}
        if place is None:
            estimator.fit(opened.data, **how)
        else:
            from attar.scale import ray

            ray.fit(estimator, opened.data, **how, **place)
    except KeyboardInterrupt:
        typer.echo(f"attar: stopped; resume with --resume (kept in {checkpoint}).", err=True)
        raise typer.Exit(130) from None
    if not torchrun.is_first():
        return
    seconds = time.perf_counter() - started
    estimator.fitted_ = replace(estimator.fitted_, label=condition or label)
    estimator.set_params(warm_start=bool(settings.get("warm_start"))).save(output)
    checkpoint.unlink(missing_ok=True)
    if str(table) in DATASETS:
        opened = read(table, part="test")
        labels = arguments.condition_of(opened, condition, conditional)
    evaluation = estimator.evaluate_held_out(opened, condition=labels)
    part, metrics = evaluation.rows_of, evaluation.metrics
    if report is not None or log:
        arguments.write_report(estimator, opened, labels, report)
    if quiet and not as_json:
        return
    findings = estimator.diagnose(evaluation)
    if as_json:
        result = {"model": str(output), "seconds": seconds, "rows_of": part, **metrics}
        result["choices"] = [choice.to_json() for choice in estimator.choices_]
        result["diagnosis"] = [finding.to_json() for finding in findings]
        print(arguments.to_json(result))
        return
    print(summary(part, metrics))
    print(*findings, sep="\n")
    also = "" if report is None else f", with a report in {report}"
    print(f"Fitted in {seconds:.1f} s: {output}{also}.")


def summary(part: str, metrics: dict[str, float]) -> str:
    """Return the metrics that a kind of data and a recipe are judged by, in words."""
    if "exact" in metrics:
        return tokens(part, metrics)
    return comparison(part, metrics) if "error_to_pca" in metrics else likelihood(part, metrics)


def tokens(part: str, metrics: dict[str, float]) -> str:
    """Return how many tokens of texts are reconstructed, in words."""
    return (
        f"{part.capitalize()} texts: {metrics['accuracy']:.0%} of tokens are reconstructed in "
        f"their place, and {metrics['exact']:.0%} of texts exactly."
    )


def comparison(part: str, metrics: dict[str, float]) -> str:
    """Return the error beside PCA's, in words."""
    ratio, size = metrics["error_to_pca"], int(metrics["code_size"])
    words = f"{part.capitalize()} MSE {metrics['error']:.4g}"
    if isfinite(ratio):
        share = f"{abs(1 - ratio):.0%}"
        compared = "about" if share == "0%" else f"{share} {'below' if ratio < 1 else 'above'}"
        compared = compared if ratio < 2 else f"{ratio:.1f} times"
        words += f", {compared} PCA's {metrics['pca_error']:.4g}"
    return f"{words} with {size} number{'s' * (size > 1)}."


def likelihood(part: str, metrics: dict[str, float]) -> str:
    """Return the log-likelihood of a model that is not compared with PCA, in words."""
    nats = metrics["nll_bound"]
    return f"{part.capitalize()} NLL {nats:.4g} nats per row, which are {nats / log(2):.4g} bits."


def _error_bounds(texts: list[str]) -> dict[str, object]:
    """Return the settings of a causal likelihood that texts such as 0.01 and price=0.5 say."""
    error, errors = 0.0, {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            bound = float(value)
        except ValueError:
            raise SettingError(f"--error takes 0.01 or COLUMN=0.5, not {text!r}.") from None
        if not 0 < bound < float("inf"):
            raise SettingError(
                f"--error {text} is no bound above 0: leave it out for lossless compression."
            )
        if name:
            errors[name] = bound
        else:
            error = bound
    return {"error_bound": error, "error_bounds": tuple(errors.items())}
