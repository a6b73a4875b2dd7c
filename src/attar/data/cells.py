"""Cells: the values of a raw row, and the features that encode each for a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import tau

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cell(ABC):
    """One value of a raw row, and the features that encode it.

    Attributes
    ----------
    name : str
    scaled : bool
        Whether it has a unit, so that it is scaled before a network sees it.
    """

    name: str

    scaled = False

    @property
    @abstractmethod
    def features(self) -> list[str]:
        """A name for each feature."""


@dataclass(frozen=True)
class Number(Cell):
    """A real number or an integer: one feature.

    Attributes
    ----------
    integer : bool
        Whether it is an integer, such as a count.
    """

    integer: bool = False

    scaled = True

    @property
    def features(self) -> list[str]:
        """The name of the cell."""
        return [self.name]


@dataclass(frozen=True)
class Boolean(Cell):
    """0 or 1: one feature."""

    @property
    def features(self) -> list[str]:
        """The name of the cell."""
        return [self.name]


@dataclass(frozen=True)
class Category(Cell):
    """The index of one of several categories, one-hot encoded: a feature for each category.

    A raw -1 is a category that the fit did not see: 0 everywhere, and observed.

    Attributes
    ----------
    categories : tuple of str
    """

    categories: tuple[str, ...]

    @property
    def features(self) -> list[str]:
        """name=category."""
        return [f"{self.name}={category}" for category in self.categories]


@dataclass(frozen=True)
class Phase(Cell):
    """A phase t in [0, 1) of a period: two features, cos 2πt and sin 2πt.

    Attributes
    ----------
    period : str
        ``"day"``, ``"week"`` or ``"year"``.
    """

    period: str

    @property
    def features(self) -> list[str]:
        """Name (period, cos) and name (period, sin)."""
        return [f"{self.name} ({self.period}, {axis})" for axis in ("cos", "sin")]


@dataclass(frozen=True)
class Component(Cell):
    """One component of a vector that encodes a text: one feature.

    Attributes
    ----------
    number, size : int
        Its place in the vector, and how many components there are; their variances add up to 1.
    """

    number: int
    size: int

    @property
    def features(self) -> list[str]:
        """Name (number)."""
        return [f"{self.name} ({self.number})"]


@dataclass(frozen=True)
class Expansion:
    """How rows of cells become rows of features, and back.

    Parameters
    ----------
    cells : sequence of Cell
    """

    cells: Sequence[Cell]
    _indices: dict[torch.device, _Indices] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def feature_names(self) -> list[str]:
        """The names of all features."""
        return [name for cell in self.cells for name in cell.features]

    @property
    def width(self) -> int:
        """How many features there are."""
        return len(self.feature_names)

    @cached_property
    def segments(self) -> list[slice]:
        """Where the features of each cell lie."""
        slices, start = [], 0
        for cell in self.cells:
            slices.append(slice(start, start + len(cell.features)))
            start = slices[-1].stop
        return slices

    @cached_property
    def plain(self) -> bool:
        """Whether features are the cells as they are."""
        return all(cell.scaled for cell in self.cells)

    def expand(self, cells: Tensor) -> Tensor:
        """Return rows of cells (B, cells) as rows of features (B, width), NaN where missing.

        No copy is made where each cell is one feature.
        """
        if self.width == len(self.cells):
            return cells
        at = self._at(cells.device)
        features = cells[:, at.cell]
        if len(at.one_hot):
            index = features[:, at.one_hot]
            hit = (index == at.category).to(cells.dtype)
            features[:, at.one_hot] = torch.where(index.isnan(), index, hit)
        if len(at.cosines):
            angle = features[:, at.cosines] * tau
            features[:, at.cosines], features[:, at.sines] = angle.cos(), angle.sin()
        return features

    def collapse(self, features: Tensor) -> Tensor:
        """Return rows of features (B, width) as rows of cells (B, cells): the most likely ones.

        A category is that of the largest feature, a boolean is 1 from 0.5, a phase is the angle of
        its two features. A cell is NaN where one of its features is. No copy is made where all
        cells are numbers.
        """
        if self.plain:
            return features
        at = self._at(features.device)
        cells = features[:, at.first]
        if len(at.booleans):
            values = cells[:, at.booleans]
            hit = (values >= 0.5).to(features.dtype)
            cells[:, at.booleans] = torch.where(values.isnan(), values, hit)
        if len(at.one_hot):
            cells[:, at.category_cells] = _largest(features[:, at.one_hot], at)
        if len(at.cosines):
            phase = torch.atan2(features[:, at.sines], features[:, at.cosines]) / tau
            # The second remainder takes to 0 what the first one rounded to 1.
            cells[:, at.phase_cells] = phase.remainder(1).remainder(1)
        return cells

    def _at(self, device: torch.device) -> _Indices:
        if device not in self._indices:
            self._indices[device] = _Indices(self, device)
        return self._indices[device]


class _Indices:
    """The indices of cells and features, on a device.

    Attributes
    ----------
    cell : Tensor (width,)
        The cell of each feature.
    first : Tensor (cells,)
        The first feature of each cell.
    booleans : Tensor
        The cells that are booleans.
    one_hot, category, segment : Tensor
        The features that are one-hot encoded, the index of each one's category, and the index of
        its cell among the categorical cells.
    category_cells : Tensor
        The categorical cells.
    cosines, sines, phase_cells : Tensor
        The features and the cells of phases.
    """

    def __init__(self, expansion: Expansion, device: torch.device) -> None:
        cells, segments = expansion.cells, expansion.segments

        def index(places: list[int]) -> Tensor:
            return torch.tensor(places, dtype=torch.long, device=device)

        def of(type_: type[Cell]) -> list[int]:
            return [i for i, cell in enumerate(cells) if isinstance(cell, type_)]

        categorical, phases = of(Category), of(Phase)
        spans = [range(s.start, s.stop) for s in segments]
        self.cell = index([i for i, span in enumerate(spans) for _ in span])
        self.first = index([span.start for span in spans])
        self.booleans = index(of(Boolean))
        self.one_hot = index([feature for i in categorical for feature in spans[i]])
        self.category = index([number for i in categorical for number in range(len(spans[i]))])
        self.segment = index([number for number, i in enumerate(categorical) for _ in spans[i]])
        self.category_cells, self.phase_cells = index(categorical), index(phases)
        self.cosines = index([spans[i][0] for i in phases])
        self.sines = index([spans[i][1] for i in phases])


def _largest(features: Tensor, at: _Indices) -> Tensor:
    """Return the category of the first largest feature of each cell (B, L); NaN where one is."""
    shape = (features.shape[0], len(at.category_cells))
    segment = at.segment.expand_as(features)
    top = features.new_full(shape, -torch.inf).scatter_reduce(1, segment, features, "amax")
    hit = features == top[:, at.segment]
    number = torch.where(hit, at.category.to(features.dtype), torch.inf)
    first = features.new_full(shape, torch.inf).scatter_reduce(1, segment, number, "amin")
    return torch.where(top.isnan(), top, first)
