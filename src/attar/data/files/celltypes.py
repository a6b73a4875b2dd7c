"""What a column of text stands for: numbers, booleans, dates, or text."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "<NA>")
TRUE, FALSE = ("True", "true", "TRUE"), ("False", "false", "FALSE")

# Each type takes all that those before it take.
LADDERS = (
    (pa.int64(), pa.float64()),
    (pa.bool_(),),
    (pa.date32(), pa.timestamp("us"), pa.timestamp("ns")),
    (pa.timestamp("us", "UTC"), pa.timestamp("ns", "UTC")),
)
NUMBER = r"^[ \t]*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?[ \t]*$"
IDENTIFIER = r"^[ \t]*-?0[0-9xX]"

# A column of which more than this share are numbers is one of numbers, with something wrong.
# As a look costs time, the share is that among so many values of each batch.
MOSTLY, LOOK = 0.9, 1000


class CellType:
    """The type of a column of text, from all its values, which come in batches.

    It is the first of these that takes them all: whole numbers (64 bits), numbers (double
    precision), booleans, dates, points in time (of microseconds or nanoseconds, local or UTC),
    text. Whole numbers that begin with a 0 are identifiers: text. Columns without any value are
    of numbers.

    Attributes
    ----------
    gaps : bool
        Whether a value is missing.
    """

    def __init__(self) -> None:
        self.gaps = False
        self._ladder: tuple[pa.DataType, ...] | None = None
        self._values = self._numbers = self._rows = 0
        self._identifiers = False
        self._odd: tuple[str, int] | None = None

    @property
    def type(self) -> pa.DataType:
        """The type."""
        if self._ladder is None:
            return pa.float64()
        return self._ladder[0] if self._ladder else pa.string()

    @property
    def odd(self) -> tuple[str, int] | None:
        """The first value that is no number, and its row, in a column that is mostly of numbers."""
        if self._identifiers or self._numbers <= MOSTLY * self._values:
            return None
        return self._odd

    def add(self, texts: pa.Array) -> None:
        """Look at the next rows: strings, null where a value is missing."""
        known = texts.drop_null()
        self.gaps |= len(known) < len(texts)
        if len(known):
            self._climb(known)
            self._count(known[:LOOK])
            if self._ladder == () and not self._identifiers and self._odd is None:
                self._odd = _first_text(texts, self._rows)
        self._rows += len(texts)

    def _climb(self, known: pa.Array) -> None:
        ladders = LADDERS if self._ladder is None else (self._ladder,)
        climbed = (ladder[i:] for ladder in ladders for i in range(len(ladder)))
        self._ladder = next((ladder for ladder in climbed if _all_are(ladder[0], known)), ())
        if self._is_numeric and _any_match(IDENTIFIER, known):
            self._identifiers, self._ladder = True, ()

    def _count(self, known: pa.Array) -> None:
        self._values += len(known)
        if self._is_numeric:
            self._numbers += len(known)
        elif not self._ladder:
            self._numbers += pc.match_substring_regex(known, NUMBER).true_count
            self._identifiers |= _any_match(IDENTIFIER, known)

    @property
    def _is_numeric(self) -> bool:
        return bool(self._ladder and self._ladder[-1] == pa.float64())


def _all_are(type_: pa.DataType, texts: pa.Array) -> bool:
    if type_ == pa.bool_():
        return bool(pc.all(pc.is_in(texts, value_set=pa.array(TRUE + FALSE))).as_py())
    if pa.types.is_integer(type_) or pa.types.is_floating(type_):
        texts = pc.ascii_trim(texts, " \t")
    try:
        # A cast goes on to the end after it has failed, slowly: few values are tried before all.
        texts[:LOOK].cast(type_)
        texts.cast(type_)
    except pa.ArrowInvalid:
        return False
    return True


def _first_text(texts: pa.Array, start: int) -> tuple[str, int] | None:
    place = pc.match_substring_regex(texts, NUMBER).index(False).as_py()
    return None if place < 0 else (texts[place].as_py(), start + place)


def _any_match(pattern: str, texts: pa.Array) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())
