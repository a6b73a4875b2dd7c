"""Clusters: fit --for clusters, and predict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attar.cli import arguments

if TYPE_CHECKING:
    from attar.cli.tasks import TaskFit
    from attar.data.source import Data

# So many clusters are printed.
PRINTED = 20


def fit_clusterer(data: Data, job: TaskFit) -> None:
    """Find clusters, and print how many rows each has."""
    with arguments.importing():
        from attar.cli.tasks import Outcome
        from attar.data.source import read
        from attar.tasks.clusters.clusterer import Clusterer

    clusterer = Clusterer()

    def outcome() -> Outcome:
        number, sizes = clusterer.n_clusters_, clusterer.sizes_
        lines = [f"{number} cluster{'s' * (number > 1)} of {sizes.sum():,} rows:"]
        for cluster, size in enumerate(sizes[:PRINTED]):
            lines.append(f"  {cluster:<3} {size:9,} rows  {size / sizes.sum():.1%}")
        if number > PRINTED:
            lines.append(f"  and {number - PRINTED} smaller ones")
        return Outcome({"sizes": sizes.tolist()}, lines, {"clusters": number})

    job.run(clusterer, outcome, read(data, label=job.label).data)


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
            shares = clusterer.model_.located(piece)[1]
            found = shares.argmax(1)
            writer.write(pd.DataFrame({"cluster": found, "probability": shares.max(1)}))
            sizes += np.bincount(found, minlength=len(sizes))
    if as_json:
        print(arguments.to_json({"sizes": sizes.tolist()}))
