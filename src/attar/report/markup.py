"""Elements of HTML and SVG; what users wrote becomes text or an attribute's value, never markup."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element

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
