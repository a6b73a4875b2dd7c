"""Data sets by name: digits (part of scikit-learn) and mnist (cached, or downloaded once)."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np

from attar.data.files.arrays import parse_idx, unpacked
from attar.data.kind import Rows
from attar.errors import DataError, FileError, unknown

_MNIST_HOST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte.gz": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
}


def load(name: str, part: str) -> tuple[Rows, Rows]:
    """Return the rows and labels of a data set's part, ``"train"`` or ``"test"``.

    Raises
    ------
    DataError
        If there is no such data set or part.
    FileError
        If its files cannot be found or downloaded, or are not the published ones.

    Examples
    --------
    >>> images, labels = load("digits", "train")
    >>> images.shape, images.dtype, labels[:3]
    ((1437, 8, 8), dtype('uint8'), array([6, 5, 3]))
    """
    if name not in DATASETS:
        raise DataError(str(unknown("data set", name, DATASETS)))
    if part not in ("train", "test"):
        raise DataError(
            f"The data set {name!r} has no part {part!r}: choose '{name}/train' or '{name}/test'."
        )
    return DATASETS[name](part)


def _digits(part: str) -> tuple[Rows, Rows]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = digits.images.astype(np.uint8)
    train, test = train_test_split(np.arange(len(images)), test_size=0.2, random_state=0)
    rows = train if part == "train" else test
    return images[rows], digits.target[rows]


def _mnist(part: str) -> tuple[Rows, Rows]:
    prefix = "train" if part == "train" else "t10k"
    return _mnist_file(f"{prefix}-images-idx3-ubyte.gz"), _mnist_file(
        f"{prefix}-labels-idx1-ubyte.gz"
    )


def _mnist_file(name: str) -> Rows:
    folders = [Path(os.environ["ATTAR_DATA"])] if "ATTAR_DATA" in os.environ else []
    cache = _cache()
    path = next((p for f in (*folders, cache) if (p := f / "mnist" / name).exists()), None)
    if path is None:
        path = cache / "mnist" / name
        _download(_MNIST_HOST + name, path)
    content = unpacked(path)
    if hashlib.sha256(content).hexdigest() != _MNIST_SHA256[name]:
        raise FileError(f"{path} is not the published file of MNIST: delete it and try again.")
    return parse_idx(content, path)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "attar"


def _download(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            partial.write_bytes(response.read())
    except OSError as error:
        raise FileError(
            f"{url} cannot be downloaded ({error}): put the file into the folder 'mnist' of the "
            "folder that the variable ATTAR_DATA names."
        ) from None
    partial.replace(path)


DATASETS: dict[str, Callable[[str], tuple[Rows, Rows]]] = {"digits": _digits, "mnist": _mnist}
