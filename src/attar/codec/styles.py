"""How the cells of a column of a CSV file are written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pyarrow as pa

from attar.data.cells import Category
from attar.data.columns.arrow import TEXT, plain_text, sort_of
from attar.data.columns.base import Column
from attar.data.columns.notations import FALSE, MISSING_WORDS, TRUE

# Forms of numbers without a fixed number of decimals: as Python writes doubles, the same without
# ".0", and with 15 digits.
SHORTEST, WHOLE, DIGITS = -1, -2, -3

# The most decimals of a number.
MOST_DECIMALS = 60

# By how many cells styles are compared.
SOME = 200

NUMBER = re.compile(
    r"(?P<before>[^\d.,+\-−]*)(?P<number>[-+]?[\d.,][\d.,'’ \u00a0\u202f]*([eE][-+]?\d+)?)"
    r"(?P<after>\D*)",
    re.ASCII,
)
PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
GROUPS = " ,.'’\u00a0\u202f"

# Quotes: where a text needs them, around every text, and around every one that is not empty.
NEEDED, ALWAYS, FILLED = 0, 1, 2


@dataclass(frozen=True)
class CellStyle:
    """How the cells of a column are written.

    Parameters
    ----------
    quotes : int
    absent : str
        What stands for a missing value.
    before, after : str
        A unit.
    group, point : str
        Between groups of digits, and before decimals.
    decimals : int
        How many a number has; below 0 it depends on the number.
    true, false : str

    Examples
    --------
    >>> from attar.data.columns.numbers import NumberColumn
    >>> column = NumberColumn("price", pa.float64())
    >>> style = style_of(column, ['"1.234,50 €"', '"0,99 €"', "?"], ";", CellStyle())
    >>> style.group, style.point, style.decimals, style.after, style.absent
    ('.', ',', 2, ' €', '?')
    >>> values = style.read(column, ['"1.234,50 €"', "?"])
    >>> values.to_pylist(), style.write(values, ";")
    ([1234.5, None], ['"1.234,50 €"', '"?"'])
    """

    quotes: int = NEEDED
    absent: str = ""
    before: str = ""
    after: str = ""
    group: str = ""
    point: str = "."
    decimals: int = SHORTEST
    true: str = TRUE[0]
    false: str = FALSE[0]

    def read(self, column: Column, raw: Sequence[str]) -> pa.ChunkedArray:
        """Return the values of cells as they are written, missing where one cannot be read."""
        sort = sort_of(column.type)
        if sort == "text":
            cell = column.cells[:1]
            labels = cell[0].categories if cell and isinstance(cell[0], Category) else ()
            words = {"", *MISSING_WORDS} - set(labels)
        texts = {cell: unquoted(cell) for cell in set(raw)}
        values: list[object] = [None] * len(raw)
        type_ = pa.null()
        if sort == "numbers":
            numbers = {cell: self._number(text) for cell, text in texts.items()}
            values, type_ = [numbers[cell] for cell in raw], pa.float64()
        elif sort == "booleans":
            booleans = {self.true: True, self.false: False}
            values, type_ = [booleans.get(texts[cell]) for cell in raw], pa.bool_()
        elif sort == "text":
            known = {cell: text for cell, text in texts.items() if text not in words}
            known = {cell: text for cell, text in known.items() if _valid(text)}
            values, type_ = [known.get(cell) for cell in raw], TEXT
        return pa.chunked_array([pa.array(values, type_)])

    def write(self, values: pa.Array | pa.ChunkedArray, delimiter: str) -> list[str]:
        """Return values as cells."""
        listed = plain_text(values).to_pylist()
        texts = {value: self._quoted(self._text(value), delimiter) for value in set(listed)}
        return [texts[value] for value in listed]

    def _number(self, text: str) -> float | None:
        if not (text.startswith(self.before) and text.endswith(self.after)):
            return None
        digits = text[len(self.before) : len(text) - len(self.after)]
        if self.group:
            digits = digits.replace(self.group, "")
        digits = digits.replace(self.point, ".")
        return float(digits) if PLAIN.fullmatch(digits) else None

    def _text(self, value: object) -> str:
        if value is None:
            return self.absent
        if isinstance(value, bool):
            return self.true if value else self.false
        if not isinstance(value, int | float):
            return str(value)
        if self.decimals >= 0:
            whole, point, rest = f"{value:,.{self.decimals}f}".partition(".")
            digits = whole.replace(",", self.group) + (self.point if point else "") + rest
        else:
            number = float(value)
            digits = f"{number:.15g}" if self.decimals == DIGITS else repr(number)
            digits = digits.removesuffix(".0") if self.decimals == WHOLE else digits
            digits = digits.replace(".", self.point)
        return f"{self.before}{digits}{self.after}"

    def _quoted(self, text: str, delimiter: str) -> str:
        quoted = self.quotes == ALWAYS or (self.quotes == FILLED and text != "")
        if quoted or any(mark in text for mark in (delimiter, '"', "\n", "\r")):
            return '"' + text.replace('"', '""') + '"'
        return text


def unquoted(cell: str) -> str:
    """Return the text of a cell."""
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell


def _valid(text: str) -> bool:
    """Return whether a text has UTF-8: bytes that were escaped have not."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def style_of(column: Column, raw: Sequence[str], delimiter: str, usual: CellStyle) -> CellStyle:
    """Return the style in which cells are written; the usual one unless another suits better.

    Parameters
    ----------
    column : Column
    raw : sequence of str
        Cells as they are written.
    delimiter : str
    usual : CellStyle
    """
    some = raw[:: -(-len(raw) // SOME) or 1]
    texts = [unquoted(cell) for cell in some]
    filled = [cell[:1] == '"' for cell, text in zip(some, texts, strict=True) if text]
    quotes = NEEDED
    if 2 * sum(filled) > len(filled) and filled:
        quotes = FILLED if "" in some else ALWAYS
    absent = Counter(text for text in map(unquoted, raw) if text in ("", *MISSING_WORDS))
    word = absent.most_common(1)[0][0] if absent else usual.absent
    base = replace(usual, quotes=quotes, absent=word)
    sort = sort_of(column.type)
    styles: Iterable[CellStyle] = [base]
    if sort == "numbers":
        styles = _numeric(base, texts)
    elif sort == "booleans":
        pairs = zip(TRUE, FALSE, strict=True)
        styles = [replace(base, true=true, false=false) for true, false in pairs]

    def suits(style: CellStyle) -> int:
        written = style.write(style.read(column, some), delimiter)
        return int(np.sum([a == b for a, b in zip(written, some, strict=True)]))

    return max([usual, *styles], key=suits)


def _numeric(base: CellStyle, texts: Sequence[str]) -> list[CellStyle]:
    """Return the styles that numbers may have."""
    found = [match for match in map(NUMBER.fullmatch, texts) if match]
    if not found:
        return [base]
    numbers = [match["number"].rstrip(GROUPS) for match in found]
    gaps = [match["number"][len(n) :] for match, n in zip(found, numbers, strict=True)]
    before = Counter(match["before"] for match in found).most_common(1)[0][0]
    ends = Counter(g + match["after"] for g, match in zip(gaps, found, strict=True))
    styles = []
    for point in ".,":
        decimals = Counter(len(number.partition(point)[2]) for number in numbers)
        groups = [mark for mark in GROUPS if mark != point and any(mark in n for n in numbers)]
        forms = [min(decimals.most_common(1)[0][0], MOST_DECIMALS), WHOLE, SHORTEST, DIGITS]
        for group, form in product(["", *groups], forms):
            style = replace(base, before=before, after=ends.most_common(1)[0][0])
            styles.append(replace(style, group=group, point=point, decimals=form))
    return styles
