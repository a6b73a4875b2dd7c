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
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, deserialize, safe_open

from attar.errors import FileError, ModelFileError
from attar.remote import Url, file_at

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 4

# The model file of a repository of the Hugging Face Hub.
MODEL = "model.attar"

# The names of torch's types in a safetensors file.
TYPES = {
    **{"BOOL": "bool", "BF16": "bfloat16", "C64": "complex64"},
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}
# What holds a model that is made for a task: its class, and the verb that uses it.
TASKS = {
    "anomalies": ("AnomalyDetector", "score"),
    "gaps": ("Imputer", "impute"),
    "future": ("Forecaster", "forecast"),
    "labels": ("Classifier", "predict"),
    "numbers": ("Regressor", "predict"),
    "clusters": ("Clusterer", "predict"),
}
# The entries of a description that a model is built from.
BUILT_FROM = ("recipe", "network", "likelihood", "kind", "condition")

# The type, shape and bytes of each tensor.
Contents = Mapping[str, tuple[str, Sequence[int], memoryview | bytearray]]


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
    digest = _digest(contents_of(copies), description)
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
    path = _existing(path)
    tensors, metadata = read(path)
    return tensors, _description(path, metadata, contents_of(tensors))


def check_task(path: str | Path, description: Mapping[str, Any], wanted: str | None) -> None:
    """Refuse a model file that is for another task; None is an autoencoder's.

    Raises
    ------
    ModelFileError
        That says what opens it.
    """
    task = description.get("task")
    if task == wanted:
        return
    if not (task is None or task in TASKS):
        raise ModelFileError(f"{path} is for a task {task!r}, which this attar does not have.")
    name, verb = TASKS[task] if task else ("Autoencoder", "info")
    opened = f"attar.{name}.load, or attar {verb}"
    other = TASKS[wanted][0] if wanted in TASKS else "Autoencoder"
    raise ModelFileError(f"{path} holds no {other}: open it with {opened}.")


def task_of(path: str | Path) -> str | None:
    """Return the name of the task that a model file is for; None for an autoencoder's.

    Raises
    ------
    FileError, ModelFileError
        If there is no such file, or it is not one of attar's.
    """
    with _opened(_existing(path), "np") as (_, metadata):
        description = metadata.get("description")
    return description.get("task") if isinstance(description, dict) else None


@contextmanager
def restoring(path: str | Path) -> Iterator[None]:
    """Refuse a description that no model can be built from.

    Raises
    ------
    ModelFileError
        That says why.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelFileError(f"{path} describes a model that cannot be built: {reason}") from None


def describe_model(path: str | Path) -> tuple[Contents, dict[str, Any]]:
    """Return the contents of a model file's tensors and its description, without torch.

    Raises
    ------
    FileError, ModelFileError
        As :func:`read_model` does.
    """
    path = _existing(path)
    with _opened(path, "np") as (_, metadata):
        stored = dict(deserialize(path.read_bytes()))  # type: ignore[no-untyped-call]
    contents = {
        name: (TYPES.get(entry["dtype"], ""), entry["shape"], entry["data"])
        for name, entry in stored.items()
    }
    return contents, _description(path, metadata, contents)


def write(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and JSON metadata as a safetensors file, whole or not at all.

    Raises
    ------
    FileError
        If the place cannot be written to, or the disk is full.
    """
    from safetensors.torch import save_file

    with written_whole(file_at(path)) as temporary:
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
    with _opened(path, "pt") as (file, metadata):
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, metadata


def begins_with(path: str | Path, key: str) -> bool:
    """Return whether a file begins as one of attar's whose metadata have this first key."""
    start = json.dumps({"__metadata__": {"attar": f'{{"{key}"'}}, separators=(",", ":"))[:-3]
    try:
        with file_at(path).open("rb") as file:
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


def narrowed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors in types of half the size where these hold the same numbers."""
    import torch

    half = {torch.float32: torch.float16, torch.int64: torch.int32}
    small = {name: t.to(half[t.dtype]) for name, t in tensors.items() if t.dtype in half}
    same = {name: t for name, t in small.items() if tensors[name].equal(t.to(tensors[name].dtype))}
    return {**tensors, **same}


def widened(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of :func:`narrowed`."""
    import torch

    whole = {torch.float16: torch.float32, torch.int32: torch.int64}
    return {name: t.to(whole.get(t.dtype, t.dtype)) for name, t in tensors.items()}


def contents_of(tensors: Mapping[str, Tensor]) -> Contents:
    """Return the type, shape and bytes of each tensor."""
    import torch

    return {
        name: (
            str(t.dtype).removeprefix("torch."),
            t.shape,
            _flat(t).view(torch.uint8).numpy().data,
        )
        for name, t in tensors.items()
    }


def _flat(tensor: Tensor) -> Tensor:
    # An empty tensor that was an array of NumPy may have a stride of 0, as which no bytes are seen.
    flat = tensor.detach().cpu().reshape(-1)
    return flat if len(flat) else flat.new_empty(0)


def fingerprint(contents: Contents, description: Mapping[str, Any]) -> str:
    """Return what identifies a model: half a SHA-256 of its tensors and of what it is built from.

    How it was made, as settings and the time of an epoch, is no part of it.
    """
    return _digest(contents, {name: description[name] for name in BUILT_FROM})[:32]


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; at the end it replaces the wanted one.

    Whatever goes wrong before, a file or folder that existed stays as it was, also at a URL.

    Raises
    ------
    FileError
        If the place cannot be written to, or the disk is full.
    """
    if isinstance(path, Url):
        with path.replaced() as temporary:
            yield temporary
        return
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
        If its folder is missing or not writable, or a URL denies access.
    """
    if isinstance(path, Url):
        path.check_writable()
        return
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


def _existing(path: str | Path) -> Path:
    """Return the path of a model file; that of a repository of the hub, such as hf://user/name."""
    file = file_at(path)
    if re.fullmatch("hf://[^/]+/[^/]+/?", str(file)):
        file = file_at(f"{str(file).rstrip('/')}/{MODEL}")
    if not file.is_file():
        raise FileError(f"There is no model file {file}.")
    return file


@contextmanager
def _opened(path: str | Path, framework: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield a safetensors file and its JSON metadata."""
    try:
        with safe_open(path, framework) as file:
            metadata = json.loads((file.metadata() or {}).get("attar", "null"))
            if not isinstance(metadata, dict):
                raise ValueError
            yield file, metadata
    except PermissionError:
        raise FileError(f"{path} may not be read: change its permissions.") from None
    except (SafetensorError, OSError, ValueError, RecursionError):
        raise ModelFileError(f"{path} is damaged, or not a file of attar's.") from None


def _description(
    path: str | Path, metadata: Mapping[str, Any], contents: Contents
) -> dict[str, Any]:
    """Return the description of a model file, whose format and content are checked."""
    if "format" not in metadata:
        raise ModelFileError(f"{path} is not a model of attar's.")
    if metadata["format"] != FORMAT:
        newer = isinstance(metadata["format"], int) and metadata["format"] > FORMAT
        raise ModelFileError(
            f"{path} has format {str(metadata['format'])[:9]}, and this attar reads {FORMAT}: "
            + ("update attar." if newer else "fit the model again.")
        )
    description = metadata.get("description")
    if not isinstance(description, dict) or metadata.get("digest") != _digest(
        contents, description
    ):
        raise ModelFileError(f"{path} is damaged: its content does not match its checksum.")
    return description


def _digest(contents: Contents, description: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name, (type_, shape, content) in sorted(contents.items()):
        digest.update(f"\0{name}\0torch.{type_}\0{tuple(shape)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
