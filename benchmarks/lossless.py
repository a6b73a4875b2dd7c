"""Lossless compression: attar beside general compressors, image formats and formats of columns.

Held-out rows are compressed, decompressed and compared with what went in. Their schema (names,
types, shapes) is free for all, and so are attar's model and the dictionaries of training rows. Each
peer writes all rows in every layout that it can take; the shortest counts, and is named.

- ``mnist``: the test images, 8 bits;
- ``binary``: the same, each pixel drawn once with its brightness as the probability;
- ``adult``: the last tenth of the rows;
- ``ETTh1``: the last fifth of the hours;
- ``photos``: the last 60 of 300 photographs, by name.

``bits`` are those of a dimension: a cell, or a pixel's channel. MB/s are of pixels (binary ones:
eight in a byte) or CSV. ``counts`` are ideal code lengths without a coder, each column by itself.
Contenders run one after the other, each in a fresh process. ``--minutes`` are those of attar's
training, of each work and each of the ``--effort``; ``--minutes 0`` leaves attar out. attar has its
defaults but for hours: one inner convolution and more steps. ``attar-1`` is one of less effort.
Photographs, whose sizes differ, train it in tiles of 32 x 32.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from attar.likelihoods.causal import EFFORTS
from benchmarks._common import Rows, arguments, in_fresh_process, middle, mnist, report
from benchmarks.contenders.compressors import PEERS, counts
from benchmarks.contenders.layouts import LAYOUTS, equal, schema
from benchmarks.defaults import folder

SPEEDS = ("compress_MB/s", "decompress_MB/s")
COLUMNS = ("bytes", "bits", "compress_s", "decompress_s", *SPEEDS, "layout")
PACKAGES = ("brotli", "pcodec", "pillow", "pillow-jxl-plugin", "pyarrow", "pyppmd", "zstandard")


@dataclass(frozen=True)
class Work:
    """What is to be compressed.

    Attributes
    ----------
    train, test : sequence of arrays, or DataFrame
    layouts : tuple of str
        What peers can be given. The first one's bytes are those before compression.
    """

    train: Any
    test: Any
    layouts: tuple[str, ...]

    @property
    def dimensions(self) -> int:
        """The number of cells."""
        if isinstance(self.test, pd.DataFrame):
            return int(self.test.size)
        return sum(image.size for image in self.test)

    @property
    def bytes(self) -> int:
        """The number of bytes before compression."""
        return sum(map(len, LAYOUTS[self.layouts[0]].pieces(self.test)))


def grey() -> Work:
    layouts = ("pixels", "places", "each", "tall", "split", "mosaic")
    return Work(mnist("train"), mnist("test"), layouts)


def binary() -> Work:
    def drawn(images: Rows, seed: int) -> Rows:
        return np.random.default_rng(seed).random(images.shape) < images / 255

    layouts = ("packed", "pixels", "places", "each", "tall", "split", "mosaic")
    return Work(drawn(mnist("train"), 1), drawn(mnist("test"), 0), layouts)


def adult() -> Work:
    table = pd.read_csv(folder() / "tables" / "adult.csv", keep_default_na=False)
    held_out = len(table) // 10
    return Work(table[:-held_out], table[-held_out:], ("csv", "columns", "table"))


def hours() -> Work:
    table = pd.read_csv(folder() / "series" / "ETTh1.csv")
    held_out = len(table) // 5
    layouts = ("csv", "columns", "shuffled", "arrays", "table")
    return Work(table[:-held_out], table[-held_out:], layouts)


def photos() -> Work:
    paths = sorted((folder() / "photos").glob("*.jpg"))
    images = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    return Work(images[:-60], images[-60:], ("pixels", "each", "tall", "split"))


WORKS: dict[str, Callable[[], Work]] = {
    "mnist": grey,
    "binary": binary,
    "adult": adult,
    "ETTh1": hours,
    "photos": photos,
}

# The most bits of a dimension.
BITS = {"mnist": 1.0, "binary": 0.145}

# Whether test rows are counted as well.
COUNTS = {"counts": False, "counts-adaptive": True}

Costs = dict[str, Any]


def goal(name: str, work: Work, peers: Mapping[str, Costs]) -> float:
    """Return the bytes that attar is not to exceed; none where the peer to beat did not run."""
    if name in BITS:
        return BITS[name] * work.dimensions / 8
    if name == "adult":
        return 15_000
    if name == "ETTh1":
        return 0.9 * min(run["bytes"] for run in peers.values())
    return float(peers["WebP"]["bytes"]) if "WebP" in peers else np.nan


def attar_bytes(name: str, minutes: float, effort: int) -> Costs:
    """Return the costs of attar's codec."""
    import attar

    work, likelihood = WORKS[name](), attar.likelihoods.Causal.of_effort(effort)
    settings: dict[str, Any] = {"max_minutes": minutes, "verbose": False}
    train = work.train
    if name == "ETTh1":
        train = attar.Series(train, time="date", window=96)
        likelihood = likelihood.replace(layers=1)
        settings |= {"batch_size": 16, "epochs": 8}
    settings["likelihood"] = likelihood
    with TemporaryDirectory() as photographs:
        if name == "photos":
            for i, photograph in enumerate(train):
                Image.fromarray(photograph).save(f"{photographs}/{i}.png", compress_level=1)
            train = attar.Pictures(photographs, tile=32)
        codec = attar.Codec(attar.Autoencoder(recipe="lossless", **settings).fit(train))
    start = time.perf_counter()
    data = codec.compress(work.test)
    middle = time.perf_counter()
    found = codec.decompress(data)
    end = time.perf_counter()
    return costs(work, found, len(data), middle - start, end - middle)


def peer_bytes(name: str, peer: str, layout_name: str) -> Costs:
    """Return the costs of a peer with a layout."""
    work, layout = WORKS[name](), LAYOUTS[layout_name]
    coder = PEERS[peer].trained(layout.pieces(work.train))
    start = time.perf_counter()
    files = [coder.encode(piece) for piece in layout.pieces(work.test)]
    middle = time.perf_counter()
    found = layout.data([coder.decode(file) for file in files], schema(work.test))
    end = time.perf_counter()
    size = sum(map(len, files))
    return costs(work, found, size, middle - start, end - middle) | {"layout": layout_name}


def counts_bytes(name: str, adaptive: bool) -> Costs:
    """Return the ideal bytes of counts of the training rows, or also of the test rows so far."""
    work = WORKS[name]()
    size = counts(work.train, work.test, adaptive) / 8
    return {"bytes": size, "bits": 8 * size / work.dimensions, "layout": "ideal"}


def costs(work: Work, found: Any, size: int, compress: float, decompress: float) -> Costs:
    """Return sizes and times, if what was found is what went in."""
    if not equal(found, work.test):
        raise SystemExit("What was decompressed is not what went in.")
    megabytes = work.bytes / 1e6
    return {
        "bytes": size,
        "bits": 8 * size / work.dimensions,
        "compress_s": compress,
        "decompress_s": decompress,
        "compress_MB/s": megabytes / compress,
        "decompress_MB/s": megabytes / decompress,
    }


def peers_bytes(name: str, layouts: tuple[str, ...], peers: list[str]) -> dict[str, Costs]:
    """Return the costs of each peer with its shortest layout, and the bytes of the others."""
    found = {}
    for peer in (name for name in peers if name in PEERS):
        tried = [layout for layout in PEERS[peer].layouts if layout in layouts]
        runs = [in_fresh_process(peer_bytes, name, peer, layout) for layout in tried]
        if runs:
            others = {run["layout"]: run["bytes"] for run in runs}
            found[peer] = min(runs, key=lambda run: run["bytes"]) | {"layouts": others}
    return found


def compare(name: str, minutes: float, efforts: list[int], peers: list[str]) -> dict[str, Any]:
    """Return the costs of all contenders on a work, and how attar's compare."""
    work = WORKS[name]()
    found = peers_bytes(name, work.layouts, peers)
    for peer, adaptive in COUNTS.items():
        if peer in peers and name != "photos":
            found[peer] = in_fresh_process(counts_bytes, name, adaptive)
    result: dict[str, Any] = {"raw_bytes": work.bytes, "dimensions": work.dimensions}
    if found:
        best = min(found, key=lambda peer: found[peer]["bytes"])
        result |= {"best": best, "goal_bytes": goal(name, work, found)}
    if minutes:
        for effort in efforts:
            contender = "attar" if effort == max(EFFORTS) else f"attar-{effort}"
            found[contender] = in_fresh_process(attar_bytes, name, minutes, effort)
        if "best" in result and "attar" in found:
            size = found["attar"]["bytes"]
            result["attar_to_best"] = size / found[result["best"]]["bytes"]
            result["attar_to_goal"] = size / result["goal_bytes"]
    return result | {"contenders": found}


def summary(result: Mapping[str, dict[str, Any]]) -> dict[str, float]:
    """Return how many goals attar meets, and medians: bytes to the best peer's, and speeds."""
    works = [work for work in result.values() if "attar_to_goal" in work]
    if not works:
        return {"works": len(result)}
    speeds = {key: middle((work["contenders"]["attar"] for work in works), key) for key in SPEEDS}
    goals_met = sum(work["attar_to_goal"] <= 1 for work in works)
    to_best = middle(works, "attar_to_best")
    return {"works": len(works), "goals_met": goals_met, "to_best": to_best, **speeds}


def main() -> None:
    names = {"work": ",".join(WORKS), "peers": ",".join([*PEERS, *COUNTS])}
    options = arguments(__doc__, **names, minutes=40, effort="3")
    efforts = [int(effort) for effort in options.effort.split(",")]
    peers = [name for name in options.peers.split(",") if name]
    result = {}
    for name in options.work.split(","):
        result[name] = compare(name, options.minutes, efforts, peers)
    table = [
        {"work": name, "": contender} | {key: found.get(key, np.nan) for key in COLUMNS}
        for name, work in result.items()
        for contender, found in sorted(work["contenders"].items(), key=lambda run: run[1]["bytes"])
    ]
    report({**result, "summary": summary(result)}, table, options.json, *PACKAGES)


if __name__ == "__main__":
    main()
