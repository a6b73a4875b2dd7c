"""attar.export: a part of a fitted model as a program of another library, checked."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from sklearn.utils.validation import check_is_fitted

from attar.data.kind import Kind, Rows
from attar.data.kinds import kind_of
from attar.data.source import Data, Source, read
from attar.errors import DataError, FileError, SettingError, unknown
from attar.estimator import Autoencoder
from attar.exporting.keras import KerasTranslation
from attar.exporting.onnx import OnnxTranslation
from attar.exporting.ports import Arrays, Port, largest_difference
from attar.exporting.programs import PARTS, Program
from attar.exporting.torch_export import TorchTranslation
from attar.exporting.translations import Translation
from attar.fitted import Fitted
from attar.isolation import default_settings
from attar.storage import check_writable, written_whole

FORMATS: Mapping[str, type[Translation]] = {
    "keras": KerasTranslation,
    "onnx": OnnxTranslation,
    "torch": TorchTranslation,
}

T = TypeVar("T", bound=Translation)

PORTS = ("inputs", "outputs")

# Rows that a program is checked on at most, and how far it may differ: relative to the largest
# value of an output, or 1. In single precision networks differ by some 1e-6.
ROWS, TOLERANCE = 256, 1e-5


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes
    ----------
    path : Path
    format, part : str
    inputs, outputs : sequence of Port
        The tensors that it takes and gives.
    rows : int
        How many rows it was checked on.
    difference : float
        By how much its outputs differ from attar's at most, relative to the largest value of an
        output, or 1; integers may be rounded.
    """

    path: Path
    format: str
    part: str
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    rows: int
    difference: float

    def to_json(self) -> dict[str, object]:
        """Return everything as plain JSON data."""
        ports = {name: [port.to_json() for port in getattr(self, name)] for name in PORTS}
        rest = {name: value for name, value in vars(self).items() if name not in PORTS}
        return {**rest, "path": str(self.path), **ports}


@default_settings()
def export(
    estimator: Autoencoder,
    path: str | Path,
    part: str = "whole",
    *,
    format: str | None = None,
    data: Data | Source | None = None,
    condition: Data | None = None,
) -> Exported:
    """Write a part of a fitted model as a program that needs no attar, once it gives the same.

    The preparation is part of it. It takes images as they are, arrays with NaN for what is
    missing, or one tensor (B,) for each column of a table, by its name: numbers and booleans as
    doubles, NaN where one is missing, and categories as strings, empty where one is missing (in
    ``.pt2`` files as indices, -1 where one is missing). It gives data in the same form: numbers in
    their unit, integers rounded, and categories as strings. Series are windows (B, steps,
    channels), and sparse matrices dense ones, of which the expected values are given. Each column
    of a condition is a further input. Keras models hold less, see :func:`to_keras`.

    Parameters
    ----------
    estimator : Autoencoder
        Fitted on a table, images, series or a sparse matrix.
    path : path
        ``.keras``, ``.onnx`` or ``.pt2``.
    part : {"whole", "encoder", "decoder", "score"}
        What :meth:`~attar.Autoencoder.reconstruct`, ``transform``, ``inverse_transform`` or
        ``score_samples`` does.
    format : {"keras", "onnx", "torch"} or None
        None takes that of the path.
    data : table, array, ... or None
        Rows that it is checked on, at most 256; None takes reconstructions of training rows.
    condition : label, array (n,) or table, default None
        That of these rows, where the model was fitted with one; of reconstructions a random one.

    Raises
    ------
    SettingError
        If the format cannot hold the model, or its program differs from attar by more than 1e-5
        of the largest value of an output.
    DataError
        If the data is not of the form that was fitted.
    FileError
        If the format's library is not installed, or the file cannot be written.

    Examples
    --------
    >>> import attar
    >>> from tempfile import TemporaryDirectory
    >>> ae = attar.Autoencoder(code_size=4, epochs=1, random_state=0).fit("digits")
    >>> with TemporaryDirectory() as folder:
    ...     exported = attar.export(ae, Path(folder) / "digits.pt2", "encoder")
    >>> exported.inputs[0].shape, exported.outputs[0].shape, exported.difference < 1e-5
    ((8, 8), (4,), True)
    """
    path = Path(path)
    format = check(path, part, format)
    translation, program, rows, difference = translated(
        FORMATS[format], estimator, part, data, condition
    )
    with written_whole(path) as temporary:
        translation.save(temporary)
    return Exported(path, format, part, program.inputs, program.outputs, rows, difference)


@default_settings()
def to_keras(
    estimator: Autoencoder, part: str = "whole", *, data: Data | Source | None = None
) -> Any:
    """Return a part of a fitted model as a Keras model that gives the same.

    The preparation is part of it: it takes and gives images as they are, in the layout of the fit,
    or arrays of numbers, NaN where one is missing. It consists of layers and operations of Keras,
    so that any backend runs it; Keras is imported with the backend of torch, unless
    ``KERAS_BACKEND`` names another.

    Parameters
    ----------
    estimator : Autoencoder
        Fitted on images or an array of numbers, scaled by an affine map, with the code ``"point"``
        or ``"gaussian"`` and the network ``"linear"``, ``"mlp"`` or ``"conv"``.
    part : {"whole", "encoder", "decoder"}
    data : table, array, ... or None
        Rows that it is compared with attar on, as of :func:`export`.

    Returns
    -------
    keras.Model

    Raises
    ------
    SettingError
        If Keras cannot hold the model, or differs from attar by more than 1e-5 of the largest
        value of an output.
    FileError
        If Keras is not installed.

    Examples
    --------
    >>> import attar
    >>> ae = attar.Autoencoder("vae", code_size=4, epochs=1, random_state=0).fit("digits")
    >>> attar.to_keras(ae, "encoder").output_shape
    (None, 4)
    """
    if part not in PARTS:
        raise unknown("part of a model", part, PARTS)
    return translated(KerasTranslation, estimator, part, data)[0].model


def translated(
    format: type[T],
    estimator: Autoencoder,
    part: str,
    data: Data | Source | None,
    condition: Data | None = None,
) -> tuple[T, Program, int, float]:
    """Return a part of a model in a format, its program, and how it was checked.

    That is on how many rows, and by how much it differs from attar.
    """
    check_is_fitted(estimator)
    fitted = estimator.fitted_
    program = PARTS[part](fitted)
    given, rows = rows_of(program, fitted, data, condition)
    # Before a trace, in which indices that are kept from the first call on would be no numbers.
    with warnings.catch_warnings(action="ignore"):
        expected = program.expected(rows)
    translation = format(program, describe(program, fitted.kind))
    difference = checked(translation, program, given, expected)
    return translation, program, min(ROWS, rows.shape[0]), difference


def check(path: Path, part: str, format: str | None) -> str:
    """Return the format of a file, which its suffix must fit; refuse what there is not.

    Raises
    ------
    SettingError
        If there is no such part or format.
    FileError
        If the path has another suffix, or cannot be written to.
    """
    if part not in PARTS:
        raise unknown("part of a model", part, PARTS)
    if format is not None and format not in FORMATS:
        raise unknown("format", format, FORMATS)
    suffixes = {translation.suffix: name for name, translation in FORMATS.items()}
    found = suffixes.get(path.suffix)
    if found is None or format not in (None, found):
        wanted = " or ".join(suffixes) if format is None else FORMATS[format].suffix
        raise FileError(f"{path} does not have the suffix of its format: write {wanted}.")
    check_writable(path)
    return found


def rows_of(
    program: Program, fitted: Fitted, data: Data | Source | None, condition: Data | None
) -> tuple[Arrays, Rows]:
    """Return what a program is checked on, and the raw rows; by default training rows decoded.

    The program's predictor gets their condition.
    """
    kind, form = fitted.kind, program.condition
    if data is None:
        codes = fitted.training_summary.codes[:ROWS]
        drawn: Any = condition
        if form is not None and condition is None:
            drawn = form.drawn(len(codes))
        predictor = fitted.conditioned(drawn, len(codes))
        piece: object = kind.restore(predictor.possible(predictor.decoded(codes)))
        rows = kind.rows(piece)
    else:
        found: Any = read(data, part="test", kind=kind).data
        if not kind.accepts(kind_of(found)):
            raise DataError(kind.refusal(getattr(found, "shape", ()), kind_of(found)))
        piece, drawn = next(iter(kind.pieces(found))), condition
        rows = kind.rows(piece)
        if not rows.shape[0]:
            raise DataError("There are no rows to check the program on: give some.")
        predictor = fitted.conditioned(drawn, rows.shape[0])
    some = slice(min(ROWS, rows.shape[0]))
    program.predictor = predictor.at(some)
    with warnings.catch_warnings(action="ignore"):
        given = program.given(piece, rows[some])
        if form is not None:
            given += form.given(drawn, rows.shape[0])
    return [array[some] for array in given], rows[some]


def checked(translation: Translation, program: Program, given: Arrays, expected: Arrays) -> float:
    """Return by how much a translation differs from what attar gives.

    Raises
    ------
    SettingError
        If it is too much.
    """
    difference = largest_difference(program.outputs, translation.run(given), expected)
    if not difference <= TOLERANCE:
        raise SettingError(
            f"The {program.name} as {translation.suffix} differs from attar by {difference:.2g} of "
            "its largest value, so that it is not written: use another format, or report it."
        )
    return difference


def describe(program: Program, kind: Kind) -> str:
    """Return what a program is, takes and gives, as JSON."""
    return json.dumps(
        {
            "attar": version("attar"),
            "part": program.name,
            "data": kind.name,
            "inputs": [port.to_json() for port in program.inputs],
            "outputs": [port.to_json() for port in program.outputs],
        }
    )
