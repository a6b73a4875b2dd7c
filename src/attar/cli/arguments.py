"""Arguments, options and outputs that several commands share."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from attar import names
from attar.errors import FileError, SettingError
from attar.remote import Url, file_at

if TYPE_CHECKING:
    from attar.data.files.base import FileStream
    from attar.data.source import Data
    from attar.data.source import Source as Opened
    from attar.estimator import Autoencoder


def complete_recipe(incomplete: str) -> list[str]:
    """Return the names of recipes, for a shell to complete."""
    return list(names.RECIPES)


def complete_setting(incomplete: str) -> list[str]:
    """Return assignments to settings, for a shell to complete: the names, then the values."""
    setting, assigned, _ = incomplete.partition("=")
    if assigned:
        return [f"{setting}={value}" for value in names.PARTS.get(setting, ())]
    return [f"{name}=" for name in names.SETTINGS]


READ = (
    "A file (.csv, .tsv, .jsonl, also with .gz; .xlsx, .parquet, .feather, .npy, .npz, IDX), a "
    "folder of pictures or of sound, a sound file, or a data set: digits, mnist. Also a URL "
    "(s3://, gs://, hf://, https://), or - for a pipe."
)
Sources = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[SOURCE]...",
        help=f"{READ} Several tables, or a pattern such as 'sales-*.csv', are read as one.",
        parser=file_at,
        show_default=False,
    ),
]
Source = Annotated[
    Path, typer.Argument(metavar="SOURCE", help=READ, parser=file_at, show_default=False)
]
Sql = Annotated[
    str | None,
    typer.Option("--sql", metavar="QUERY", help="Rows of a query of --db, in place of SOURCE."),
]
Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="URL",
        help="The database: sqlite:///file, duckdb:///file, postgresql://user@host/name.",
    ),
]
Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="A model file, or its URL.", parser=file_at, show_default=False
    ),
]
Rows = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="The output: .npy, .npz, .csv, .parquet, .feather; for images also a folder, "
        "for sound a folder. A single file may be at a URL (s3://, gs://, hf://).",
        parser=file_at,
        show_default=False,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="A column of labels, which training does not use."),
]
Condition = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="A column that the model is conditioned on; a conditional recipe takes the data "
        "set's labels by default.",
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME[=KIND]",
        help="What a column is, where attar takes it for something else: "
        f"{', '.join(names.COLUMNS)}; may be repeated. A name alone: fit on the text of it.",
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A column that the model does not use; may be repeated."),
]
Ids = Annotated[
    list[str] | None,
    typer.Option(
        "--id",
        metavar="NAME",
        help="A column that identifies rows: the model does not use it, and tables of codes have "
        "it too; may be repeated.",
    ),
]
Printed = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="The output; text is printed without.",
        parser=file_at,
    ),
]
Recipe = Annotated[
    str, typer.Option(help="A row of `attar recipes`.", autocompletion=complete_recipe)
]
CodeSize = Annotated[str, typer.Option(help="The number of latent dimensions.")]
Epochs = Annotated[str, typer.Option(help="Passes over the training rows.")]
Log = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TRACKER:PLACE",
        help="Write losses, pictures and a report to tensorboard:FOLDER, mlflow:URI or "
        "trackio:PROJECT; may be repeated.",
    ),
]
ModelOutput = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="MODEL",
        help="The model file, or its URL.",
        parser=file_at,
        show_default=False,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but warnings and errors.")
]
Device = Annotated[
    str, typer.Option(help="Where to compute: cpu, cuda, ...; auto takes a GPU where there is one.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of the fit, such as network=conv; may be repeated.",
        autocompletion=complete_setting,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Seed = Annotated[int, typer.Option(min=0, help="Equal seeds give equal results.")]

Size = Annotated[
    str | None,
    typer.Option(metavar="HxW", help="Resize pictures to this size, such as 64x64."),
]
Tile = Annotated[
    int | None,
    typer.Option(min=1, help="Cut pictures of any sizes into square tiles of this side."),
]
Time = Annotated[
    str | None,
    typer.Option("--time", metavar="COLUMN", help="The time of each row of a series."),
]
Series = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="The series that each row belongs to.")
]
Window = Annotated[int | None, typer.Option(min=1, help="Steps of a series in each code.")]
Stride = Annotated[int | None, typer.Option(min=1, help="Steps from one window to the next.")]
Rate = Annotated[
    int | None,
    typer.Option(min=1, metavar="HZ", help="Resample sound to so many samples a second."),
]
View = Annotated[
    str | None,
    typer.Option(
        metavar="mel|waveform", help="What the model sees of sound: mel bands, or samples."
    ),
]
Channels = Annotated[
    str | None,
    typer.Option(metavar="mono|all", help="Mix the channels of sound, or keep them."),
]
Paragraphs = Annotated[
    bool, typer.Option("--paragraphs", help="A text is a paragraph of a file, not a line.")
]
Split = Annotated[
    int | None,
    typer.Option(min=1, metavar="WORDS", help="Split texts of more words into parts."),
]
Absent = Annotated[
    str | None,
    typer.Option(
        metavar="zero|missing",
        help="What the cells are that a sparse matrix does not store: zero, as of counts, or "
        "missing, as of ratings.",
    ),
]

Delimiter = Annotated[
    str | None,
    typer.Option(metavar="CHAR", help="The character between the cells of a CSV file, or tab."),
]
Decimal = Annotated[str | None, typer.Option(metavar=".|,", help="The decimal sign of a CSV file.")]
Encoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The encoding of a CSV or text file, such as cp1251."),
]
Na = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WORD",
        help="A word for missing values in a CSV file, such as -999; may be repeated.",
    ),
]

RAY = (
    "Work by processes of Ray: on this machine; with ray://auto on the cluster that it belongs to, "
    "or with ray://HOST:6379 by the address of the cluster's head."
)
OnRay = Annotated[str | None, typer.Option("--on", metavar="ray[://HOST]", help=RAY)]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="ray[://HOST]",
        help=f"{RAY} Tables in files are read, and parts written into a new folder OUT.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Of --on: the number of processes.", show_default="one a CPU"),
]
Exact = Annotated[
    bool, typer.Option("--exact", help="Of --on: refuse fewer processes, instead of a warning.")
]


def cluster(
    on: str | None, workers: int | None, exact: bool, **without: object
) -> dict[str, Any] | None:
    """Return where to work, as the options describe it; None for this process.

    Parameters
    ----------
    on, workers, exact
    **without
        Values of other options, which are true where they are given: those that don't go with it.

    Raises
    ------
    SettingError
        If an option does not fit the others.
    """
    if on is None:
        for name in (name for name, value in {"workers": workers, "exact": exact}.items() if value):
            raise SettingError(f"--{name} is of --on ray: leave it out.")
        return None
    for name in (name for name, value in without.items() if value):
        raise SettingError(f"--{name.replace('_', '-')} does not go with --on: leave one out.")
    return {"on": on, "workers": workers, "exact": exact}


@contextmanager
def importing() -> Iterator[None]:
    """Import modules without the garbage collector, which then leaves alone what they made.

    None of it is garbage before the process ends: looking for some takes a third of the time of a
    verb that has little to do.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def rows(
    sources: Sequence[Path] | None,
    delimiter: str | None,
    decimal: str | None,
    encoding: str | None,
    na: list[str] | None,
    sql: str | None = None,
    db: str | None = None,
) -> FileStream | Path:
    """Return the rows of sources or of a query, as the options describe them.

    Raises
    ------
    SettingError
        If there are none, or an option does not fit.
    """
    described = bool(delimiter or decimal or encoding or na)
    if sql is not None or db is not None:
        if sql is None or db is None:
            raise SettingError("--sql is a query of --db: give both, or none.")
        if sources or described:
            raise SettingError("--sql takes the place of a file: leave out SOURCE and its options.")
        from attar.data.files.databases import sql as rows_of

        return rows_of(sql, db)
    if not sources:
        raise SettingError("There is no SOURCE: give a file, a data set, or --sql and --db.")
    if not described:
        if len(sources) == 1:
            return sources[0]
        from attar.data.files.several import Files

        return Files(sources)
    from attar.data.files.csv import Csv
    from attar.data.files.several import Files, matching
    from attar.data.files.tabular import STREAMS
    from attar.data.lines import SUFFIXES, Lines

    files = [file for source in sources for file in matching(source)]
    lines = len(files) == 1 and files[0].name.lower().endswith(SUFFIXES)
    if encoding and lines and not (delimiter or decimal or na):
        return Lines(files[0], encoding=encoding)
    suffixes = tuple(suffix for suffix, stream in STREAMS.items() if stream is Csv)
    for file in files:
        if not file.name.lower().endswith(suffixes):
            raise SettingError(
                f"--delimiter, --decimal, --encoding and --na are for CSV files, not {file}."
            )
    tables = [Csv(file, delimiter, decimal, encoding, na or ()) for file in files]
    return tables[0] if len(tables) == 1 else Files(tables)


def with_settings(estimator: Settable, settings: Mapping[str, Any], purpose: str) -> None:
    """Set the settings of an estimator that is made for a purpose.

    Raises
    ------
    SettingError
        If it has no such settings.
    """
    try:
        estimator.set_params(**settings)
    except ValueError:
        known = ", ".join(estimator.get_params())
        raise SettingError(
            f"The settings of --for {purpose} are {known}, and not all of {', '.join(settings)}."
        ) from None


def file_of(source: FileStream | Path) -> Path:
    """Return the file of rows, the first of several."""
    return source if isinstance(source, os.PathLike) else source.path


def text(
    source: FileStream | Path,
    assignments: list[str] | None,
    paragraphs: bool,
    encoding: str | None,
    split: int | None,
) -> FileStream | Path:
    """Return the text of a source where an option asks for it: a column's, paragraphs, parts.

    Raises
    ------
    SettingError
        If several columns are named without a kind.
    """
    named = [assignment for assignment in assignments or () if "=" not in assignment]
    if not (named or paragraphs or split):
        return source
    if len(named) > 1:
        raise SettingError(
            f"--column takes NAME=KIND, such as zip=categorical, or one column of text, not "
            f"{', '.join(named)}."
        )
    from attar.data.lines import Lines

    table = source.path if isinstance(source, Lines) else source
    column = named[0] if named else None
    return Lines(table, column, paragraphs, encoding or "utf-8", split)


def form(
    source: FileStream | Path,
    size: str | None,
    tile: int | None,
    time: str | None,
    series: str | None,
    window: int | None,
    stride: int | None,
    absent: str | None,
    rate: int | None = None,
    view: str | None = None,
    channels: str | None = None,
) -> Data:
    """Return the source as the options describe it, or unchanged."""
    path = file_of(source)
    if size is not None or tile is not None:
        from attar.data.pictures import Pictures

        return Pictures(path, size, tile=tile)
    if any(option is not None for option in (rate, view, channels)):
        from attar.data.sounds import Sounds

        return Sounds(path, rate, view, channels)
    if any(option is not None for option in (time, series, window, stride)):
        from attar.data.series import Series

        return Series(source, time, series, window, stride)
    if absent is not None:
        from attar.data.sparse import Sparse

        return Sparse(source, absent)  # type: ignore[arg-type]  # which it checks
    return source


def tile_of(estimator: Autoencoder, source: FileStream | Path) -> int | None:
    """Return the side of tiles where the recipe's network takes such of pictures of any sizes.

    It is that of the smallest picture, where this is less.
    """
    from attar import recipes
    from attar.data.pictures import smallest_side
    from attar.data.stream import Stream
    from attar.networks import Lapped

    recipe = None if estimator.recipe == "auto" else recipes.resolve(estimator.recipe)
    network = estimator.network if estimator.network != "auto" or not recipe else recipe.network
    if not isinstance(network, Lapped) or isinstance(source, Stream) or not source.is_dir():
        return None
    return min(network.tile, smallest_side(source))


def is_conditional(estimator: Autoencoder) -> bool:
    """Return whether the recipe of an estimator needs a condition."""
    from attar import recipes

    recipe = estimator.recipe
    return recipe != "auto" and recipes.resolve(recipe).condition is not None


def condition_of(source: Opened, condition: str | None, required: bool) -> Data | None:
    """Return the labels of a source as the condition, where an option or the recipe asks for it.

    Raises
    ------
    SettingError
        If a condition is required, and the source has no labels.
    """
    if not required and condition is None:
        return None
    if source.labels is None:
        raise SettingError(
            "A condition is needed, but the source has no labels: name a column of a table that "
            "fits into memory with --condition COLUMN."
        )
    return source.labels


def write_report(
    estimator: Autoencoder, opened: Opened, condition: Data | None, path: Path | None
) -> None:
    """Write the report of a fit, which its trackers get; None writes it for these alone."""
    from attar.reporting import report

    with TemporaryDirectory() as folder:
        page = path or Path(folder, "report.html")
        report(estimator, opened, page, labels=opened.labels, condition=condition)


def settings(assignments: list[str]) -> dict[str, object]:
    """Return the settings of ``key=value`` assignments, where a value is JSON or a word.

    Raises
    ------
    SettingError
        If one is not an assignment.
    """
    parsed = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise SettingError(f"--set takes key=value, such as network=conv, not {assignment!r}.")
        parsed[key.strip().replace("-", "_").replace(".", "__")] = value_of(value.strip())
    return parsed


def columns(
    assignments: list[str] | None,
    drop: list[str] | None,
    ids: list[str] | None,
    label: str | None,
) -> dict[str, object]:
    """Return the setting ``columns`` of the options, where one of them is given.

    The column of labels is none of the data, whatever it is set to.

    Raises
    ------
    SettingError
        If an assignment is none.
    """
    kinds = dict.fromkeys(drop or (), "ignore") | dict.fromkeys(ids or (), "id")
    for assignment in assignments or ():
        name, assigned, kind = assignment.rpartition("=")
        if assigned:
            kinds[name] = kind
    kinds.pop(label or "", None)
    return {"columns": kinds} if kinds else {}


def value_of(text: str) -> object:
    """Return the value of a text: JSON, or a word."""
    try:
        value = json.loads(text)
    except ValueError:
        return {"None": None, "True": True, "False": False}.get(text, text)
    return tuple(value) if isinstance(value, list) else value


def to_json(metrics: Mapping[str, object]) -> str:
    """Return metrics as JSON, with null for values that are not finite."""
    return json.dumps(
        {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in metrics.items()}
    )


class Settable(Protocol):
    """An estimator of scikit-learn's."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings."""

    def set_params(self, **settings: Any) -> object:
        """Change settings."""


class RowWriter(Protocol):
    """Writes rows piece by piece."""

    def write(self, piece: Any) -> object:
        """Write the next rows."""


def printable(texts: Any, column: str | None = None) -> list[str]:
    """Return texts, of a list or a table's column, each as one line that can be printed."""
    from attar.data.text import as_bytes

    found = as_bytes(texts, column)
    return [" ".join(text.decode(errors="replace").splitlines()) for text in found]


def check_output(path: Path) -> None:
    """Refuse a path that rows cannot be written to.

    Raises
    ------
    FileError
        If its suffix is unknown, its folder is missing or not writable, or it is a folder with
        other files than pictures.
    """
    with importing():
        from attar.data.files.writers import SUFFIXES
    from attar.storage import check_writable

    known = ", ".join(SUFFIXES)
    if path.suffix and not path.name.endswith(SUFFIXES):
        raise FileError(f"{path} has a suffix that attar does not write: use {known}, or a folder.")
    if not path.suffix and not isinstance(path, Url) and path.exists():
        if not path.is_dir():
            raise FileError(f"{path} is a file: give a folder, or one of {known}.")
        _check_replaceable(path)
    check_writable(path)


def check_separate(output: Path, sources: Sequence[Path] | None) -> None:
    """Refuse to overwrite the folder that is read.

    Raises
    ------
    FileError
        If both are the same, or one is inside the other.
    """
    for source in sources or () if not output.suffix else ():
        a, b = output.resolve(), source.resolve()
        if a == b or a in b.parents or b in a.parents:
            raise FileError(f"{output} would overwrite the source {source}: give another folder.")


def writer(
    path: Path,
    columns: Sequence[str],
    white: float | None = None,
    pictures: Sequence[str] | None = None,
) -> AbstractContextManager[RowWriter]:
    """Return the writer of rows to a file, or of pictures to a folder.

    Parameters
    ----------
    path : Path
        A file, or without a suffix a folder of PNG files.
    columns : sequence of str
        The column names of a matrix, where the format stores them.
    white : float or None
        The value of a white pixel; None writes bytes unscaled.
    pictures : sequence of str or None
        The file names; None numbers them.
    """
    if path.suffix:
        from attar.data.files.writers import writer_for

        return writer_for(path, columns)
    from attar.data.pictures import picture_writer

    return picture_writer(path, pictures, white)


def _check_replaceable(folder: Path) -> None:
    files = (p for p in folder.rglob("*") if p.is_file())
    other = next((p for p in files if p.suffix.lower() != ".png"), None)
    if other is not None:
        raise FileError(
            f"{folder} holds {other.relative_to(folder)}, which would be lost: give a new folder."
        )
