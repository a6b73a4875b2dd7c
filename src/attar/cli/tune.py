"""The verb tune: search for settings, and train a model with the best."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attar import names
from attar.cli import arguments
from attar.cli.fit import summary
from attar.errors import SettingError

if TYPE_CHECKING:
    import pandas as pd

# So many trials are printed, and plots have these forms.
PRINTED, PICTURES = 5, (".png", ".svg", ".pdf")

NUMBER = r"[-+]?[\d.]*\d(?:e[-+]?\d+)?"


def tune(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="MODEL",
            help="The model file; MODEL.study beside it keeps the trials.",
            show_default=False,
        ),
    ],
    source: arguments.Sources = None,
    trials: Annotated[int, typer.Option(help="How many fits are compared.")] = 30,
    minutes: Annotated[
        float | None,
        typer.Option(help="End the search after this time; then the best model is fitted."),
    ] = None,
    searched: Annotated[
        list[str] | None,
        typer.Option(
            "--search",
            metavar="KEY[=VALUES]",
            help="A setting to search, such as code_size, learning_rate=0.001..0.1 or "
            "recipe=vae,iwae; may be repeated. Without, the learning rate and the size of the "
            "network.",
        ),
    ] = None,
    recipe: arguments.Recipe = "auto",
    code_size: arguments.CodeSize = "auto",
    epochs: arguments.Epochs = "auto",
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
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="PICTURE", help="Also plot the losses by each setting (.png, .svg, .pdf)."
        ),
    ] = None,
    log: arguments.Log = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the trials of MODEL.study.")
    ] = False,
    on: arguments.OnRay = None,
    workers: arguments.Workers = None,
    exact: arguments.Exact = False,
    seed: arguments.Seed = 0,
    quiet: arguments.Quiet = False,
    as_json: arguments.Json = False,
) -> None:
    """Search for settings by held-out rows, and train a model with the best."""
    place = arguments.cluster(on, workers, exact, log=log)
    named = [f"recipe={recipe}", f"code_size={code_size}", f"epochs={epochs}"]
    settings = {"random_state": seed, "device": device}
    settings |= arguments.settings([*named, *(assignments or [])])
    settings |= arguments.columns(columns, drop, ids, condition or label)
    names.check(settings)
    search = dict(searched_values(one) for one in searched or ("learning_rate", "network"))
    names.check({name.partition("__")[0]: None for name in search})
    for assignment in log or ():
        names.check_tracker(assignment)
    storage = output.with_name(output.name + ".study")
    if storage.exists() and not resume:
        raise SettingError(
            f"{storage} has the trials of a search: go on with --resume, or delete it."
        )
    if plot is not None and plot.suffix not in PICTURES:
        raise SettingError(f"--plot takes a picture, {', '.join(PICTURES)}, not {plot}.")
    from attar.storage import check_writable, written_whole

    for path in (output, plot):
        if path is not None:
            check_writable(path)
    with arguments.importing():
        from attar.data.source import read
        from attar.estimator import Autoencoder
        from attar.training.callbacks import tracker

        if place is None:
            from attar.tuning import tune as search_settings
        else:
            from attar.scale.ray import tune as search_on_ray

            search_settings = partial(search_on_ray, **place)

    settings["callbacks"] = [tracker(assignment) for assignment in log or ()]
    verbose: Any = False if as_json or quiet else "auto"
    estimator = Autoencoder(verbose=verbose).set_params(**settings)
    started = time.perf_counter()
    table = arguments.rows(source, delimiter, decimal, encoding, na, sql, db)
    table = arguments.text(table, columns, paragraphs, encoding, split)
    if tile is None and size is None:
        tile = arguments.tile_of(estimator, table)
    data = arguments.form(
        table, size, tile, time_column, series, window, stride, absent, rate, view, channels
    )
    opened = read(data, label=condition or label)
    labels = arguments.condition_of(opened, condition, arguments.is_conditional(estimator))
    try:
        found = search_settings(
            opened.data,
            estimator,
            search,
            trials=trials,
            minutes=minutes,
            storage=storage,
            condition=labels,
            verbose=verbose,
        )
    except KeyboardInterrupt:
        typer.echo(f"attar: stopped; go on with --resume (kept in {storage}).", err=True)
        raise typer.Exit(130) from None
    best = found.estimator
    best.fitted_ = replace(best.fitted_, label=condition or label)
    best.save(output)
    if plot is not None:
        with written_whole(plot) as beside:
            found.plot().savefig(beside)
    if log:
        arguments.write_report(best, opened, labels, None)
    evaluation = best.evaluate_held_out(opened, condition=labels)
    part, metrics = evaluation.rows_of, evaluation.metrics
    seconds = time.perf_counter() - started
    if as_json:
        result = {"model": str(output), "study": str(storage), "seconds": seconds}
        losses = {"loss": found.loss, "default_loss": found.default_loss}
        trials_ = json.loads(found.trials.to_json(orient="records"))
        result |= losses | {"criterion": found.criterion, "settings": found.plain_settings}
        result |= {"importance": found.importance, "trials": trials_, "rows_of": part}
        print(arguments.to_json({**result, **metrics}))
    elif not quiet:
        print(*lines_of(found.trials), sep="\n")
        shares = ", ".join(f"{name} {share:.0%}" for name, share in found.importance.items())
        if shares:
            print(f"Share of the variance of the loss: {shares}.")
        print(
            f"On {part} rows, which no trial saw: {found.loss:.5g} nats per row, with default "
            f"settings {found.default_loss:.5g} ({found.criterion.partition(',')[0]})."
        )
        print(summary(part, metrics))
        print(f"Tuned in {seconds:.1f} s: {output}, with the trials in {storage}.")


def searched_values(assignment: str) -> tuple[str, object]:
    """Return the name and the values of ``key``, ``key=low..high`` or ``key=a,b``.

    Raises
    ------
    SettingError
        If there is no name.

    Examples
    --------
    >>> searched_values("code-size=4..32"), searched_values("recipe=vae,iwae")
    (('code_size', (4, 32)), ('recipe', ['vae', 'iwae']))
    """
    key, equals, text = assignment.partition("=")
    name = key.strip().replace("-", "_").replace(".", "__")
    if not name or (equals and not text):
        raise SettingError(
            f"--search takes a setting, such as code_size or code_size=4..32, not {assignment!r}."
        )
    if not equals:
        return name, None
    if ends := re.fullmatch(rf"({NUMBER})\.\.({NUMBER})", text):
        return name, tuple(json.loads(end) for end in ends.groups())
    return name, [arguments.value_of(one.strip()) for one in text.split(",")]


def lines_of(trials: pd.DataFrame) -> list[str]:
    """Return the best trials as lines of a table, and how many there are."""
    best = trials.sort_values("loss").head(PRINTED).drop(columns=["state"])
    table: str = best.to_string(index=False, float_format=lambda value: f"{value:.4g}")
    states = ", ".join(f"{n} {state}" for state, n in trials.state.value_counts().items())
    return [*table.splitlines(), f"{len(trials)} trials: {states}."]
