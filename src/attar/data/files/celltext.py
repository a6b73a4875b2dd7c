"""Columns as the text of CSV cells."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

TEXT = pa.string()


def cell_texts(column: pa.Array) -> pa.Array:
    """Return a column as the cells of a CSV file: text, empty where a value is missing.

    Numbers are the shortest text that stands for them, with ``.0`` where a number of floating
    point is whole. Booleans are ``True`` and ``False``. Dates and times are of ISO 8601 with a
    blank between them. Text is in quotes where it must be.

    Raises
    ------
    TypeError
        If cells have no such text, as bytes and lists.
    """
    type_ = column.type
    if pa.types.is_dictionary(type_):
        texts = cell_texts(column.dictionary).take(column.indices)
    elif pa.types.is_floating(type_):
        texts = _floats(column)
    elif pa.types.is_boolean(type_):
        texts = pc.if_else(column, "True", "False")
    elif pa.types.is_duration(type_):
        texts = pa.array(map(str, column.to_pandas()), TEXT)
        texts = pc.if_else(column.is_null(), None, texts)
    elif pa.types.is_string(type_) or pa.types.is_large_string(type_):
        texts = quoted(column.cast(TEXT))
    elif pa.types.is_primitive(type_) or pa.types.is_decimal(type_) or pa.types.is_null(type_):
        texts = column.cast(TEXT)
    else:
        raise TypeError(f"values of type {type_} have no place in CSV")
    return texts.fill_null("")


def quoted(texts: pa.Array) -> pa.Array:
    """Return texts, in quotes where a comma, a quote or a new line would be misread."""
    special = pc.match_substring_regex(texts, '[",\\r\\n]')
    if not pc.any(special).as_py():
        return texts
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(special, pc.binary_join_element_wise('"', doubled, '"', ""), texts)


def _floats(column: pa.Array) -> pa.Array:
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    texts = pc.replace_substring_regex(column.cast(TEXT), r"^(-?\d+)$", r"\1.0")
    return pc.if_else(pc.is_nan(column), None, texts)
