"""Excel's files: the first sheet that has cells, read as CSV is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from attar.data.files.base import readable
from attar.data.files.csv import Csv, write_cells
from attar.errors import DataError, FileError, warn
from attar.remote import Copied, file_at


class Sheet(Copied):
    """A sheet of an Excel or OpenDocument file, as a CSV file.

    Parameters
    ----------
    path : str or Path
    """

    def __init__(self, path: str | Path) -> None:
        self.path = file_at(path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """The file's, as CSV."""
        return f"{self.path.name}.csv"

    def _fetched(self, folder: Path) -> Path:
        copy = folder / self.name
        with readable(self.path):
            write_cells(copy, self._rows())
        return copy

    def _rows(self) -> Iterator[list[object]]:
        try:
            from python_calamine import load_workbook
        except ImportError:
            raise FileError(
                f"{self.path} needs python-calamine: install it with pip install 'attar[formats]'."
            ) from None
        with self.path.open("rb") as file:
            book = load_workbook(file)
            sheets = {name: book.get_sheet_by_name(name) for name in book.sheet_names}
        filled = [name for name, sheet in sheets.items() if sheet.height]
        if not filled:
            raise DataError(f"{self.path} is empty: it needs a header line and rows.")
        if len(filled) > 1:
            warn(f"{self.path} has {len(filled)} sheets with cells: {filled[0]!r} is read.")
        for row in sheets[filled[0]].to_python():
            yield [_value(cell) for cell in row]


def excel(path: str | Path) -> Csv:
    """Return the rows of an Excel file; types, units and missing values are those of :class:`Csv`.

    Raises
    ------
    FileError
        When read, if it is damaged, or python-calamine is not installed.
    DataError
        When read, if it is empty.
    """
    return Csv(file_at(Sheet(path)), ",", ".", "utf-8")


def _value(cell: object) -> object:
    """Return a cell's value: Excel has no integers, and its durations are times of days."""
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return str(cell) if isinstance(cell, timedelta) else cell
