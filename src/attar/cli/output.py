"""Results go to a file by its suffix, or to a folder of pictures; whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attar.errors import DataError, FileError
from attar.files import check_writable, written_whole

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def check(path: Path) -> None:
    """Refuse a place that rows cannot be written to.

    Raises
    ------
    FileError
        If its suffix is unknown, or its folder missing or closed.
    """
    if path.suffix and path.suffix not in WRITERS:
        raise FileError(
            f"{path} has a suffix that attar does not write: use {', '.join(WRITERS)}, or a folder."
        )
    if not path.suffix and path.exists() and not path.is_dir():
        raise FileError(f"{path} is a file: give a folder, or one of {', '.join(WRITERS)}.")
    check_writable(path)


def write(path: Path, rows: Any, names: list[str], white: float = 255) -> None:
    """Write rows to a file or folder.

    Parameters
    ----------
    path : Path
        With a suffix a file, without one a folder of PNG.
    rows : array or DataFrame
    names : list of str
        The columns of a matrix, where the file has room for them.
    white : float
        The value of a white pixel; pictures are scaled by it, except bytes that use their range.

    Raises
    ------
    FileError
        If the place cannot be written to.
    DataError
        If rows of this shape don't go into such a file.
    """
    with written_whole(path) as beside:
        if path.suffix:
            WRITERS[path.suffix](beside, rows, names)
        else:
            _pictures(beside, rows, white)


def _npy(path: Path, rows: Any, names: list[str]) -> None:
    import numpy as np

    np.save(path, np.asarray(rows))


def _npz(path: Path, rows: Any, names: list[str]) -> None:
    import numpy as np

    np.savez_compressed(path, X=np.asarray(rows))


def _csv(path: Path, rows: Any, names: list[str]) -> None:
    _frame(rows, names).to_csv(path, index=False)


def _parquet(path: Path, rows: Any, names: list[str]) -> None:
    _frame(rows, names).to_parquet(path, index=False)


def _frame(rows: Any, names: list[str]) -> pd.DataFrame:
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        return rows
    if rows.ndim != 2:
        raise DataError("Images don't go into a table: write .npy, .npz or a folder.")
    return pd.DataFrame(rows, columns=pd.Index(names))


def _pictures(folder: Path, rows: Any, white: float) -> None:
    from PIL import Image

    if getattr(rows, "ndim", 2) < 3:
        raise DataError(f"Rows of a table are no pictures: write {', '.join(WRITERS)}.")
    folder.mkdir()
    digits = len(str(len(rows) - 1))
    for i, picture in enumerate(_bytes(rows, white)):
        Image.fromarray(picture.squeeze()).save(folder / f"{i:0{digits}}.png")


def _bytes(pictures: np.ndarray[Any, Any], white: float) -> np.ndarray[Any, Any]:
    import numpy as np

    if pictures.dtype == np.uint8 and white > 127:
        return pictures
    scaled = pictures.astype(np.float64) * (255 / white if white else 1.0)
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


WRITERS: dict[str, Callable[[Path, Any, list[str]], None]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".csv": _csv,
    ".parquet": _parquet,
}
