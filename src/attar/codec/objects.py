"""Objects of Python as texts that differ where value or type differ, and back."""

from __future__ import annotations

import base64
import datetime as dt
import json
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from attar.codec.literals import damaged, refusing
from attar.errors import DataError

# A text that begins with this stands for something else than itself.
MARK = "\0"


def text_of(value: object) -> str:
    r"""Return the text that stands for an object: a text for itself.

    Raises
    ------
    DataError
        If it is of a type that has no text.

    Examples
    --------
    >>> [text_of(x) for x in ("a", 1, True, None)]
    ['a', '\x00i1', '\x00b1', '\x00n']
    >>> object_of(text_of(2**80)) == 2**80
    True
    """
    kind = type(value)
    if isinstance(value, str) and kind is str:
        return f"{MARK}s{value}" if value.startswith(MARK) else value
    for tag, (type_, write, _) in SORTS.items():
        if kind is type_:
            return f"{MARK}{tag}{write(value)}"
    if isinstance(value, np.generic) and value.dtype.kind in "biufcmMSU":
        return f"{MARK}x{value.dtype.str} {value.tobytes().hex()}"
    raise DataError(
        f"A cell holds an object of the type {kind.__name__}, which can't be compressed without "
        "loss: make it text or a number."
    )


def object_of(text: str) -> Any:
    """Return the object that a text stands for.

    Raises
    ------
    FileError
        If it stands for none.
    """
    if not text.startswith(MARK):
        return text
    tag, rest = text[1:2], text[2:]
    with refusing():
        if tag == "x":
            dtype, _, digits = rest.partition(" ")
            if np.dtype(dtype).kind not in "biufcmMSU":
                raise damaged()
            return np.frombuffer(bytes.fromhex(digits), np.dtype(dtype))[0]
        return SORTS[tag][2](rest)


def _hex(value: float) -> str:
    return struct.pack(">d", value).hex()


def _double(text: str) -> float:
    value: float = struct.unpack(">d", bytes.fromhex(text))[0]
    return value


def _zone(value: dt.datetime | dt.time) -> str:
    zone = value.tzinfo
    if zone is None:
        return ""
    if isinstance(zone, ZoneInfo) and zone.key:
        return f"{zone.key}"
    if type(zone) is dt.timezone and zone.tzname(None).startswith("UTC"):
        return f"+{zone.utcoffset(None) // dt.timedelta(microseconds=1)}"
    raise DataError(
        f"A cell holds a time in the zone {zone!r}, which can't be compressed without loss: use "
        "a zone of zoneinfo."
    )


def _zone_of(text: str) -> dt.tzinfo | None:
    if not text:
        return None
    if not text.startswith("+"):
        return ZoneInfo(text)
    offset = dt.timedelta(microseconds=int(text[1:]))
    return dt.UTC if not offset else dt.timezone(offset)


def _time(value: Any) -> str:
    return f"{value.replace(tzinfo=None, fold=0).isoformat()} {value.fold} {_zone(value)}"


def _time_of(type_: Any) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        clock, fold, zone = text.split(" ", 2)
        return type_.fromisoformat(clock).replace(fold=int(fold), tzinfo=_zone_of(zone))

    return read


def _stamp(value: pd.Timestamp) -> str:
    return f"{value.asm8.view('i8')} {value.unit} {_zone(value)}"


def _stamp_of(text: str) -> pd.Timestamp:
    ticks, unit, zone = text.split(" ", 2)
    time: Any = np.array(int(ticks)).view(f"M8[{unit}]")[()]
    stamp = pd.Timestamp(time)
    return stamp.tz_localize("UTC").tz_convert(_zone_of(zone)) if zone else stamp


def _span_of(text: str) -> pd.Timedelta:
    ticks, unit = text.split(" ")
    span: Any = np.array(int(ticks)).view(f"m8[{unit}]")[()]
    return pd.Timedelta(span)


def _listed(values: Any) -> str:
    return json.dumps([text_of(value) for value in values])


def _list_of(text: str) -> list[Any]:
    return [object_of(item) for item in json.loads(text)]


def _pairs(values: dict[Any, Any]) -> str:
    return _listed([part for pair in values.items() for part in pair])


def _dict_of(text: str) -> dict[Any, Any]:
    parts = _list_of(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))


# By a letter: a type, how its objects are written, and how they are read again.
SORTS: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "i": (int, str, int),
    "b": (bool, lambda value: str(int(value)), lambda text: bool(int(text))),
    "f": (float, _hex, _double),
    "n": (type(None), lambda value: "", lambda text: None),
    "a": (type(pd.NA), lambda value: "", lambda text: pd.NA),
    "t": (type(pd.NaT), lambda value: "", lambda text: pd.NaT),
    "s": (str, str, str),
    "B": (
        bytes,
        lambda value: base64.b64encode(value).decode(),
        lambda text: base64.b64decode(text),
    ),
    "d": (dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "D": (dt.datetime, _time, _time_of(dt.datetime)),
    "T": (dt.time, _time, _time_of(dt.time)),
    "l": (
        dt.timedelta,
        lambda value: f"{value // dt.timedelta(microseconds=1)}",
        lambda text: dt.timedelta(microseconds=int(text)),
    ),
    "c": (Decimal, str, Decimal),
    "S": (pd.Timestamp, _stamp, _stamp_of),
    "E": (
        pd.Timedelta,
        lambda value: f"{value.asm8.view('i8')} {value.unit}",
        _span_of,
    ),
    "L": (list, _listed, _list_of),
    "U": (tuple, _listed, lambda text: tuple(_list_of(text))),
    "O": (dict, _pairs, _dict_of),
}
