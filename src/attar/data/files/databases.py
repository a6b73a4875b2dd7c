"""Rows of queries of databases, copied once, in pieces."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.ipc as ipc

from attar.data.files.base import MAX_ROWS, TableStream
from attar.data.files.csv import Csv, write_cells
from attar.data.files.tabular import FeatherStream
from attar.errors import AttarError, FileError, SettingError, first_line
from attar.remote import Copied, file_at, shown, without_secrets


class Query(Copied):
    """The rows of a query, as a file.

    It is run once, and may only read.

    Parameters
    ----------
    query : str
        In the database's SQL.
    db : str
        The database's URL.
    """

    def __init__(self, query: str, db: str) -> None:
        self.query, self.db = query, db

    def __str__(self) -> str:
        return f"the query of {shown(self.db)}"

    def _fetched(self, folder: Path) -> Path:
        copy = folder / self.name
        with self._said():
            self._write(copy)
        return copy

    @abstractmethod
    def _write(self, copy: Path) -> None:
        """Run the query, and write its rows to a file."""

    @property
    def _file(self) -> Path:
        """The file of a database that is one: relative after three slashes, absolute after four."""
        path = Path(urlsplit(self.db).path[1:])
        if not path.is_file():
            raise FileError(f"There is no database {path}.")
        return path

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Turn what the database says into one sentence, without credentials.

        Raises
        ------
        FileError
            In place of any error that is not attar's own.
        """
        try:
            yield
        except AttarError:
            raise
        except ImportError:
            driver = DRIVERS[urlsplit(self.db).scheme]
            raise FileError(
                f"{shown(self.db)} needs {driver}: install it with pip install 'attar[sql]'."
            ) from None
        except Exception as error:  # each driver has errors of its own
            reason = without_secrets(first_line(error)).rstrip("!.")
            raise FileError(f"The query of {shown(self.db)} fails: {reason}.") from None


class SqliteQuery(Query):
    """Rows of SQLite, as a CSV file: it has no types of columns, no booleans and no dates."""

    name = "rows.csv"

    def _write(self, copy: Path) -> None:
        uri = f"{self._file.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            found = connection.execute(self.query)
            names = [column[0] for column in _returned(found.description)]
            write_cells(copy, chain([names], found))


class DuckdbQuery(Query):
    """Rows of DuckDB, as an Arrow file."""

    name = "rows.arrow"

    def _write(self, copy: Path) -> None:
        duckdb = import_module("duckdb")
        with duckdb.connect(str(self._file), read_only=True) as connection:
            found = connection.sql(self.query)
            write_arrow(copy, _returned(found).to_arrow_reader(MAX_ROWS))


class PostgresQuery(Query):
    """Rows of PostgreSQL, as an Arrow file."""

    name = "rows.arrow"

    def _write(self, copy: Path) -> None:
        adbc = import_module("adbc_driver_postgresql.dbapi")
        with adbc.connect(self.db) as connection, connection.cursor() as cursor:
            cursor.execute("set transaction read only")
            cursor.execute(self.query)
            _returned(cursor.description)
            write_arrow(copy, cursor.fetch_record_batch())


KINDS: dict[str, type[Query]] = {
    "sqlite": SqliteQuery,
    "duckdb": DuckdbQuery,
    "postgresql": PostgresQuery,
    "postgres": PostgresQuery,
}
DRIVERS = {
    "duckdb": "duckdb",
    **dict.fromkeys(("postgresql", "postgres"), "adbc-driver-postgresql"),
}


def sql(query: str, db: str) -> TableStream:
    """Return the rows of a query of a database, as a stream.

    The query is run once, in a transaction that may only read, and its rows are copied to a
    temporary file in pieces: memory does not grow with their number.

    Parameters
    ----------
    query : str
        Such as ``"select * from sales"``.
    db : str
        The database's URL: ``sqlite:///shop.db``, ``duckdb:///shop.duckdb`` (four slashes before an
        absolute path), or ``postgresql://user@host/shop``.

    Raises
    ------
    SettingError
        If it is the URL of no such database.
    FileError
        When read, if there is no such database, or the query fails.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with closing(sqlite3.connect(f"{folder}/shop.db")) as shop:
    ...         _ = shop.executescript(
    ...             "create table sales (day, pieces); insert into sales values ('2024-12-31', 5)"
    ...         )
    ...     print(sql("select * from sales", f"sqlite:///{folder}/shop.db").read())
             day  pieces
    0 2024-12-31       5
    """
    kind = KINDS.get(urlsplit(db).scheme)
    if kind is None:
        raise SettingError(
            "A database is sqlite:///file, duckdb:///file or postgresql://user@host/name, not "
            f"{shown(db) if '://' in db else db}."
        )
    found = file_at(kind(query, db))
    return Csv(found, ",", ".", "utf-8") if kind is SqliteQuery else FeatherStream(found)


def write_arrow(path: Path, batches: pa.RecordBatchReader) -> None:
    """Write record batches as an Arrow file; exact decimals become numbers of double precision."""
    plain = pa.schema([field.with_type(_plain(field)) for field in batches.schema])
    with ipc.new_file(path, plain) as file:
        for batch in batches:
            arrays = [_storage(a).cast(f.type) for a, f in zip(batch.columns, plain, strict=True)]
            file.write_batch(pa.RecordBatch.from_arrays(arrays, schema=plain))


def _plain(field: pa.Field) -> pa.DataType:
    numeric = b"numeric" in (field.metadata or {}).values()
    if numeric or pa.types.is_decimal(field.type) or pa.types.is_null(field.type):
        return pa.float64()
    return field.type


def _storage(array: pa.Array) -> pa.Array:
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _returned(result: Any) -> Any:
    """Return what a statement has returned, if it has."""
    if not result:
        raise ValueError("it is no query that returns rows")
    return result
