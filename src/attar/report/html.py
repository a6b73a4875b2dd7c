"""HTML elements, colours and tables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.errors import DataError

MISSING = "—"

# What many times end with and few need, before the time zone, if there is one.
MIDNIGHT = re.compile(r"[ T]00:00:00([+-]\d\d:\d\d)?$")
SECONDS = re.compile(r"(?<=:\d\d):00(?=([+-]\d\d:\d\d)?$)")


def tag(name: str, /, *children: Element | str, **attributes: object) -> Element:
    """Return an element; ``class_`` is the attribute class, ``stroke_width`` is stroke-width."""
    element = Element(
        name, {k.rstrip("_").replace("_", "-"): _text(v) for k, v in attributes.items()}
    )
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + child
        else:
            element.text = (element.text or "") + child
    return element


def number(value: float) -> str:
    """Return a number to read: four significant digits, a true minus, a dash for none."""
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    short = f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"
    return short.replace("-", "−")


def short_times(texts: Sequence[str]) -> list[str]:
    """Return texts without the time of day, or its seconds, where it is zero in all of them."""
    known = [text for text in texts if text != MISSING]
    for ending in (MIDNIGHT, SECONDS):
        if all(ending.search(text) for text in known):
            return [ending.sub("", text) for text in texts]
    return list(texts)


def captioned(element: Element, *words: Element | str) -> Element:
    """Return a figure with its caption."""
    return tag("figure", element, tag("figcaption", *words))


def legend(entries: Sequence[tuple[str, str]]) -> Element:
    """Return a list of what colours mean, from (tone, meaning)."""
    return tag(
        "ul",
        *(tag("li", tag("i", class_=tone), meaning) for tone, meaning in entries),
        class_="legend",
    )


def _text(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


CATEGORIES = 10
STEPS = 7


@dataclass(frozen=True)
class Colouring:
    """A grouping of rows, with a colour for each group.

    Attributes
    ----------
    groups : int array (n,)
    tones : list of str
        The name of each group's colour on the page.
    meanings : list of str
        What is in each group.
    names : list of str (n,)
        What each row is called: its label, or where it is in the data.
    categorical : bool
        Whether the groups are labels; else they are the steps of a scale.
    """

    groups: NDArray[np.intp]
    tones: list[str]
    meanings: list[str]
    names: list[str]
    categorical: bool = True

    def at(self, rows: NDArray[np.intp]) -> Colouring:
        """Return the colouring of some of the rows."""
        names = [self.names[row] for row in rows]
        return replace(self, groups=self.groups[rows], names=names)

    @property
    def legend(self) -> list[tuple[str, str]]:
        """The colours and what they mean; empty where there is but one group."""
        return list(zip(self.tones, self.meanings, strict=True)) if len(self.tones) > 1 else []


def plain(names: list[str]) -> Colouring:
    """Return one colour for rows of these names."""
    return Colouring(np.zeros(len(names), np.intp), ["plain"], ["all rows"], names)


def one_each(labels: Any, n: int) -> NDArray[Any]:
    """Return labels as an array.

    Raises
    ------
    DataError
        If there is not one label for each of ``n`` rows.
    """
    values = np.asarray(labels)
    if values.shape != (n,):
        raise DataError(
            f"The labels have shape {values.shape}, but there are {n} rows: give one label a row."
        )
    return values


def by_label(values: NDArray[Any]) -> Colouring:
    """Return a colour for each distinct label (n,), or a scale of colours for many numbers."""
    values = values if values.dtype.kind in "biuf" else values.astype(str)
    names = [f"{v:g}" if values.dtype.kind == "f" else str(v) for v in values]
    distinct, groups, sizes = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) > CATEGORIES:
        return _few(groups, sizes, names) if values.dtype.kind == "U" else _scale(values, names)
    first = np.unique(groups, return_index=True)[1]
    tones = [f"c{i}" for i in range(len(distinct))]
    return Colouring(groups, tones, [names[row] for row in first], names)


def _few(groups: NDArray[np.intp], sizes: NDArray[np.intp], names: list[str]) -> Colouring:
    """Return a colour for each of the largest groups, and one for all others."""
    largest = np.argsort(-sizes, kind="stable")[: CATEGORIES - 1]
    place = np.full(len(sizes), len(largest))
    place[largest] = np.arange(len(largest))
    first = np.unique(groups, return_index=True)[1]
    return Colouring(
        place[groups],
        [f"c{i}" for i in range(len(largest))] + ["other"],
        [names[first[group]] for group in largest] + ["other"],
        names,
    )


def _scale(values: NDArray[Any], names: list[str]) -> Colouring:
    """Return a scale of colours from the smallest to the largest number."""
    finite = np.isfinite(values)
    edges = np.linspace(values[finite].min(), values[finite].max(), STEPS + 1)
    groups = np.where(finite, np.digitize(values, edges[1:-1]), STEPS)
    meanings = [f"{a:.3g} to {b:.3g}" for a, b in pairwise(edges)]
    tones = [f"s{i}" for i in range(STEPS)]
    if finite.all():
        return Colouring(groups, tones, meanings, names, categorical=False)
    tones, meanings = [*tones, "other"], [*meanings, "no number"]
    return Colouring(groups, tones, meanings, names, categorical=False)


MOST_BARS = 16


def head(text: str, scope: str) -> Element:
    """Return the head of a table's row or column; long ones are cut, and whole in the title."""
    return tag("th", tag("span", text, title=text), scope=scope)


def scrolling(table: Element, name: str) -> Element:
    """Return a table in a frame that scrolls where the table is wider than the page."""
    return tag("div", table, class_=f"scrolling {name}", tabindex=0)


def headed(columns: Iterable[str], body: Iterable[Element]) -> Element:
    """Return a table with these heads of columns over rows that have heads of their own."""
    return tag("table", tag("tr", tag("td"), *(head(name, "col") for name in columns)), *body)


def lines(*spans: Element | str) -> Element:
    """Return a cell of several lines."""
    return tag("td", *(tag("span", span) if isinstance(span, str) else span for span in spans))


def tint(strength: float) -> str:
    """Return the style of red for 0 to 1, of blue for 0 to -1."""
    return toned("above" if strength > 0 else "below", abs(strength))


def toned(tone: str, strength: float) -> str:
    """Return the style of a tone of the page, of strength 0 to 1."""
    return f"--tint:var(--{tone});--strength:{strength:.0%}"


def strip(name: str, first: str, last: str, tints: NDArray[Any]) -> Element:
    """Return the row of a number along a walk: a strip of tints between its ends."""
    cells = (tag("td", class_="heat", style=tint(strength)) for strength in tints)
    ends = (tag("td", end, title=end) for end in (first, last))
    return tag("tr", head(name, "row"), next(ends), *cells, next(ends))


def runs(name: str, texts: Sequence[str]) -> Element:
    """Return the row of texts along a walk: a cell for each run of equal ones, in its own colour.

    The first run begins, and the last one ends, where a number's ends are written.
    """
    padded = [texts[0], *texts, texts[-1]]
    tones = {text: i % CATEGORIES for i, text in enumerate(dict.fromkeys(texts))}
    cells = (
        tag(
            "td",
            text,
            colspan=len(list(run)),
            class_="run",
            style=toned(f"c{tones[text]}", 1),
            title=text,
        )
        for text, run in groupby(padded)
    )
    return tag("tr", head(name, "row"), *cells)


def walk_table(start: str, end: str, rows: Iterable[Element]) -> Element:
    """Return the rows of a walk under where it goes from and to."""
    return tag("table", tag("caption", start, " → ", end), *rows, class_="walk")


def bars(names: Sequence[str], values: NDArray[np.float64]) -> Element:
    """Return a bar for each of the largest values, the largest first."""
    most = float(values.max()) or 1.0
    items = (
        tag(
            "li",
            tag("span", names[j], title=names[j]),
            tag("i", style=f"--share:{values[j] / most:.4f}"),
            tag("span", number(float(values[j]))),
        )
        for j in np.argsort(-values, kind="stable")[:MOST_BARS]
    )
    return tag("ol", *items, class_="bars")
