"""Verbs of compression: compress and decompress."""

from __future__ import annotations

import bz2
import lzma
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from attar.cli import arguments
from attar.cli.pictures import Quality, compress_pictures, decompress_pictures
from attar.cli.sounds import compress_sound, decompress_sound
from attar.errors import FileError, SettingError
from attar.remote import file_at

if TYPE_CHECKING:
    from attar.compression import Archive, Codec, Rate
    from attar.data.pictures import PictureWriter

# General compressors are given so much of the source at most: xz takes some 2 MB a second, and ten
# times the memory. This is the window of its preset 6, which differs in nothing else from 9.
COMPARED = 1 << 23

# Seconds between two lines of progress.
SECONDS = 10.0

# A CSV file is restored as such.
CSV = (".csv", ".tsv", ".txt")


def compress(
    model: arguments.Model,
    source: arguments.Source,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The compressed file, .atz.",
            parser=file_at,
            show_default=False,
        ),
    ],
    with_model: Annotated[
        bool, typer.Option("--with-model", help="Put the model in: the file is then enough.")
    ] = False,
    kbps: Annotated[
        float | None,
        typer.Option(
            "--kbps", help="Of sound: kilobits a second of the file.", show_default="best quality"
        ),
    ] = None,
    quality: Annotated[
        float | None,
        typer.Option("--quality", help="Of pictures: 1 to 100.", show_default="50"),
    ] = None,
    bpp: Annotated[
        float | None,
        typer.Option("--bpp", help="Of pictures: at most so many bits a pixel."),
    ] = None,
    psnr: Annotated[
        float | None,
        typer.Option("--psnr", help="Of pictures: at least such a PSNR, in dB."),
    ] = None,
    device: arguments.Device = "cpu",
    on: arguments.On = None,
    workers: arguments.Workers = None,
    exact: arguments.Exact = False,
    as_json: arguments.Json = False,
) -> None:
    """Compress data, by default without loss, and print the sum beside bz2 and xz."""
    place = arguments.cluster(
        on, workers, exact, kbps=kbps, quality=quality, bpp=bpp, psnr=psnr, device=device != "cpu"
    )
    if place is not None:
        _compress_parts(model, source, output, with_model, place, as_json)
        return
    _check_output(output, model, source)
    with arguments.importing():
        from attar.codes import Contextual
        from attar.compression import Codec
        from attar.data.recordings import SoundWindows
        from attar.data.text import Text
        from attar.estimator import Autoencoder

    started = time.perf_counter()
    fitted = Autoencoder.load(model, device=device)
    asked = Quality(quality, bpp, psnr)
    sound = isinstance(fitted.fitted_.kind, SoundWindows)
    if kbps is not None and not sound:
        raise SettingError("--kbps is for sound, and the model is of other data: leave it out.")
    if isinstance(fitted.fitted_.recipe.code, Contextual):
        compress_pictures(fitted, source, output, asked, with_model, as_json)
        return
    asked.refuse()
    if sound:
        compress_sound(fitted, source, output, kbps, with_model, as_json)
        return
    codec = Codec(fitted)
    codec.compress_file(source, output, with_model, _Lines().rows)
    seconds = time.perf_counter() - started
    rate, others, estimated = _compared(codec, model, source, output)
    if as_json:
        file = {"file": str(output), "seconds": seconds, "with_model": with_model}
        print(arguments.to_json(file | rate.to_json() | {"general_estimated": estimated}))
        return
    row, cell = ("line", "byte") if isinstance(codec.kind, Text) else ("row", "dimension")
    print(*_words(rate, others, estimated, row, cell), *_bounds(output), sep="\n")
    print(f"Compressed in {seconds:.1f} s: {output}{', with its model' if with_model else ''}.")


def _compress_parts(
    model: Path,
    source: Path,
    output: Path,
    with_model: bool,
    place: dict[str, Any],
    as_json: bool,
) -> None:
    """Compress the parts of a table by several processes, and print the sum."""
    with arguments.importing():
        from attar.estimator import Autoencoder
        from attar.scale import ray

    started = time.perf_counter()
    rows = ray.compress(Autoencoder.load(model), source, output, with_model=with_model, **place)
    seconds, parts = time.perf_counter() - started, list(output.iterdir())
    size = sum(part.stat().st_size for part in parts)
    if as_json:
        found = {"folder": str(output), "seconds": seconds, "with_model": with_model}
        print(arguments.to_json(found | {"rows": rows, "bytes": size, "parts": len(parts)}))
        return
    print(f"{rows:,} rows: {size:,} bytes in {len(parts)} part{'s' * (len(parts) > 1)}.")
    print(f"Compressed in {seconds:.1f} s: {output}{', with its model' * with_model}.")


def decompress(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="[MODEL] FILE",
            help="The model file, unless it is inside, and the compressed file.",
            parser=file_at,
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="The output. Of a CSV file or text, the same bytes; else .npy, .npz, .csv, "
            ".parquet, .feather; for images a folder, or .png; for sound a sound file or a folder.",
            parser=file_at,
            show_default=False,
        ),
    ],
    layers: Annotated[
        int | None,
        typer.Option(
            "--layers",
            min=1,
            max=3,
            help="Of pictures at a quality, decode so many of three layers, also of a cut file.",
            show_default=False,
        ),
    ] = None,
    device: arguments.Device = "cpu",
) -> None:
    """Decompress a file: exactly the data that were compressed, or as near as was asked for."""
    if len(files) > 2:
        raise SettingError(f"attar decompress takes a model and a file, not {len(files)} files.")
    *models, file = files
    _check_output(output, *files)
    with arguments.importing():
        from attar.codec.clips import is_compressed_sound
        from attar.codec.coded_pictures import is_compressed_pictures
        from attar.codec.container import ArchiveReader
        from attar.compression import open_archive
        from attar.estimator import Autoencoder

    if is_compressed_pictures(file):
        fitted = Autoencoder.load(models[0], device=device) if models else None
        decompress_pictures(fitted, file, output, layers)
        return
    if layers is not None:
        raise SettingError("--layers is for pictures at a quality: leave it out.")
    if is_compressed_sound(file):
        decompress_sound(
            Autoencoder.load(models[0], device=device) if models else None, file, output
        )
        return
    ArchiveReader(file)  # a damaged file is refused before a model is loaded
    archive = open_archive(file, Autoencoder.load(models[0], device=device) if models else None)
    pieces = _with_progress(archive)
    first = next(pieces)
    with _writer(output, archive, first) as writer:
        for piece in chain([first], pieces):
            writer.write(piece)


def _check_output(output: Path, *inputs: Path) -> None:
    """Refuse an output that cannot be written to, or that is an input."""
    from attar.storage import check_writable

    if output.resolve() in {path.resolve() for path in inputs}:
        raise FileError(f"{output} would be overwritten by the output: give another name.")
    check_writable(output)


def _compared(
    codec: Codec, model: Path, source: Path, output: Path
) -> tuple[Rate, dict[str, int], bool]:
    """Return what the file takes, what each general compressor would, and how much it got.

    These get a CSV file or an array as it is, and any other table as CSV.
    """
    from attar.codec.container import ArchiveReader
    from attar.codec.forms import raw_bytes
    from attar.compression import Rate

    archive = ArchiveReader(output)
    if source.name.lower().endswith((*CSV, ".npy")):
        length = source.stat().st_size
        with source.open("rb") as file:
            beginning = file.read(COMPARED)
    else:
        raw = raw_bytes(source, codec.kind)
        length, beginning = len(raw), raw[:COMPARED]
    share = length / max(1, len(beginning))
    others = {
        "bz2": round(share * len(bz2.compress(beginning, 9))),
        "xz": round(share * len(lzma.compress(beginning, preset=6))),
    }
    best = min(others, key=others.__getitem__)
    size = source.stat().st_size if source.is_file() else length
    written = output.stat().st_size - len(archive.model or b"")
    model_bytes = model.stat().st_size
    cells = float(archive.schema["cells"])
    rate = Rate(archive.rows, cells, size, written, model_bytes, best, others[best])
    return rate, others, round(share, 6) > 1


def _words(
    rate: Rate,
    others: dict[str, int],
    estimated: bool,
    row: str = "row",
    cell: str = "dimension",
) -> Iterator[str]:
    """Yield the sum in sentences, with the words for a row and one of its cells."""
    bits = f"{rate.bits_per_dimension:.4g} bits a {cell}, {rate.bits_per_row:,.4g} bits a {row}"
    yield (
        f"{rate.rows:,} {row}s: {rate.raw_bytes:,} bytes in, {rate.bytes:,} bytes out"
        f"{f'; {bits}' if rate.rows else ''}."
    )
    part = f" (estimated from the first {COMPARED:,})" if estimated else ""
    yield ", ".join(f"{name} takes {n:,}" for name, n in others.items()) + f" bytes{part}."
    model, general = f"The model takes {rate.model_bytes:,} bytes", rate.general
    if rate.pays_from is None:
        yield f"{model}, and does not pay: {general} takes less than the data do without it."
    else:
        rows = f"{rate.pays_from:,} {row}s"
        yield f"{model}: model and data together take less than {general} from {rows} on."


def _bounds(path: Path) -> Iterator[str]:
    """Yield the error bounds, where there are some."""
    from attar.codec.container import ArchiveReader

    bounds = ArchiveReader(path).schema.get("error_bounds")
    if bounds:
        named = ", ".join(f"{name} ±{bound:.4g}" for name, bound in bounds.items())
        yield f"Numbers are within their error bounds: {named}; all else is lossless."


class _Lines:
    """Prints a line of progress every ten seconds."""

    def __init__(self, total: int = 0) -> None:
        self.total, self.began = total, time.monotonic()
        self.printed = self.began

    def rows(self, done: int) -> None:
        """Print a line if it is time, and it is not the last."""
        now = time.monotonic()
        if now - self.printed < SECONDS or not 0 < done != self.total:
            return
        self.printed, words = now, f"attar: {done:,} rows"
        if self.total:
            left = timedelta(seconds=round((now - self.began) * (self.total / done - 1)))
            words = f"attar: {done:,} of {self.total:,} rows, {left} left"
        print(words, file=sys.stderr, flush=True)


def _with_progress(archive: Archive) -> Iterator[Any]:
    """Yield the rows of all chunks, and print lines of progress."""
    lines = _Lines(len(archive))
    for chunk, piece in zip(archive.reader, archive.pieces(), strict=True):
        yield piece
        lines.rows(chunk.stop)


@contextmanager
def _bytes_writer(path: Path) -> Iterator[BinaryIO]:
    """Yield a file for bytes, which appears whole or not at all."""
    from attar.storage import written_whole

    with written_whole(path) as beside, beside.open("wb") as file:
        yield file


@contextmanager
def _pictures_writer(path: Path, names: list[str] | None) -> Iterator[arguments.RowWriter]:
    """Yield a writer for pictures of any sizes, in a folder."""
    from attar.data.pictures import picture_writer

    with picture_writer(path, names) as writer:
        yield _OneByOne(writer)


@dataclass(frozen=True)
class _OneByOne:
    """Writes pictures of any sizes."""

    writer: PictureWriter

    def write(self, piece: list[Any]) -> None:
        """Write the next pictures."""
        for picture in piece:
            self.writer.write(picture[None])


def _writer(
    output: Path, archive: Archive, first: object
) -> AbstractContextManager[arguments.RowWriter]:
    """Return the writer of an archive's rows, of which the first are given."""
    from attar.codec.text import TextValues

    name = archive.reader.name
    if isinstance(first, bytes):
        if archive.reader.schema["csv"] and output.suffix.lower() not in CSV:
            raise FileError(f"{name} holds a CSV file, not an array: write it to .csv or .tsv.")
        return _bytes_writer(output)
    if isinstance(archive.values, TextValues):
        raise FileError(
            f"{name} holds {archive.values.form}, not a file: decompress it in Python, with "
            "attar.Codec(attar.load(MODEL)).decompress."
        )
    if isinstance(first, list):
        if output.suffix:
            raise FileError(f"{name} holds pictures of any sizes: write them to a folder.")
        from attar.codec.pictures import PictureValues

        assert isinstance(archive.values, PictureValues)
        return _pictures_writer(output, archive.values.names or None)
    arguments.check_output(output)
    if not output.suffix and not _is_of_pictures(first):
        raise FileError(f"Pictures in a folder cannot hold the values of {name}: write .npy.")
    return arguments.writer(output, archive.codec.kind.feature_names())


def _is_of_pictures(rows: Any) -> bool:
    """Return whether PNG files hold the values of images as they are."""
    bits = getattr(rows, "dtype", None)
    return bits == "uint8" or (bits == "uint16" and rows.ndim == 3)
