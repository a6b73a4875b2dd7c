"""Compression within error bounds: attar beside general compressors of rounded numbers.

The last fifth of the hours of ETTh1, each number within 1% of the range of its column in the hours
before, which all contenders know. Peers get numbers rounded to the same grid, the integers of that
grid, or, as SZ3 has it, the differences of each integer from the one before; each compressor in
every layout that it can take. The shortest counts, and is named. attar is trained for so many
``--minutes``, with ``--effort``.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from attar.likelihoods.lattices import near
from benchmarks._common import arguments, in_fresh_process, report
from benchmarks.contenders.compressors import PEERS
from benchmarks.contenders.layouts import LAYOUTS
from benchmarks.defaults import folder

BOUND, LAYOUT_NAMES = 0.01, ("csv", "columns", "shuffled", "arrays", "table")
PACKAGES = ("brotli", "pcodec", "pyppmd", "zstandard")


def hours() -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Return the hours of the training and of the test, and the bound of each channel."""
    table = pd.read_csv(folder() / "series" / "ETTh1.csv")
    train, test = table[: -(len(table) // 5)], table[-(len(table) // 5) :].reset_index(drop=True)
    numbers = train.drop(columns="date")
    return train, test, BOUND * (numbers.max() - numbers.min())


def forms(train: pd.DataFrame, test: pd.DataFrame, bounds: pd.Series) -> dict[str, Any]:
    """Return training and test rows as rounded numbers, integers, and their differences."""

    def rounded(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(**{c: near(table[c].to_numpy(), b) for c, b in bounds.items()})

    def integers(table: pd.DataFrame) -> pd.DataFrame:
        found = {c: np.rint(rounded(table)[c] / (2 * b)).astype(int) for c, b in bounds.items()}
        return table.assign(**found)

    def differences(table: pd.DataFrame) -> pd.DataFrame:
        found = integers(table)
        return found.assign(
            **{c: found[c].diff().fillna(found[c]).astype(int) for c in bounds.index}
        )

    ways = {"rounded": rounded, "integers": integers, "differences": differences}
    return {name: (way(train), way(test)) for name, way in ways.items()}


def peer_bytes(peer: str) -> list[dict[str, Any]]:
    """Return the bytes of a peer in each form, with its shortest layout."""
    found = []
    for form, (train, test) in forms(*hours()).items():
        sizes = {}
        for name in (name for name in PEERS[peer].layouts if name in LAYOUT_NAMES):
            layout = LAYOUTS[name]
            coder = PEERS[peer].trained(layout.pieces(train))
            sizes[name] = sum(len(coder.encode(piece)) for piece in layout.pieces(test))
        if sizes:
            layout_name = min(sizes, key=sizes.__getitem__)
            found.append(
                {"": peer, "form": form, "layout": layout_name, "bytes": sizes[layout_name]}
            )
    return found


def attar_bytes(minutes: float, effort: int) -> dict[str, float]:
    """Return the bytes of attar, its seconds, and its largest error as a share of the bound."""
    import attar

    train, test, bounds = hours()
    likelihood = attar.likelihoods.Causal.of_effort(effort).replace(error_bound=BOUND)
    settings: dict[str, Any] = {"max_minutes": minutes, "random_state": 0, "verbose": False}
    ae = attar.Autoencoder("lossless", likelihood=likelihood, **settings)
    started = time.perf_counter()
    codec = attar.Codec(ae.fit(attar.Series(train, time="date", window=96)))
    trained = time.perf_counter()
    data = codec.compress(test)
    compressed = time.perf_counter()
    back = codec.decompress(data)
    end = time.perf_counter()
    errors = (back[bounds.index] - test[bounds.index]).abs().max() / bounds
    assert back["date"].equals(test["date"])
    return {
        "bytes": len(data),
        "largest_error": float(errors.max()),
        "train_s": trained - started,
        "compress_s": compressed - trained,
        "decompress_s": end - compressed,
    }


def main() -> None:
    options = arguments(__doc__, peers=",".join(PEERS), minutes=40, effort=1)
    table: list[dict[str, Any]] = []
    for peer in (peer for peer in options.peers.split(",") if peer):
        table += in_fresh_process(peer_bytes, peer)
    if options.minutes:
        found = in_fresh_process(attar_bytes, options.minutes, options.effort)
        table.append({"": "attar", "form": "", "layout": "", **found})
    table.sort(key=lambda run: run["bytes"])
    report({"contenders": table}, table, options.json, *PACKAGES)


if __name__ == "__main__":
    main()
