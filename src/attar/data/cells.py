"""Cells: what a raw row consists of, and how each becomes features that a network sees."""

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
    """One number of a raw row, and the features that stand for it.

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
    """A real number: one feature."""

    scaled = True

    @property
    def features(self) -> list[str]:
        """The name of the cell."""
        return [self.name]


@dataclass(frozen=True)
class Integer(Number):
    """An integer, such as a count: one feature, scaled like any number."""


@dataclass(frozen=True)
class Boolean(Cell):
    """0 or 1: one feature."""

    @property
    def features(self) -> list[str]:
        """The name of the cell."""
        return [self.name]


@dataclass(frozen=True)
class Category(Cell):
    """The number of one of several levels: a feature each, 1 at the level and 0 elsewhere.

    A raw -1 is a level never seen: 0 everywhere, and observed.

    Attributes
    ----------
    levels : tuple of str
    """

    levels: tuple[str, ...]

    @property
    def features(self) -> list[str]:
        """name=level."""
        return [f"{self.name}={level}" for level in self.levels]


@dataclass(frozen=True)
class Phase(Cell):
    """A turn t in [0, 1) of something that repeats: two features, cos 2πt and sin 2πt.

    Attributes
    ----------
    period : str
        What it is a turn of: ``"day"``, ``"week"``, ``"year"``.
    """

    period: str

    @property
    def features(self) -> list[str]:
        """Name (period, cos) and name (period, sin)."""
        return [f"{self.name} ({self.period}, {axis})" for axis in ("cos", "sin")]


@dataclass(frozen=True)
class Expansion:
    """How rows of cells become rows of features, and come back.

    Parameters
    ----------
    cells : sequence of Cell
    """

    cells: Sequence[Cell]
    _plans: dict[torch.device, _Plan] = field(
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
        return all(isinstance(cell, Number) for cell in self.cells)

    def expand(self, cells: Tensor) -> Tensor:
        """Return rows of cells (B, cells) as rows of features (B, width), NaN where missing.

        No copy is made where each cell is one feature.
        """
        if self.width == len(self.cells):
            return cells
        plan = self._plan(cells.device)
        features = cells[:, plan.cell]
        if len(plan.levels):
            index = features[:, plan.levels]
            hit = (index == plan.level).to(cells.dtype)
            features[:, plan.levels] = torch.where(index.isnan(), index, hit)
        if len(plan.cosines):
            angle = features[:, plan.cosines] * tau
            features[:, plan.cosines], features[:, plan.sines] = angle.cos(), angle.sin()
        return features

    def collapse(self, features: Tensor) -> Tensor:
        """Return rows of features (B, width) as rows of cells (B, cells): the most likely ones.

        A level is that of the largest feature, a flag is 1 from 0.5, a phase is the angle of its
        two features. A cell is NaN where one of its features is. No copy is made where all cells
        are numbers.
        """
        if self.plain:
            return features
        plan = self._plan(features.device)
        cells = features[:, plan.first]
        if len(plan.flags):
            flags = cells[:, plan.flags]
            hit = (flags >= 0.5).to(features.dtype)
            cells[:, plan.flags] = torch.where(flags.isnan(), flags, hit)
        if len(plan.levels):
            cells[:, plan.level_cells] = _largest(features[:, plan.levels], plan)
        if len(plan.cosines):
            turn = torch.atan2(features[:, plan.sines], features[:, plan.cosines]) / tau
            # The second remainder takes to 0 what the first one rounded to 1.
            cells[:, plan.phase_cells] = turn.remainder(1).remainder(1)
        return cells

    def _plan(self, device: torch.device) -> _Plan:
        if device not in self._plans:
            self._plans[device] = _Plan(self, device)
        return self._plans[device]


class _Plan:
    """The indices of cells and features, on a device.

    Attributes
    ----------
    cell : Tensor (width,)
        The cell of each feature.
    first : Tensor (cells,)
        The first feature of each cell.
    flags : Tensor
        The cells that are flags.
    levels, level, segment : Tensor
        The features that are levels, their number among the levels of their cell, and the number
        of that cell among the cells with levels.
    level_cells : Tensor
        The cells with levels.
    cosines, sines, phase_cells : Tensor
        The features and the cells of phases.
    """

    def __init__(self, expansion: Expansion, device: torch.device) -> None:
        cells, segments = expansion.cells, expansion.segments

        def index(places: list[int]) -> Tensor:
            return torch.tensor(places, dtype=torch.long, device=device)

        def of(kind: type[Cell]) -> list[int]:
            return [i for i, cell in enumerate(cells) if isinstance(cell, kind)]

        leveled, phases = of(Category), of(Phase)
        spans = [range(s.start, s.stop) for s in segments]
        self.cell = index([i for i, span in enumerate(spans) for _ in span])
        self.first = index([span.start for span in spans])
        self.flags = index(of(Boolean))
        self.levels = index([feature for i in leveled for feature in spans[i]])
        self.level = index([number for i in leveled for number in range(len(spans[i]))])
        self.segment = index([number for number, i in enumerate(leveled) for _ in spans[i]])
        self.level_cells, self.phase_cells = index(leveled), index(phases)
        self.cosines = index([spans[i][0] for i in phases])
        self.sines = index([spans[i][1] for i in phases])


def _largest(features: Tensor, plan: _Plan) -> Tensor:
    """Return the number of the first largest feature of each segment (B, L); NaN where one is."""
    shape = (len(features), len(plan.level_cells))
    segment = plan.segment.expand_as(features)
    top = features.new_full(shape, -torch.inf).scatter_reduce(1, segment, features, "amax")
    hit = features == top[:, plan.segment]
    number = torch.where(hit, plan.level.to(features.dtype), torch.inf)
    first = features.new_full(shape, torch.inf).scatter_reduce(1, segment, number, "amin")
    return torch.where(top.isnan(), top, first)
