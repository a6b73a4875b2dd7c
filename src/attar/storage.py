"""Files, written whole or not at all: the model file and the checkpoint.

Both are a safetensors file with one entry of metadata, ``attar``: JSON. A model's has the
``format`` (a number), the ``description``, and a ``digest``, the SHA-256 of the description and of
every tensor's name, type, shape and bytes. Reading takes memory for what the file holds, whatever
the file says, and runs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from attar.errors import FileError, ModelFileError

FORMAT = 4


def write_model(
    path: str | Path, tensors: Mapping[str, Tensor], description: Mapping[str, Any]
) -> None:
    """Write tensors and a JSON description as a model file, whole or not at all.

    Raises
    ------
    FileError
        If the place cannot be written to, or the disk is full.
    """
    # Copies, since tied weights share memory, which the file's format refuses.
    copies = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    digest = _digest(copies, description)
    write(path, copies, {"format": FORMAT, "digest": digest, "description": description})


def read_model(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the description of a model file.

    Raises
    ------
    FileError
        If there is no such file.
    ModelFileError
        If it is damaged, of another format, or not a model file.
    """
    if not Path(path).is_file():
        raise FileError(f"There is no model file {path}.")
    tensors, metadata = read(path)
    if "format" not in metadata:
        raise ModelFileError(f"{path} is not a model of attar's.")
    if metadata["format"] != FORMAT:
        newer = isinstance(metadata["format"], int) and metadata["format"] > FORMAT
        raise ModelFileError(
            f"{path} has format {str(metadata['format'])[:9]}, and this attar reads {FORMAT}: "
            + ("update attar." if newer else "fit the model again.")
        )
    description = metadata.get("description")
    if not isinstance(description, dict) or metadata.get("digest") != _digest(tensors, description):
        raise ModelFileError(f"{path} is damaged: its content does not match its checksum.")
    return tensors, description


def write(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and JSON metadata as a safetensors file, whole or not at all.

    Raises
    ------
    FileError
        If the place cannot be written to, or the disk is full.
    """
    with written_whole(Path(path)) as temporary:
        try:
            save_file(dict(tensors), temporary, {"attar": json.dumps(metadata, sort_keys=True)})
        except SafetensorError as error:
            raise FileError(f"{path} cannot be written: {error}.") from None


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the JSON metadata of a safetensors file.

    Raises
    ------
    FileError
        If it may not be read.
    ModelFileError
        If it is damaged, or not one of attar's.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {}).get("attar", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except PermissionError:
        raise FileError(f"{path} may not be read: change its permissions.") from None
    except (SafetensorError, OSError, ValueError, RecursionError):
        raise ModelFileError(f"{path} is damaged, or not a file of attar's.") from None
    if not isinstance(metadata, dict):
        raise ModelFileError(f"{path} is not a file of attar's.")
    return tensors, metadata


def begins_with(path: str | Path, key: str) -> bool:
    """Return whether a file begins as one of attar's whose metadata have this first key."""
    start = json.dumps({"__metadata__": {"attar": f'{{"{key}"'}}, separators=(",", ":"))[:-3]
    try:
        with Path(path).open("rb") as file:
            return file.read(8 + len(start))[8:] == start.encode()
    except OSError:
        return False


def nested(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors with ``prefix.`` before each name."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def unnested(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under ``prefix.``, by names without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


def fingerprint(path: str | Path) -> str:
    """Return the SHA-256 of a file, which identifies a model."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; at the end it replaces the wanted one.

    Whatever goes wrong before, a file or folder that existed stays as it was.

    Raises
    ------
    FileError
        If the place cannot be written to, or the disk is full.
    """
    if not path.name:
        raise FileError(f"{str(path)!r} is not a name to write to: give a file.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        try:
            yield temporary
            if path.is_dir() and temporary.is_dir():
                shutil.rmtree(path)
            temporary.replace(path)
        finally:
            _remove(temporary)
    except FileError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FileError(f"{path} cannot be written: {reason}.") from error


def check_writable(path: Path) -> None:
    """Refuse a place that cannot be written to, before long work begins.

    Raises
    ------
    FileError
        If its folder is missing or not writable.
    """
    folder = path.parent
    if not folder.is_dir():
        raise FileError(f"{path} cannot be written: there is no folder {folder}; make it first.")
    if not os.access(folder, os.W_OK):
        raise FileError(f"{path} cannot be written: the folder {folder} is not writable.")


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _digest(tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
