"""The tensors that exported programs take and give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]
Arrays = list[Array]

# The index of a missing category.
MISSING = -1


@dataclass(frozen=True)
class Port:
    """A tensor (B, *shape) that a program takes or gives.

    Parameters
    ----------
    name : str
    dtype : torch.dtype
    shape : tuple of int
    categories : tuple of str or None
        Where it holds categories, their names: they are strings where a format has such, else
        their indices (int64), -1 where one is missing, and len(categories) for any other.
    other : str
        What any other category is called in what is restored.
    absent : tuple of str
        The strings that are a missing category.

    Examples
    --------
    >>> port = Port("fruit", torch.int64, categories=("apple", "pear"), absent=("", "?"))
    >>> port.indices(np.array(["pear", "?", "plum"], object))
    array([ 1, -1,  2])
    """

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...] = ()
    categories: tuple[str, ...] | None = None
    other: str = ""
    absent: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return name, shape and type, as they are printed."""
        described = self.to_json()
        type_ = described["dtype"] if self.categories is None else "string or index"
        return f"{self.name} ({', '.join(['batch', *map(str, self.shape)])}) {type_}"

    @property
    def codes(self) -> dict[str, int]:
        """The index of each string that is a category, or a missing one."""
        known = {name: index for index, name in enumerate(self.categories or ())}
        return dict.fromkeys(self.absent, MISSING) | known

    def indices(self, strings: Array) -> Array:
        """Return strings as indices of categories."""
        codes, other = self.codes, len(self.categories or ())
        return np.array([codes.get(string, other) for string in strings], np.int64)

    def strings(self, indices: Array) -> Array:
        """Return indices of categories as strings."""
        return np.array([*(self.categories or ()), self.other], object)[indices]

    def example(self, rows: int) -> Tensor:
        """Return zeros for so many rows."""
        return torch.zeros(rows, *self.shape, dtype=self.dtype)

    def difference(self, found: Array, expected: Array) -> float:
        """Return by how much a program's output differs from the expected one, at most.

        Relative to the largest value, or 1. Integers and booleans may differ by their rounding, up
        to 0.5, from numbers that are not rounded. It is infinite where a category is another one.
        """
        if found.shape != expected.shape:
            return float("inf")
        if self.categories is not None:
            return 0.0 if (found == expected).all() else float("inf")
        distance = np.abs(found.astype(np.float64) - expected)
        distance[np.isnan(found.astype(np.float64)) & np.isnan(expected)] = 0.0
        if not self.dtype.is_floating_point:
            distance = np.maximum(distance - 0.5, 0.0)
        largest = np.max(np.abs(expected), initial=1.0, where=np.isfinite(expected))
        return float(np.max(distance, initial=0.0) / largest)

    def to_json(self) -> dict[str, object]:
        """Return the description as plain JSON data."""
        described: dict[str, object] = {
            "name": self.name,
            "dtype": str(self.dtype).removeprefix("torch."),
            "shape": ["batch", *self.shape],
        }
        if self.categories is not None:
            described["categories"] = list(self.categories)
        return described


@dataclass(frozen=True)
class Block:
    """Ports that are one tensor within a program: one port, or the columns of a matrix of doubles.

    A program of many columns is traced with the matrix: its graph has then a few operations.

    Parameters
    ----------
    ports : tuple of Port
    columns : bool
        Whether each port (B,) is a column of (B, ports), categories as their indices.

    Examples
    --------
    >>> block = Block((Port("age", torch.float64), Port("id", torch.int64)), columns=True)
    >>> matrix = block.joined(torch.tensor([0.5, 2.0]), torch.tensor([7, 8]))
    >>> [column.tolist() for column in block.divided(matrix)]
    [[0.5, 2.0], [7, 8]]
    """

    ports: tuple[Port, ...]
    columns: bool = False

    def joined(self, *given: Tensor) -> Tensor:
        """Return the tensors of the ports as one."""
        if not self.columns:
            return given[0]
        return torch.stack([one.double() for one in given], dim=1)

    def divided(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors of the ports."""
        if not self.columns:
            return (tensor,)
        pairs = zip(tensor.unbind(1), self.ports, strict=True)
        return tuple(column.to(port.dtype) for column, port in pairs)

    def example(self, rows: int) -> Tensor:
        """Return zeros for so many rows."""
        return self.joined(*(port.example(rows) for port in self.ports))


def largest_difference(ports: Sequence[Port], found: Arrays, expected: Arrays) -> float:
    """Return the largest difference of all outputs; see :meth:`Port.difference`."""
    triples = zip(ports, found, expected, strict=True)
    return max(port.difference(one, other) for port, one, other in triples)


def rounded(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return numbers in a dtype: integers rounded and kept in range, booleans true from 0.5.

    Examples
    --------
    >>> rounded(torch.tensor([-3.0, 1.6, 300.0]), torch.uint8)
    tensor([  0,   2, 255], dtype=torch.uint8)
    """
    if dtype == torch.bool:
        return values >= 0.5
    if dtype.is_floating_point:
        return values.to(dtype)
    limits = torch.iinfo(dtype)
    # The largest 64-bit integers have no exact double: stay one double below.
    top = float(np.nextafter(float(limits.max) + 1, 0))
    return values.round().clamp(float(limits.min), min(top, float(limits.max))).to(dtype)
