"""HTML elements and tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

MISSING = "—"

# So many categories have colours of their own.
CATEGORIES = 10


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
    """Return a number with four significant digits, a true minus, and a dash for NaN.

    Integers have all their digits, and thousands are not separated: it may be a year or an
    identifier.

    Examples
    --------
    >>> number(20161231.0), number(-0.25), number(123456.7), number(6.4e-8)
    ('20161231', '−0.25', '123457', '6.4·10⁻⁸')
    """
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    whole = 1000 <= abs(value) < (1e15 if value.is_integer() else 1e7)
    short = f"{value:.0f}" if whole else f"{value:.4g}"
    mantissa, _, exponent = short.partition("e")
    power = f"·10{superscript(int(exponent))}" if exponent else ""
    return mantissa.replace("-", "−") + power


def superscript(number: int) -> str:
    """Return an integer in superscript."""
    return str(number).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def captioned(element: Element, *words: Element | str) -> Element:
    """Return a figure with its caption."""
    return tag("figure", element, tag("figcaption", *words))


def section(heading: str, *children: Element) -> Element:
    """Return a section of the page."""
    return tag("section", tag("h2", heading), *children)


def legend(entries: Sequence[tuple[str, str]], name: str = "legend") -> Element:
    """Return a legend of colours, from (tone, meaning)."""
    items = (tag("li", tag("i", class_=tone), meaning) for tone, meaning in entries)
    return tag("ul", *items, class_=name)


def metric_list(values: Iterable[tuple[str, str]]) -> Element:
    """Return the figures at the head of a page, from (value, label)."""
    return tag(
        "dl",
        *(tag("div", tag("dt", label), tag("dd", value)) for value, label in values),
        class_="metrics",
    )


def findings(found: Sequence[tuple[str, str]], none: str) -> Element:
    """Return the section of findings, from (problem, advice); what is said where there are none."""
    items = [tag("li", tag("p", problem), tag("p", advice)) for problem, advice in found]
    items = items or [tag("li", tag("p", none), class_="no-problems")]
    return section("Findings", tag("ul", *items, class_="findings"))


def _text(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def head(text: str, scope: str) -> Element:
    """Return the header of a table's row or column; long ones are cut, with a tooltip."""
    return tag("th", tag("span", text, title=text), scope=scope)


def scrolling(table: Element, name: str, description: str) -> Element:
    """Return a table in a frame that scrolls where it is wider than the page.

    Readers of the screen and users of the keyboard reach the frame by its description.
    """
    words = {"role": "region", "aria_label": description}
    return tag("div", table, class_=f"scrolling {name}", tabindex=0, **words)


def headed(columns: Iterable[str], body: Iterable[Element]) -> Element:
    """Return a table with these column headers over rows with their own headers."""
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


def strip(name: str, texts: Sequence[str], tints: NDArray[np.floating]) -> Element:
    """Return the row of a number along an interpolation: tints between its first and last value."""
    cells = (tag("td", class_="heat", style=tint(strength)) for strength in tints)
    first, last = (tag("td", text, title=text) for text in (texts[0], texts[-1]))
    return tag("tr", head(name, "row"), first, *cells, last)


def runs(name: str, texts: Sequence[str]) -> Element:
    """Return the row of texts along an interpolation: a cell for each run of equal ones.

    The first and the last run extend over the columns of a number's first and last value.
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


def interpolation_table(start: str, end: str, rows: Iterable[Element]) -> Element:
    """Return the rows of an interpolation under the names of its ends."""
    return tag("table", tag("caption", start, " → ", end), *rows, class_="interpolation")
