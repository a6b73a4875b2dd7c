"""Tables, strips and bars, as the displays of several kinds share them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.report.colouring import CATEGORIES
from attar.report.markup import number, tag

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
