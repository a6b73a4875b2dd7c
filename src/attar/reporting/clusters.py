"""The page of a clusterer: its clusters on a map, examples of each, and what distinguishes it."""

from __future__ import annotations

import re
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd

from attar.data.images import Images
from attar.data.kind import Kind, Rows
from attar.data.series import Windows
from attar.data.source import Data, Source, read
from attar.data.stream import evenly_spaced
from attar.data.table import Table
from attar.data.text import Text
from attar.errors import AttarWarning
from attar.reporting import svg
from attar.reporting.display import nan_mean
from attar.reporting.html import (
    MISSING,
    captioned,
    head,
    headed,
    legend,
    lines,
    metric_list,
    number,
    scrolling,
    section,
    tag,
    tint,
    toned,
)
from attar.reporting.images import COMPARED_SIDE, Shades, picture
from attar.reporting.measured import counted, percent
from attar.reporting.selection import by_label, plane
from attar.reporting.series import MOST_CHANNELS
from attar.reporting.tables import CategoryField, Field, NumberField, fields_of
from attar.reporting.texts import shortened, texts_of
from attar.tasks.clusters.clusterer import Clusterer
from attar.tasks.neighbours import Array, Indices

# Rows that are compared, and points of the map.
ROWS, POINTS = 20_000, 2000

# Clusters that are shown, examples of each, and distinctive columns or words.
SHOWN, EXAMPLES, APART = 20, 11, 5

# Characters of a text that is an example.
EXCERPT = 160

WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Clustered:
    """Rows of data with their clusters.

    Attributes
    ----------
    rows : rows (n, *cells)
        Raw.
    labels : int array (n,)
    certain : array (n,)
        The probability of the cluster.
    points : array (n, d)
    """

    rows: Any
    labels: Indices
    certain: Array
    points: Rows

    def examples(self, cluster: int, most: int) -> Indices:
        """Return where some rows of a cluster are."""
        places = np.flatnonzero(self.labels == cluster)
        return places[evenly_spaced(len(places), most)]


class Portrait(ABC):
    """What clusters of a kind of data look like."""

    @abstractmethod
    def sections(self, found: Clustered, clusters: range) -> list[Element]:
        """Return sections on clusters."""


class TablePortrait(Portrait):
    """Columns whose means or levels in a cluster differ most from those of the other rows."""

    def __init__(self, kind: Table) -> None:
        self.fields = [
            one for one in fields_of(kind) if isinstance(one, NumberField | CategoryField)
        ]

    def sections(self, found: Clustered, clusters: range) -> list[Element]:
        """Return a table, a row for each cluster."""
        body = []
        for cluster in clusters:
            inside = found.labels == cluster
            if inside.any() and not inside.all():
                differences = [_difference(one, found.rows, inside) for one in self.fields]
                differences.sort(key=lambda difference: -difference[0])
                cells = [cell for _, cell in differences[:APART]]
                body.append(tag("tr", head(f"cluster {cluster}", "row"), *cells))
        if not body:
            return []
        words = (
            "The columns that differ most between the cluster and all other rows, in standard "
            "deviations: the mean, or a category and its share, red where it is above and blue "
            "where it is below that of the others, which is under it."
        )
        heads = [f"{i + 1}." for i in range(min(APART, len(self.fields)))]
        table = scrolling(headed(heads, body), "compared", "What distinguishes clusters")
        return [section("What distinguishes the clusters", captioned(table, words))]


class ImagePortrait(Portrait):
    """The mean image of each cluster, and some of its images."""

    def __init__(self, kind: Images) -> None:
        self.kind = kind

    def sections(self, found: Clustered, clusters: range) -> list[Element]:
        """Return images, a figure for each cluster."""
        shades, figures = Shades.of(self.kind, found.rows), []
        for cluster in clusters:
            inside = found.rows[found.labels == cluster]
            if not len(inside):
                continue
            some = found.rows[found.examples(cluster, EXAMPLES)]
            named = [("mean", nan_mean(inside, 0)), *(("", row) for row in some)]
            shown = [
                tag(
                    "div",
                    picture(shades.bytes(row), f"{name or 'image'} of the cluster", COMPARED_SIDE),
                    tag("span", name),
                )
                for name, row in named
            ]
            words = f"Cluster {cluster}: the mean, and images of {counted(len(inside), 'image')}."
            figures.append(captioned(tag("div", *shown, class_=f"pictures{shades.size}"), words))
        return [section("Images of each cluster", *figures)]


class SeriesPortrait(Portrait):
    """The mean curve of each cluster, within those of most of its windows."""

    def __init__(self, kind: Windows) -> None:
        self.names = [str(name) for name in kind.form.channels]

    def sections(self, found: Clustered, clusters: range) -> list[Element]:
        """Return charts, a row for each channel and a column for each cluster."""
        body = []
        for channel, name in enumerate(self.names[:MOST_CHANNELS]):
            values, charts = found.rows[:, channel].astype(np.float64), []
            low, high = np.nanquantile(values, [0.01, 0.99])
            for cluster in clusters:
                inside = values[found.labels == cluster]
                if len(inside):
                    ends = np.nanquantile(inside, [0.1, 0.9], axis=0)
                    drawn = svg.chart(
                        [("first", nan_mean(inside, 0))],
                        float(low),
                        float(max(high, low + 1e-12)),
                        f"{name}, mean of cluster {cluster}.",
                        band=(ends[0], ends[1]),
                    )
                    charts.append(tag("td", drawn))
            body.append(tag("tr", head(name, "row"), *charts))
        heads = [f"cluster {cluster}" for cluster in clusters if (found.labels == cluster).any()]
        table = scrolling(headed(heads, body), "charts", "Mean windows of clusters")
        words = "The mean window of each cluster, and between which values 80% of its windows are."
        return [section("Windows of each cluster", captioned(table, words))]


class TextPortrait(Portrait):
    """Words that are more frequent in a cluster than elsewhere, and some of its texts."""

    def __init__(self, kind: Text) -> None:
        self.kind = kind

    def sections(self, found: Clustered, clusters: range) -> list[Element]:
        """Return words and texts of each cluster."""
        texts = texts_of(self.kind, found.rows)
        words = [set(WORD.findall(text.lower())) for text in texts]
        total, body = Counter(word for own in words for word in own), []
        for cluster in clusters:
            inside = np.flatnonzero(found.labels == cluster)
            if not len(inside):
                continue
            own = Counter(word for place in inside for word in words[place])
            # log-odds of a text inside and of one outside to have the word, one added to each
            odds = {
                word: np.log((n + 1) / (len(inside) - n + 1))
                - np.log((total[word] - n + 1) / (len(texts) - len(inside) - total[word] + n + 1))
                for word, n in own.items()
            }
            apart = ", ".join(sorted(odds, key=lambda word: (-odds[word], word))[: 2 * APART])
            some = [texts[place] for place in found.examples(cluster, APART)]
            items = [tag("li", shortened(text, EXCERPT)) for text in some]
            caption = f"Cluster {cluster}: {apart}."
            body.append(captioned(tag("ol", *items, class_="texts"), caption))
        return [section("Words and texts of each cluster", *body)]


def portrait_of(kind: Kind) -> Portrait | None:
    """Return what clusters of a kind look like; None where only the map says something."""
    match kind:
        case Table():
            return TablePortrait(kind)
        case Images():
            return ImagePortrait(kind)
        case Windows():
            return SeriesPortrait(kind)
        case Text():
            return TextPortrait(kind)
    return None


def cluster_page(clusterer: Clusterer, data: Data | Source) -> tuple[str, Element]:
    """Return the title and the content of the page of a clusterer on data."""
    kind = clusterer.model_.kind
    source = read(data, "test", kind=kind)
    with warnings.catch_warnings():  # all was said when the rows were first read
        warnings.simplefilter("ignore", AttarWarning)
        sizes, found = _clustered(clusterer, source)
    clusters = range(min(clusterer.n_clusters_, SHOWN))
    total, portrait = int(sizes.sum()), portrait_of(kind)
    title = f"{counted(clusterer.n_clusters_, 'cluster')} of {counted(total, 'row')}"
    values = [
        (percent(size / total), f"in cluster {cluster}") for cluster, size in enumerate(sizes[:4])
    ]
    header = tag(
        "header",
        tag("p", f"attar report on {counted(total, 'row')}", class_="eyebrow"),
        tag("h1", title),
        tag("p", f"Clusters of {clusterer.model_.points.name} by their nearest neighbours."),
        metric_list([*values, (percent(float(found.certain.mean())), "mean probability")]),
    )
    shown = [] if portrait is None else portrait.sections(found, clusters)
    return title, tag("main", header, _sizes(sizes, found), _map(found), *shown)


def _clustered(clusterer: Clusterer, source: Source) -> tuple[Indices, Clustered]:
    """Return how many rows each cluster has, and some rows with their clusters."""
    model, parts, sizes = clusterer.model_, [], np.zeros(clusterer.n_clusters_, np.intp)
    for piece in clusterer.pieces(source):
        (points, shares), rows = model.located(piece), model.kind.rows(piece)
        labels = shares.argmax(1)
        sizes += np.bincount(labels, minlength=len(sizes))
        at = evenly_spaced(len(labels), ROWS)
        parts.append((rows[at], labels[at], shares.max(1)[at], points[at]))
    raw = [part[0] for part in parts]
    labels, certain, points = (np.concatenate([part[i] for part in parts]) for i in (1, 2, 3))
    joined = raw[0] if len(raw) == 1 else np.concatenate(raw)
    return sizes, Clustered(joined, labels, certain, points)


def _sizes(sizes: Indices, found: Clustered) -> Element:
    """Return a table of the clusters: how many rows, and how sure they are."""
    body, total = [], sizes.sum()
    for cluster, size in enumerate(sizes[:SHOWN]):
        inside = found.certain[found.labels == cluster]
        sure = percent(float(inside.mean())) if len(inside) else MISSING
        share = tag("td", tag("i", style=f"--share:{size / sizes.max():.4f}"), class_="share")
        texts = (f"{size:,}", percent(size / total), sure)
        body.append(
            tag("tr", head(f"cluster {cluster}", "row"), share, *(tag("td", x) for x in texts))
        )
    heads = ["", "rows", "share", "probability"]
    words = "The probability is the mean share of a cluster among the neighbours of its rows."
    if len(sizes) > SHOWN:
        words += f" The {SHOWN} largest of {len(sizes)} clusters."
    table = scrolling(headed(heads, body), "parts", "Clusters")
    return section("Clusters", captioned(table, words))


def _map(found: Clustered) -> Element:
    """Return some rows on a plane, in the colours of their clusters."""
    at = evenly_spaced(len(found.labels), POINTS)
    points, x, y = plane(found.points[at].astype(np.float64))
    names = np.array([f"cluster {label}" for label in found.labels[at]])
    colouring = by_label(names)
    texts = colouring.meanings if len(colouring.tones) > 1 else [""]
    drawn = svg.code_map(points, colouring.groups, colouring.tones, texts, x, y, colouring.names)
    key = [legend(colouring.legend)] if colouring.legend else []
    return section("Map", captioned(drawn, *key, f"{counted(len(at), 'row')} on a plane."))


def _difference(field: Field, rows: Rows, inside: Rows) -> tuple[float, Element]:
    """Return how much a column differs in a cluster, in standard deviations, and its cell."""
    if not isinstance(field, NumberField):
        return _level(field, pd.Series(field.texts(rows)), inside)
    values = rows[:, field.cells.start].astype(np.float64)
    known = ~np.isnan(values)
    spread = float(values[known].std()) if known.any() else 0.0
    if not (known & inside).any() or not (known & ~inside).any() or not spread:
        return 0.0, lines(field.name, MISSING)
    own, other = (float(values[known & part].mean()) for part in (inside, ~inside))
    size, texts = (own - other) / spread, [number(float(f"{mean:.3g}")) for mean in (own, other)]
    return abs(size), _lines(field.name, texts[0], texts[1], tint(min(1.0, max(-1.0, size))))


def _level(field: Field, texts: pd.Series, inside: Rows) -> tuple[float, Element]:
    """Return by how much the share of a level is larger in a cluster, and the column's cell."""
    shares = [texts[part].value_counts(normalize=True) for part in (inside, ~inside)]
    table = pd.DataFrame({"own": shares[0], "other": shares[1]}).fillna(0.0)
    overall = texts.value_counts(normalize=True)[table.index]
    spread = np.sqrt((overall * (1 - overall)).clip(1e-9))
    gaps: pd.Series = (table["own"] - table["other"]) / spread
    level, size = str(gaps.idxmax()), float(gaps.max())
    own, other = (percent(float(table[part][level])) for part in ("own", "other"))
    return size, _lines(field.name, f"{level} {own}", other, toned("another", min(1.0, size)))


def _lines(name: str, own: str, other: str, style: str) -> Element:
    """Return a cell: a column, what a cluster has there, tinted, and what all others have."""
    within = tag("span", own, class_="differs", style=style, title=own)
    return lines(name, within, tag("span", other, class_="equals"))
