"""Clusters: fit --for clusters, and predict."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attar.cli import arguments

if TYPE_CHECKING:
    from attar.data.source import Data

# So many clusters are printed.
PRINTED = 20


def fit_clusterer(
    data: Data,
    output: Path,
    settings: dict[str, Any],
    label: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Find clusters, and print how many rows each has."""
    from attar.storage import check_writable

    check_writable(output)
    with arguments.importing():
        from attar.data.source import read
        from attar.tasks.clusters.clusterer import Clusterer

    clusterer = Clusterer()
    arguments.with_settings(clusterer, settings, "clusters")
    started = time.perf_counter()
    clusterer.fit(read(data, label=label).data)
    clusterer.label_ = label
    seconds = time.perf_counter() - started
    clusterer.save(output)
    sizes = clusterer.sizes_
    if as_json:
        print(
            arguments.to_json({"model": str(output), "seconds": seconds, "sizes": sizes.tolist()})
        )
    elif not quiet:
        number = clusterer.n_clusters_
        print(f"{number} cluster{'s' * (number > 1)} of {sizes.sum():,} rows:")
        for cluster, size in enumerate(sizes[:PRINTED]):
            print(f"  {cluster:<3} {size:9,} rows  {size / sizes.sum():.1%}")
        if number > PRINTED:
            print(f"  and {number - PRINTED} smaller ones")
        print(f"Fitted in {seconds:.1f} s: {output}.")


def predict_clusters(
    model: Path, rows: Data, output: Path, label: str | None, as_json: bool
) -> None:
    """Write the cluster of each row, and its probability; large files piece by piece."""
    with arguments.importing():
        import numpy as np
        import pandas as pd

        from attar.data.source import read, without_labels
        from attar.tasks.clusters.clusterer import Clusterer

    clusterer = Clusterer.load(model)
    opened = without_labels(read(rows, "test", kind=clusterer.model_.kind), label, clusterer.label_)
    sizes = np.zeros(clusterer.n_clusters_, np.intp)
    with arguments.writer(output, ["cluster", "probability"]) as writer:
        for piece in clusterer.pieces(opened):
            shares = clusterer.model_.probabilities(piece)
            found = shares.argmax(1)
            writer.write(pd.DataFrame({"cluster": found, "probability": shares.max(1)}))
            sizes += np.bincount(found, minlength=len(sizes))
    if as_json:
        print(arguments.to_json({"sizes": sizes.tolist()}))
