"""One form for arrays: whatever holds one comes out as NumPy's own, in native byte order."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attar.data.kind import Rows

T = TypeVar("T")


def native(data: T) -> T | Rows:
    """Return data with its arrays in a form that torch and Arrow take; anything else as it is.

    Tensors are detached and copied from their device. Masked cells become NaN, and integers with
    masked cells double precision. Byte order becomes the machine's, ``longdouble`` double
    precision, and strides positive.

    Parameters
    ----------
    data : array, tensor, DataFrame, or anything else

    Examples
    --------
    >>> native(np.ma.masked_equal([1, -9, 3], -9))
    array([ 1., nan,  3.])
    >>> native(np.array([1, 2], ">i2")).dtype.isnative
    True
    >>> native(torch.ones(2, dtype=torch.bfloat16, requires_grad=True))
    array([1., 1.], dtype=float32)
    """
    if isinstance(data, Tensor):
        return (data.float() if data.dtype == torch.bfloat16 else data).numpy(force=True)
    if isinstance(data, np.ndarray):
        return native_array(data)
    if isinstance(data, pd.DataFrame):
        foreign = _foreign(data)
        return data.astype(foreign) if foreign else data
    return data


def native_array(array: Rows) -> Rows:
    """Return an array in native byte order, with NaN in place of masked cells."""
    if isinstance(array, np.ma.MaskedArray):
        array = _unmasked(array)
    if array.dtype == object and array.ndim == 1 and _stackable(array):
        array = np.stack(list(array))
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    # A reversed axis of length 1 counts as contiguous.
    return array.copy() if any(stride < 0 for stride in array.strides) else array


def _stackable(array: Rows) -> bool:
    """Return whether all objects are arrays of one shape, such as images."""
    shapes = {item.shape if isinstance(item, np.ndarray) else None for item in array}
    return len(shapes) == 1 and None not in shapes and () not in shapes


def _unmasked(array: Rows) -> Rows:
    values, mask = np.ma.getdata(array), np.ma.getmaskarray(array)
    if not mask.any():
        return values
    if values.dtype.kind in "biu":
        values = values.astype(np.float64)
    if values.dtype.kind != "f":
        values = values.astype(object)
    masked = values.copy()
    masked[mask] = np.nan if values.dtype.kind == "f" else None
    return masked


def _foreign(frame: pd.DataFrame) -> dict[Hashable, np.dtype[Any]]:
    """Return the dtypes that the columns of other byte orders and precisions must get."""
    found: dict[Hashable, np.dtype[Any]] = {}
    for name, dtype in frame.dtypes.items():
        if isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize > 8:
            found[name] = np.dtype(np.float64)
        elif isinstance(dtype, np.dtype) and not dtype.isnative:
            found[name] = dtype.newbyteorder("=")
    return found
