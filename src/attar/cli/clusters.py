"""Clusters: fit --for clusters, and the verb predict."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attar.cli import arguments
from attar.cli.anomalies import without_labels
from attar.errors import FileError

if TYPE_CHECKING:
    import pandas as pd

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


def predict(
    model: arguments.Model,
    source: arguments.Source,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="The clusters: .csv, .parquet, .feather, ...",
            show_default=False,
        ),
    ],
    label: arguments.Label = None,
    delimiter: arguments.Delimiter = None,
    decimal: arguments.Decimal = None,
    encoding: arguments.Encoding = None,
    na: arguments.Na = None,
) -> None:
    """Write the cluster of each row, and its probability; large files piece by piece."""
    predict_clusters(model, source, output, label, delimiter, decimal, encoding, na)


def predict_clusters(
    model: Path,
    source: str,
    output: Path,
    label: str | None,
    delimiter: str | None,
    decimal: str | None,
    encoding: str | None,
    na: list[str] | None,
) -> None:
    """Write the cluster of each row, and its probability."""
    from attar.data.files.tabular import STREAMS

    if not output.name.endswith(tuple(STREAMS)):
        raise FileError(f"Clusters are a table: write {output.name} as .csv, .parquet or .feather.")
    arguments.check_output(output)
    arguments.check_separate(output, source)
    with arguments.importing():
        from attar.data.source import read
        from attar.tasks.clusters.clusterer import Clusterer

    clusterer = Clusterer.load(model)
    rows = arguments.csv(source, delimiter, decimal, encoding, na)
    opened = read(rows, "test", kind=clusterer.model_.kind)
    opened = without_labels(opened, label, clusterer.label_)

    def tables() -> Iterator[pd.DataFrame]:
        import pandas as pd

        for piece in clusterer.pieces(opened):
            shares = clusterer.model_.probabilities(piece)
            yield pd.DataFrame({"cluster": shares.argmax(1), "probability": shares.max(1)})

    with arguments.writer(output, ["cluster", "probability"]) as writer:
        for table in tables():
            writer.write(table)
