"""The model file: one safetensors file of tensors and JSON, and nothing that can run.

Its metadata have one entry, ``attar``: JSON with the ``format`` (a number), the ``facts``, and a
``digest``, the SHA-256 of the facts and of every tensor's name, type, shape and bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from attar.errors import FileError, ModelFileError
from attar.files import written_whole

FORMAT = 1


def write(path: str | Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts as a model file, whole or not at all.

    Raises
    ------
    FileError
        If the place cannot be written to, or the disk is full.
    """
    # Copies, since tied weights share memory, which the file's format refuses.
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    known = {"format": FORMAT, "digest": _digest(plain, facts), "facts": facts}
    metadata = {"attar": json.dumps(known, sort_keys=True)}
    with written_whole(Path(path)) as beside:
        try:
            save_file(plain, beside, metadata)
        except SafetensorError as error:
            raise FileError(f"{path} cannot be written: {error}.") from None


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and facts of a model file.

    Memory is bounded by the file's size, whatever the file says.

    Raises
    ------
    FileError
        If there is no such file.
    ModelFileError
        If it is damaged, of a newer format, or no model file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"There is no model file {path}.")
    try:
        with safe_open(path, "pt") as file:
            known = _known(path, file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except PermissionError:
        raise FileError(f"{path} may not be read: change its permissions.") from None
    except ModelFileError:
        raise
    except (SafetensorError, OSError, ValueError, RecursionError):
        raise ModelFileError(f"{path} is damaged, or no model of attar's.") from None
    facts: dict[str, Any] = known["facts"]
    if known.get("digest") != _digest(tensors, facts):
        raise ModelFileError(f"{path} is damaged: its content does not match its checksum.")
    return tensors, facts


def _known(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    known = json.loads(metadata.get("attar", "null"))
    if not isinstance(known, dict) or not isinstance(known.get("facts"), dict):
        raise ModelFileError(f"{path} is no model of attar's.")
    if known.get("format") != FORMAT:
        raise ModelFileError(
            f"{path} has format {str(known.get('format'))[:9]}, and this attar reads {FORMAT}: "
            "update attar."
        )
    return known


def fingerprint(path: str | Path) -> str:
    """Return the SHA-256 of a file: the model's name for all who depend on it."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
