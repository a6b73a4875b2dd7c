"""Arrow's view types of text, which few of its functions know, become plain ones."""

from __future__ import annotations

import pyarrow as pa

PLAIN = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}


def plain_type(type_: pa.DataType) -> pa.DataType:
    """Return a type without views."""
    if pa.types.is_dictionary(type_):
        return pa.dictionary(type_.index_type, plain_type(type_.value_type), type_.ordered)
    return PLAIN.get(type_, type_)


def plain(column: pa.Array) -> pa.Array:
    """Return a column without views."""
    type_ = plain_type(column.type)
    if type_ == column.type:
        return column
    if pa.types.is_dictionary(type_):
        levels = column.dictionary.cast(type_.value_type)
        return pa.DictionaryArray.from_arrays(column.indices, levels, ordered=type_.ordered)
    return column.cast(type_)
