"""Texts on the page: words that are reconstructed otherwise are marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.data.kind import Rows
from attar.data.text import Text
from attar.reporting.colours import Attribute
from attar.reporting.display import Display, Examples, Interpolation
from attar.reporting.html import captioned, head, number, scrolling, tag
from attar.token_ids import PAD

# The name of a text has so many letters at most.
NAMED = 60


class TextDisplay(Display):
    """Texts, a line each."""

    row = "text"
    compared, sampled = 8, 10

    def __init__(self, kind: Text, examples: Examples) -> None:
        self.kind, self.count = kind, len(examples.rows)

    @property
    def title(self) -> str:
        """The most tokens of a text."""
        return f"texts of up to {self.kind.length} tokens"

    def attributes(self, examples: Examples) -> list[Attribute]:
        """Return the number of tokens."""
        return [Attribute("the number of tokens", (examples.rows != PAD).sum(1).astype(float))]

    def reconstructions(
        self, examples: Examples, names: Sequence[str], order: str
    ) -> list[Element]:
        """Return a table of texts and their reconstructions, whose other words are marked."""
        pairs = zip(
            texts_of(self.kind, examples.rows),
            texts_of(self.kind, examples.reconstructed),
            strict=True,
        )
        body = [tag("tr", tag("td", before), marked(before, after)) for before, after in pairs]
        titles = tag("tr", head("original", "col"), head("reconstruction", "col"))
        table = tag("table", titles, *body)
        caption = f"Texts and their reconstructions, {order}. Words that differ are marked."
        return [captioned(scrolling(table, "texts", "Reconstructions"), caption)]

    def originals(self, rows: Rows, names: Sequence[str]) -> list[Element]:
        """Return the texts."""
        return [_list(texts_of(self.kind, rows))]

    def interpolations(self, interpolations: Sequence[Interpolation]) -> list[Element]:
        """Return the texts along each path."""
        lists = [_list(texts_of(self.kind, line.rows)) for line in interpolations]
        caption = "Decoded interpolations between the codes of two texts."
        return [captioned(tag("div", *lists, class_="pair"), caption)]

    def neighbours(
        self,
        rows: Rows,
        places: NDArray[np.intp],
        nearest: NDArray[np.intp],
        distances: NDArray[np.float64],
    ) -> list[Element]:
        """Return a table for each text: the nearest ones, and how far they are."""
        if not nearest.shape[1]:
            return []
        texts, tables = texts_of(self.kind, rows), []
        for place, others, far in zip(places, nearest, distances, strict=True):
            body = [
                tag("tr", tag("td", texts[other]), tag("td", number(float(f"{distance:.3g}"))))
                for other, distance in zip(others, far, strict=True)
            ]
            tables.append(tag("table", tag("caption", texts[place]), *body))
        caption = (
            f"Some texts, and those of the {len(rows):,} of this page whose codes are nearest, "
            "with the distances of the codes."
        )
        return [captioned(tag("div", *tables, class_="nearest"), caption)]

    def samples(self, rows: Rows, drawn: bool = True) -> list[Element]:
        """Return the texts."""
        return [_list(texts_of(self.kind, rows))]


def texts_of(kind: Text, rows: Rows) -> list[str]:
    """Return the texts of rows (n, length); bytes that are no UTF-8 are marked as such."""
    tokens = rows.astype(int).tolist()
    return [kind.vocabulary.decode(row).decode(errors="replace") for row in tokens]


def text_names(kind: Text, rows: Rows) -> list[str]:
    """Return the beginnings of texts, which name them."""
    return [shortened(text, NAMED) for text in texts_of(kind, rows)]


def shortened(text: str, most: int) -> str:
    """Return a text, or the beginning of a longer one, with an ellipsis.

    Examples
    --------
    >>> shortened("a", 3), shortened("abcde", 3)
    ('a', 'ab…')
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def marked(before: str, after: str) -> Element:
    """Return a cell with a text whose words that another does not have in this place are marked."""
    old, new = before.split(" "), after.split(" ")
    spans: list[Element] = []
    for operation, _, _, start, end in SequenceMatcher(None, old, new, False).get_opcodes():
        words = " ".join(new[start:end])
        if words:
            spans.append(tag("span" if operation == "equal" else "mark", words + " "))
    return tag("td", *spans)


def _list(texts: Iterable[str]) -> Element:
    return tag("ol", *(tag("li", text) for text in texts), class_="texts")
