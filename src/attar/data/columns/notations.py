"""Notations of values in text: numbers, dates and times as they are written around the world."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

# Words for a missing value.
MISSING_WORDS = (
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "NaN",
    "nan",
    "NaT",
    "NULL",
    "null",
    "None",
    "<NA>",
    "?",
    "-",
)

TRUE, FALSE = ("True", "true", "TRUE"), ("False", "false", "FALSE")

# A notation is tried on a few values first, then on some, then on all.
FEW, SOME = 8, 1000

# A column of which more than this share are numbers is numeric, and its other values are errors.
# To save time, the share is that among the first values of each batch.
NUMERIC_SHARE = 0.9

# Integers that begin with a 0 are identifiers.
IDENTIFIER = r"^[ \t]*-?0[0-9xX]"


@dataclass(frozen=True, eq=False)
class Notation:
    """How the values of a column are written.

    Parameters
    ----------
    type : pyarrow.DataType
        Of the values.
    pattern : str
        What each text matches; empty where Arrow decides.
    rewrites : tuple of (str, str)
        Regular expressions and what replaces them: the result is a text that Arrow reads.
    convention : str
        ``"."`` or ``","``: the decimal sign; ``"day"`` or ``"month"``: the first of both. Empty
        where a text means the same under either.
    name : str
        How it differs from the usual notation; empty where it does not.
    wider : tuple of Notation
        Others that take all texts that this one takes.
    """

    type: pa.DataType
    pattern: str = ""
    rewrites: tuple[tuple[str, str], ...] = ()
    convention: str = ""
    name: str = ""
    wider: tuple[Notation, ...] = ()

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers."""
        return bool(pa.types.is_integer(self.type) or pa.types.is_floating(self.type))

    def parse(self, texts: pa.Array) -> pa.Array:
        """Return the values of texts.

        Raises
        ------
        ArrowInvalid
            If one cannot be read.
        """
        if self.numeric:
            texts = pc.ascii_trim(texts, " \t")
        for pattern, new in self.rewrites:
            texts = pc.replace_substring_regex(texts, pattern, new)
        if pa.types.is_time(self.type):  # Arrow reads times of day with a date only
            texts = texts.cast(pa.timestamp("us"))
        return texts.cast(self.type)

    def takes(self, texts: pa.Array) -> bool:
        """Return whether all texts are written so."""
        return all(self._takes(part) for part in (texts[:FEW], texts[:SOME], texts))

    def _takes(self, texts: pa.Array) -> bool:
        if self.pattern and not _all_match(self.pattern, texts):
            return False
        if self.numeric and _any_match(IDENTIFIER, texts):
            return False
        try:
            self.parse(texts)
        except pa.ArrowInvalid:
            return False
        return True


def _all_match(pattern: str, texts: pa.Array) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _any_match(pattern: str, texts: pa.Array) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())


# Spaces and apostrophes that group digits; the space before a unit; what numbers have beside them.
SPACES, GAP = r"[ \x{a0}\x{202f}'’]", r"[ \x{a0}\x{202f}]?"
UNITS = ("%", "€", "$", "£", "¥", "₹", "EUR", "USD", "GBP", "CHF")


def _grouped(*separators: str) -> str:
    """Return the pattern of digits that are in groups of three, or not grouped."""
    groups = [rf"[1-9]\d{{0,2}}(?:{separator}\d{{3}})+" for separator in separators]
    return "(?:" + "|".join([r"\d+", *groups]) + ")"


def _with_unit(number: str, unit: str) -> str:
    """Return the pattern of signed numbers with a unit, before or after them."""
    sign, unit = "[-+−]?", re.escape(unit)
    after = rf"{sign}(?:{number}){GAP}{unit}"
    before = rf"{sign}{unit}{GAP}{sign}(?:{number})"
    return rf"^[ \t]*(?:{after}|{before})[ \t]*$"


def _numbers(unit: str) -> tuple[Notation, ...]:
    """Return the notations of numbers with a unit: integers, and others by their decimal sign."""
    name = unit and f"in {unit}"
    plain = ((rf"\+|{re.escape(unit)}" if unit else r"\+", ""), ("−", "-"), (SPACES, ""))
    exponent = "" if unit else r"(?:[eE][-+]?\d+)?"
    local: list[Notation] = []
    for sign, group, points in (
        (r"\.", ",", ((",", ""),)),
        (",", r"\.", ((r"\.", ""), (",", "."))),
    ):
        whole = _grouped(group, SPACES)
        real = rf"(?:{whole}(?:{sign}\d*)?|{sign}\d+){exponent}|inf"
        rewrites = (*plain, *points)
        number = Notation(pa.float64(), _with_unit(real, unit), rewrites, sign[-1], name)
        local += [
            Notation(pa.int64(), _with_unit(whole, unit), rewrites, sign[-1], name, (number,)),
            number,
        ]
    integers = _with_unit(_grouped(SPACES), unit)
    return Notation(pa.int64(), integers, plain, "", name, tuple(local)), *local


def _dates(order: str, date: str, rewrite: tuple[str, str]) -> tuple[Notation, Notation]:
    """Return the notations of dates, and of dates with a time of day."""
    clock = r"(?:[ T]\d{1,2}:\d\d(?::\d\d(?:\.\d{1,6})?)?)?"
    rewrites = (
        (r"^(\d)([./-])", r"0\1\2"),
        (r"^(\d+[./-])(\d)([./-])", r"\10\2\3"),
        (r"^(\d+[./-]\d+[./-])(\d)([ T]|$)", r"\10\2\3"),
        rewrite,
        (r"[ T](\d):", r" 0\1:"),
    )
    convention, name = ("", "") if order == "year" else (order, f"{order} first")
    timed = Notation(pa.timestamp("us"), f"^{date}{clock}$", rewrites, convention, name)
    return Notation(pa.date32(), f"^{date}$", rewrites, convention, name, (timed,)), timed


def _usual(*types: pa.DataType) -> tuple[Notation, ...]:
    """Return the notations that Arrow has for types, each of which holds those before it."""
    notations: tuple[Notation, ...] = ()
    for type_ in reversed(types):
        notations = (Notation(type_, wider=notations), *notations)
    return notations


TEXT = Notation(pa.string())
_GROUPED = _numbers("")
REAL = Notation(pa.float64(), convention=".", wider=(_GROUPED[2],))
# Integers of more than 64 bits are identifiers: text.
LONG = Notation(
    pa.string(),
    r"^[ \t]*[-+]?(?:0|[1-9]\d*)[ \t]*$",
    wider=(REAL, _GROUPED[2], _GROUPED[4]),
)
INTEGER = Notation(pa.int64(), wider=(LONG, REAL, *_GROUPED))
_CLOCK = ((r"^(\d):", r"0\1:"), ("^", "1970-01-01 "))

# All that are tried, in this order. The first that takes all values of a column is its own.
NOTATIONS = (
    INTEGER,
    LONG,
    REAL,
    *_GROUPED,
    *(notation for unit in UNITS for notation in _numbers(unit)),
    Notation(pa.bool_(), f"^(?:{'|'.join(TRUE + FALSE)})$"),
    *_usual(pa.date32(), pa.timestamp("us"), pa.timestamp("ns")),
    *_usual(pa.timestamp("us", "UTC"), pa.timestamp("ns", "UTC")),
    *_dates("year", r"\d{4}[./]\d{1,2}[./]\d{1,2}", (r"^(\d+).(\d+).(\d+)", r"\1-\2-\3")),
    *_dates("day", r"\d{1,2}[./-]\d{1,2}[./-]\d{4}", (r"^(\d+).(\d+).(\d+)", r"\3-\2-\1")),
    *_dates("month", r"\d{1,2}[/-]\d{1,2}[/-]\d{4}", (r"^(\d+).(\d+).(\d+)", r"\3-\1-\2")),
    Notation(pa.time32("s"), r"^\d{1,2}:\d\d(?::\d\d)?$", _CLOCK),
    Notation(pa.time64("us"), r"^\d{1,2}:\d\d(?::\d\d(?:\.\d{1,6})?)?$", _CLOCK),
)
# Conventions that exclude each other: first that of most files with commas between cells.
RIVALS = ((".", ","), ("month", "day"))


class ColumnNotation:
    """The notation of a column, inferred from all its values, which come in batches.

    It is the first of :data:`NOTATIONS` that takes them all, else text. Columns without values are
    floating point.

    Parameters
    ----------
    decimal : str or None
        The decimal sign, where it is known.

    Attributes
    ----------
    missing : bool
        Whether a value is missing.
    """

    def __init__(self, decimal: str | None = None) -> None:
        self.missing = False
        self._open = NOTATIONS
        if decimal is not None:
            self.settle(decimal)
        self._values = self._numbers = self._rows = 0
        self._identifiers = False
        self._first_text: tuple[str, int] | None = None
        self._example = ""

    @property
    def chosen(self) -> Notation:
        """The notation."""
        if not self._values:
            return REAL
        return self._open[0] if self._open else TEXT

    @property
    def type(self) -> pa.DataType:
        """The type."""
        return self.chosen.type

    @property
    def example(self) -> str:
        """The first value."""
        return self._example

    @property
    def conventions(self) -> set[str]:
        """The conventions under which the values can be read, where they differ."""
        if not self._values or not self.chosen.convention:
            return set()
        return {notation.convention for notation in self._open if notation.convention}

    @property
    def invalid(self) -> tuple[str, int] | None:
        """The first value that is no number, and its row, in a column that is mostly numeric."""
        if self._open or self._identifiers or self._numbers <= NUMERIC_SHARE * self._values:
            return None
        return self._first_text

    def settle(self, convention: str) -> None:
        """Leave out the notations of the rival of a convention."""
        rivals = next(set(pair) - {convention} for pair in RIVALS if convention in pair)
        self._open = tuple(n for n in self._open if n.convention not in rivals)

    def add(self, texts: pa.Array) -> None:
        """Update the notation by the next rows: strings, null where a value is missing."""
        values = texts.drop_null()
        self.missing |= len(values) < len(texts)
        if len(values):
            self._example = self._example or values[0].as_py()
            taking: set[Notation] = set()
            for notation in self._open:
                if notation in taking or notation.takes(values):
                    taking.update((notation, *notation.wider))
            self._open = tuple(n for n in self._open if n in taking)
            self._count(values[:SOME])
            if not self._open and not self._identifiers:
                self._identifiers = _any_match(IDENTIFIER, values)
                self._first_text = self._first_text or _first_text(texts, self._rows)
        self._rows += len(texts)

    def _count(self, values: pa.Array) -> None:
        self._values += len(values)
        if not self._open:
            self._numbers += pc.match_substring_regex(values, NUMBER).true_count
        elif any(notation.numeric for notation in self._open):
            self._numbers += len(values)


# A number in any of the notations.
NUMBER = "|".join(n.pattern for n in NOTATIONS if n.pattern and n.type == pa.float64())


def _first_text(texts: pa.Array, start: int) -> tuple[str, int] | None:
    place = pc.match_substring_regex(texts, NUMBER).index(False).as_py()
    return None if place < 0 else (texts[place].as_py(), start + place)
