"""Verbs that apply a model: encode, reconstruct, sample, evaluate and report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

import attar
from attar import names
from attar.cli import arguments
from attar.errors import DataError, FileError, SettingError, unknown
from attar.remote import file_at

if TYPE_CHECKING:
    from attar.data.files.base import FileStream
    from attar.data.source import Data
    from attar.data.source import Source as Opened
    from attar.estimator import Autoencoder

# Of rows that are measured, some with so many cells are compressed.
COMPRESSED = 1 << 17

# So many pictures are coded beside other formats.
CODED = 8


def encode(
    model: arguments.Model,
    output: arguments.Rows,
    source: arguments.Sources = None,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
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
    """Write the codes of rows; large files are processed piece by piece."""
    place = arguments.cluster(
        on, workers, exact, condition=condition, sql=sql, device=device != "cpu"
    )
    if place is not None:
        table = arguments.rows(source, delimiter, decimal, encoding, na)
        with arguments.importing():
            from attar.estimator import Autoencoder
            from attar.scale import ray

        ray.encode(Autoencoder.load(model), table, output, label=label, **place)
        return
    arguments.check_output(output)
    with arguments.importing():
        from attar.data.files.tabular import STREAMS
        from attar.scale.verbs import Encode

    rows = arguments.rows(source, delimiter, decimal, encoding, na, sql, db)
    estimator, opened, labels = opened_model(model, device, rows, label, condition)
    verb = Encode(estimator)
    with arguments.writer(output, verb.names) as writer:
        if output.name.endswith(tuple(STREAMS)):
            for piece in verb.pieces(opened.data, labels):
                writer.write(piece)
        else:
            for _, codes in verb.coded(opened.data, labels):
                writer.write(codes)


def reconstruct(
    model: arguments.Model,
    output: arguments.Rows,
    source: arguments.Sources = None,
    denoise: Annotated[
        bool,
        typer.Option("--denoise", help="Remove noise, from pictures of any size by their tiles."),
    ] = False,
    level: Annotated[
        float | None,
        typer.Option(help="The standard deviation of the noise, for --denoise; else estimated."),
    ] = None,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
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
    """Write the reconstruction of rows; missing cells are predicted."""
    if level is not None and not denoise:
        raise SettingError("--level is the level of the noise to remove: give --denoise too.")
    place = arguments.cluster(
        on, workers, exact, condition=condition, sql=sql, device=device != "cpu", denoise=denoise
    )
    if place is not None:
        table = arguments.rows(source, delimiter, decimal, encoding, na)
        with arguments.importing():
            from attar.estimator import Autoencoder
            from attar.scale import ray

        ray.reconstruct(Autoencoder.load(model), table, output, label=label, **place)
        return
    arguments.check_output(output)
    arguments.check_separate(output, source)
    from attar.data.pictures import Pictures

    rows = arguments.rows(source, delimiter, decimal, encoding, na, sql, db)
    estimator, opened, labels = opened_model(model, device, rows, label, condition)
    data = opened.data
    if denoise:
        if labels is not None:
            raise SettingError("--denoise takes no condition: leave it out, or --denoise.")
        _denoised(estimator, data, output, level)
        return
    from attar.scale.verbs import Reconstruct  # not before what it needs was found to be there

    pictures = data.names if isinstance(data, Pictures) else None
    with _writer(estimator, output, pictures) as writer:
        for piece in Reconstruct(estimator).pieces(data, labels):
            writer.write(piece)


def _denoised(estimator: Autoencoder, data: Any, output: Path, level: float | None) -> None:
    """Write data without noise: pictures one by one in their own sizes, all else in pieces."""
    from attar.data.pictures import Pictures

    whole = isinstance(data, Pictures)
    pieces = ([picture] for _, picture in data.pictures()) if whole else _pieces(estimator, data)
    with _writer(estimator, output, data.files if whole else None) as writer:
        for piece in pieces:
            clean = estimator.denoise(cast("Any", piece), level=level)
            writer.write(clean[0][None] if whole else clean)


def sample(
    model: arguments.Model,
    output: arguments.Printed = None,
    number: Annotated[int, typer.Option("-n", min=1, help="The number of rows.")] = 16,
    sampler: Annotated[
        str, typer.Option(help=f"The distribution of new codes: {', '.join(names.SAMPLERS)}.")
    ] = "auto",
    mean: Annotated[
        bool, typer.Option("--mean", help="Expected rows, without noise, as pictures always are.")
    ] = False,
    temperature: Annotated[
        float | None,
        typer.Option(help="Of text: smaller ones make likely words more likely. [default: 0.7]"),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Of text: words are the most likely of this probability. [default: 0.9]"),
    ] = None,
    condition: Annotated[
        str | None, typer.Option(metavar="LABEL", help="The condition of the new rows.")
    ] = None,
    device: arguments.Device = "cpu",
    seed: arguments.Seed = 0,
) -> None:
    """Write generated rows; text is printed where no output is given."""
    if sampler not in (*names.SAMPLERS, "auto"):
        raise unknown("sampler", sampler, names.SAMPLERS)
    if output is not None:
        arguments.check_output(output)
    with arguments.importing():
        from attar.estimator import Autoencoder

    estimator = Autoencoder.load(model, device=device)
    check_printed(estimator, output)
    rows = estimator.sample(
        number,
        sampler=sampler,
        mean=mean or "auto",
        temperature=temperature,
        top_p=top_p,
        condition=condition,
        random_state=seed,
    )
    write_rows(estimator, rows, output)


def check_printed(estimator: Autoencoder, output: Path | None) -> None:
    """Refuse to print rows that are no text.

    Raises
    ------
    SettingError
        If there is no output, and the model is not of text.
    """
    from attar.data.text import Text

    if output is None and not isinstance(estimator.fitted_.kind, Text):
        raise SettingError("Only text is printed: give the output with -o.")


def write_rows(estimator: Autoencoder, rows: Any, output: Path | None) -> None:
    """Write new rows of a model to a file or a folder; texts are printed where there is none."""
    if output is None:
        print(*arguments.printable(rows), sep="\n")
        return
    with _writer(estimator, output) as writer:
        writer.write(rows)


def _writer(
    estimator: Autoencoder, output: Path, pictures: Sequence[str] | None = None
) -> AbstractContextManager[arguments.RowWriter]:
    """Return the writer of rows of a model's kind to a file, or to a folder.

    Raises
    ------
    FileError
        If the output is a file, and the rows are sound.
    """
    from attar.data.clips import sound_writer
    from attar.data.recordings import SoundWindows

    preparation = estimator.fitted_.predictor.preparation
    if isinstance(preparation.kind, SoundWindows):
        if output.suffix:
            raise FileError(f"Sound is written into a folder, not to {output}: give a folder.")
        return sound_writer(output)
    white = None if pictures else preparation.brightest
    return arguments.writer(output, preparation.kind.feature_names(), white, pictures)


def evaluate(
    model: arguments.Model,
    source: arguments.Sources = None,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
    sql: arguments.Sql = None,
    db: arguments.Db = None,
    delimiter: arguments.Delimiter = None,
    decimal: arguments.Decimal = None,
    encoding: arguments.Encoding = None,
    na: arguments.Na = None,
    draws: Annotated[
        int, typer.Option(min=1, help="Samples of each code in the likelihood's bound.")
    ] = 32,
    device: arguments.Device = "cpu",
    as_json: arguments.Json = False,
) -> None:
    """Print the metrics of a model on rows, beside those of PCA with as many components.

    Of the data of the fit, validation rows are measured. Where the model compresses, the first
    rows are compressed too; of other pictures than the fit's the first are coded at qualities, and
    their bytes compared with those of JPEG, WebP and AVIF at equal error (BD-rate).
    """
    rows = arguments.rows(source, delimiter, decimal, encoding, na, sql, db)
    estimator, opened, labels = opened_model(model, device, rows, label, condition)
    evaluation = estimator.evaluate_held_out(opened, draws=draws, condition=labels)
    of_fit = evaluation.rows is not None
    metrics = evaluation.metrics | _compressed(estimator, opened.data, of_fit)
    metrics |= {} if of_fit else _bd_rates(estimator, opened.data)
    if as_json:
        print(arguments.to_json({"rows_of": evaluation.rows_of, **metrics}))
        return
    width = max(20, *map(len, metrics))
    print(f"{'rows of':{width}} {evaluation.rows_of}")
    for name, value in metrics.items():
        print(f"{name:{width}} {value:,.6g}")


def _compressed(estimator: Autoencoder, data: Any, of_fit: bool) -> dict[str, float]:
    """Return the bytes of some rows, compressed, where the model compresses and has not seen them.

    Parameters
    ----------
    estimator : Autoencoder
    data : table, array, ...
    of_fit : bool
        Whether these are the data of the fit, of which some rows were held out.
    """
    from attar.codec.container import ArchiveReader
    from attar.codec.forms import part_of, rows_at
    from attar.compression import Codec
    from attar.data.stream import Stream

    measured = estimator.fitted_.training_summary.measured
    try:
        codec = Codec(estimator)
        some = data if not isinstance(data, Stream) else next(iter(data))
        if of_fit:
            if some is not data or not measured.held_out:
                return {}
            some = rows_at(data, measured.places)
        some = part_of(some, 0, max(1, min(codec.chunk, COMPRESSED // codec.cells)))
        data = codec.compress(some)
    except (SettingError, DataError):
        return {}
    archive, size = ArchiveReader(data), len(data)
    return {
        "compressed_rows": archive.rows,
        "compressed_bytes": size,
        "compressed_bits_per_dimension": 8 * size / (archive.rows * archive.schema["cells"]),
    }


def _bd_rates(estimator: Autoencoder, data: Any) -> dict[str, float]:
    """Return BD-rates of a codec of pictures on the first of some, which Pillow can write."""
    from itertools import islice

    import numpy as np

    from attar.codes import Contextual
    from attar.data.pictures import Pictures
    from attar.picture_codec import PictureCodec
    from attar.rate_distortion import bd_rates

    fitted = estimator.fitted_
    if not isinstance(fitted.recipe.code, Contextual):
        return {}
    whole = isinstance(data, Pictures) and not data.resized
    rows = data.read() if isinstance(data, Pictures) and not whole else data
    some = (pixels for _, pixels in data.pictures()) if whole else iter(np.asarray(rows))
    pictures = list(islice(some, CODED))
    written = all(p.dtype == "uint8" and p.shape[2:] in ((), (3,)) for p in pictures)
    return bd_rates(PictureCodec(estimator), pictures) if written else {}


def report(
    model: arguments.Model,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PAGE",
            help="The HTML page.",
            parser=file_at,
            show_default=False,
        ),
    ],
    source: arguments.Sources = None,
    label: arguments.Label = None,
    condition: arguments.Condition = None,
    sql: arguments.Sql = None,
    db: arguments.Db = None,
    delimiter: arguments.Delimiter = None,
    decimal: arguments.Decimal = None,
    encoding: arguments.Encoding = None,
    na: arguments.Na = None,
    colours: Annotated[
        str | None,
        typer.Option(
            "--labels", metavar="FILE", help="A file with a label for each row, to colour by."
        ),
    ] = None,
    device: arguments.Device = "cpu",
) -> None:
    """Write an HTML report about a model on rows; of the data of the fit, on validation rows."""
    from attar import storage

    storage.check_writable(output)
    _, description = storage.describe_model(model)
    with arguments.importing():
        from attar.data.source import read, without_labels
        from attar.reporting import report as write_report

    rows = arguments.rows(source, delimiter, decimal, encoding, na, sql, db)
    if "task" in description:
        if condition is not None or colours is not None:
            raise SettingError("--condition and --labels are for models of an autoencoder.")
        fitted = attar.load(model)
        opened = read(rows, "test", kind=getattr(fitted.model_, "kind", None))
        of_fit = getattr(fitted, "label_", None)
        write_report(fitted, without_labels(opened, label, of_fit), output)
        return
    estimator, opened, labels = opened_model(model, device, rows, label, condition)
    groups = opened.labels if colours is None else read(colours).data
    write_report(estimator, opened, output, labels=groups, condition=labels)


def opened_model(
    model: Path, device: str, source: FileStream | Path, label: str | None, condition: str | None
) -> tuple[Autoencoder, Opened, Data | None]:
    """Return the estimator of a model file, the rows of a source, and their condition.

    The column of labels is by default that of the fit, where the source has it.
    """
    with arguments.importing():
        from attar.data.source import has_column, read, with_label
        from attar.estimator import Autoencoder

    estimator = Autoencoder.load(model, device=device)
    fitted = estimator.fitted_
    opened, column = read(source, part="test", kind=fitted.kind), condition or label
    if column is None and fitted.label is not None and has_column(opened.data, fitted.label):
        column = fitted.label
    opened = with_label(opened, column)
    conditional = fitted.condition_encoder is not None
    return estimator, opened, arguments.condition_of(opened, condition, conditional)


def _pieces(estimator: Autoencoder, data: object) -> Iterable[Data]:
    """Return data in pieces that fit into memory."""
    return cast("Iterable[Data]", estimator.fitted_.kind.pieces(data))
