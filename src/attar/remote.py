"""Where files are: on this machine, at URLs, in a pipe.

What is not on this machine is used like a path all the same. It is copied once, in pieces, to a
temporary file, from which it can be read again and again; what is written to a URL is put there at
the end, whole.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import weakref
import zlib
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory, mkdtemp
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from attar.errors import FileError, first_line

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# What is copied at once.
BLOCK = 1 << 22

# A path has lost one of the slashes of a URL; a drive of Windows has one letter.
URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/+(.+)", re.DOTALL)

# What reads the files of a scheme, and the package that has it.
LIBRARIES = {
    **dict.fromkeys(("http", "https"), ("aiohttp", "'attar[remote]'")),
    **dict.fromkeys(("s3", "s3a"), ("s3fs", "'attar[remote]'")),
    **dict.fromkeys(("gs", "gcs"), ("gcsfs", "gcsfs")),
    "hf": ("huggingface_hub", "'attar[hub]'"),
}
# What begins with a bucket, which exists before its files do.
BUCKETS = ("s3", "s3a", "gs", "gcs")

# How files begin, and the suffix of their format; IDX begins with zeros.
BEGINNINGS = {
    b"PAR1": ".parquet",
    b"ARROW1": ".arrow",
    b"\xff\xff\xff\xff": ".arrow",
    b"\x93NUMPY": ".npy",
    b"\0\0": ".idx",
    b"RIFF": ".wav",
    b"fLaC": ".flac",
    b"OggS": ".ogg",
    b"{": ".jsonl",
}


class Copied(os.PathLike[str]):
    """A file that is not on this machine, used like a path: of its copy, which is made once.

    As text it is what messages may show: without credentials.
    """

    @abstractmethod
    def __str__(self) -> str: ...

    @property
    @abstractmethod
    def name(self) -> str:
        """The file's name, whose suffix says its format."""

    @abstractmethod
    def _fetched(self, folder: Path) -> Path:
        """Copy the file into a folder, and return the copy."""

    @cached_property
    def copy(self) -> Path:
        """The copy, which is deleted with this object."""
        folder = Path(mkdtemp(prefix="attar-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return self._fetched(folder)

    def __fspath__(self) -> str:
        return str(self.copy)

    @property
    def suffix(self) -> str:
        """The suffix of the name."""
        return PurePosixPath(self.name).suffix

    def open(self, mode: str = "r", encoding: str | None = None) -> IO[Any]:
        """Open the copy."""
        return self.copy.open(mode, encoding=encoding)

    def stat(self) -> os.stat_result:
        """Return the status of the copy."""
        return self.copy.stat()

    def exists(self) -> bool:
        """Return whether the copy exists."""
        return self.copy.exists()

    def is_file(self) -> bool:
        """Return whether it is a file."""
        return self.copy.is_file()

    def is_dir(self) -> bool:
        """Return whether it is a folder."""
        return self.copy.is_dir()

    def read_bytes(self) -> bytes:
        """Return the content of the copy."""
        return self.copy.read_bytes()

    def resolve(self) -> Path:
        """Return the path that no other file has."""
        return Path(str(self))


class Url(Copied):
    """A file or a folder at a URL.

    Examples
    --------
    >>> url = Url("https://me:secret@example.org/data/a.csv?signature=secret")
    >>> print(url, url.name, url.suffix)
    https://example.org/data/a.csv a.csv .csv
    """

    def __init__(self, url: str) -> None:
        self._url, self._shown = url, shown(url)
        self.scheme = urlsplit(url).scheme

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"Url({self._shown!r})"

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self._shown).name

    def check_writable(self) -> None:
        """Refuse a URL that cannot be written to, before long work begins.

        Raises
        ------
        FileError
            If its scheme is only for reading, its bucket or folder is missing, or access is denied.
        """
        if self.scheme in ("http", "https"):
            raise FileError(f"{self} cannot be written to: give s3://, gs:// or hf://.")
        with self._reached("written to"):
            system, path = self._system()
            folder = path.partition("/")[0] if self.scheme in BUCKETS else system._parent(path)
            if not system.exists(folder):
                raise FileError(
                    f"{self} cannot be written to: there is no {folder}, or no right to it."
                )

    @contextmanager
    def replaced(self) -> Iterator[Path]:
        """Yield a temporary path; what is there at the end is put at the URL, whole.

        Raises
        ------
        FileError
            If it cannot be put there, or is a folder.
        """
        with TemporaryDirectory(prefix="attar-") as folder:
            beside = Path(folder, self.name)
            yield beside
            if beside.is_dir():
                raise FileError(
                    f"{self} would be a folder, which cannot be put there whole: give one file, "
                    "such as .npz."
                )
            with self._reached("written to"):
                system, path = self._system()
                # What is written in a transaction appears at its end.
                with (
                    beside.open("rb") as source,
                    system.transaction,
                    system.open(path, "wb") as target,
                ):
                    shutil.copyfileobj(source, target, BLOCK)

    def matches(self) -> list[Path]:
        """Return the files that fit the pattern in the URL.

        Raises
        ------
        FileError
            If there is none, or they cannot be listed.
        """
        with self._reached("listed"):
            system, pattern = self._system()
            return [file_at(system.unstrip_protocol(path)) for path in sorted(system.glob(pattern))]

    def _system(self) -> tuple[AbstractFileSystem, str]:
        from fsspec.core import url_to_fs

        return cast("tuple[AbstractFileSystem, str]", url_to_fs(self._url))

    def _fetched(self, folder: Path) -> Path:
        copy = folder / self.name
        with self._reached("read"):
            system, path = self._system()
            if self.scheme == "hf" and system.isfile(path):
                copy.symlink_to(_cached(system, path))
                return copy
            try:
                system.get_file(path, str(copy))
            except (FileNotFoundError, IsADirectoryError):
                if self.scheme in ("http", "https") or not system.isdir(path):
                    raise
            if not copy.is_file():
                system.get(path, str(copy), recursive=True)
        return copy

    @contextmanager
    def _reached(self, done: str) -> Iterator[None]:
        """Turn whatever a file system raises into one sentence, without secrets."""
        try:
            yield
        except FileError:
            raise
        except ImportError as error:
            library, package = LIBRARIES.get(self.scheme, (error.name, error.name))
            raise FileError(
                f"{self} needs {library}: install it with pip install {package}."
            ) from None
        except Exception as error:  # each file system has errors of its own
            denied = isinstance(error, PermissionError) or _status(error) in (401, 403)
            if denied:
                raise FileError(f"{self} denies access: check credentials and rights.") from None
            if isinstance(error, FileNotFoundError) or _status(error) == 404:
                raise FileError(f"There is no file {self}.") from None
            reason = without_secrets(first_line(error))
            raise FileError(f"{self} cannot be {done}: {reason}.") from None


class Pipe(Copied):
    """What is piped into the program; its first bytes tell its format."""

    def __str__(self) -> str:
        return "standard input"

    @property
    def name(self) -> str:
        """A dash, with the suffix of the format."""
        return self.copy.name

    def _fetched(self, folder: Path) -> Path:
        if sys.stdin.isatty():
            raise FileError("Nothing is piped in: give a file, or pipe one into - .")
        copy = folder / "-"
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, BLOCK)
        with copy.open("rb") as file:
            return copy.rename(folder / f"-{_suffix(file.read(1 << 12))}")


def file_at(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file, or what is used like one: a :class:`Url`, a :class:`Pipe`.

    Parameters
    ----------
    path : str or path
        A path, a URL, or ``-`` for what is piped in.

    Examples
    --------
    >>> print(file_at("a.csv"), file_at("s3://bucket/a.csv"), file_at("-"))
    a.csv s3://bucket/a.csv standard input
    """
    if isinstance(path, Copied):
        return cast("Path", path)  # which has what is used of a path
    text = os.fspath(path)
    if text == "-":
        return cast("Path", Pipe())
    url = URL.fullmatch(text)
    return Path(path) if url is None else cast("Path", Url(f"{url[1].lower()}://{url[2]}"))


def identity(path: Path) -> str:
    """Return what identifies a file: its place, size and time of change; of a copy, its digest."""
    if isinstance(path, Copied):
        with path.open("rb") as file:
            return f"{path} {hashlib.file_digest(file, 'sha256').hexdigest()}"
    status = path.stat()
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"


def shown(url: str) -> str:
    """Return a URL without credentials, query and fragment.

    Examples
    --------
    >>> shown("postgresql://me:secret@localhost:5432/shop?sslkey=secret")
    'postgresql://localhost:5432/shop'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def without_secrets(text: str) -> str:
    """Return a text whose URLs have no credentials and no query.

    Examples
    --------
    >>> without_secrets("403 for https://me:pw@host/a.csv?signature=x, sorry")
    '403 for https://host/a.csv, sorry'
    """
    return re.sub(r"(\w+://)([^\s/@]*@)?([^\s?,'\")]*)(\?[^\s,'\")]*)?", r"\1\3", text)


def _cached(system: AbstractFileSystem, path: str) -> str:
    """Return the place of a file of the Hugging Face Hub in its own cache, where it stays."""
    from huggingface_hub import hf_hub_download

    found = system.resolve_path(path)
    return hf_hub_download(
        found.repo_id,
        found.path_in_repo,
        repo_type=found.repo_type,
        revision=found.revision,
        endpoint=system.endpoint,
        token=system.token,
    )


def _status(error: BaseException) -> int | None:
    """Return the status of HTTP that an error is about."""
    status = getattr(error, "status", None)
    return status or getattr(getattr(error, "response", None), "status_code", None)


def _suffix(head: bytes) -> str:
    """Return the suffix of a format, by the first bytes of a file; CSV where no other is found.

    Examples
    --------
    >>> _suffix(b'{"a": 1}'), _suffix(b"a;b"), _suffix(zlib.compress(b"a;b", wbits=31))
    ('.jsonl', '.csv', '.csv.gz')
    """
    if head.startswith(b"\x1f\x8b"):
        return f"{_suffix(zlib.decompressobj(wbits=31).decompress(head, 8))}.gz"
    if head.startswith(b"PK"):
        return ".xlsx" if b"[Content_Types].xml" in head or b"xl/" in head else ".npz"
    found = (s for start, s in BEGINNINGS.items() if head.lstrip().startswith(start))
    return next(found, ".csv")
