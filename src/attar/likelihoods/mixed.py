"""Tables of mixed types: one likelihood for each column."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from attar.errors import SettingError
from attar.likelihoods.base import ColumnLikelihood, Likelihood, LikelihoodModule, Shape


@dataclass(frozen=True)
class Mixed(Likelihood, name="mixed"):
    """One likelihood for each column of a table: log p(x) = Σ_j log p_j(x_j).

    Columns are independent given the code, and each has its own trained scale.

    Parameters
    ----------
    columns : tuple of Likelihood
        In the order of the prepared row; each takes ``cells`` of it, together they take all.

    Examples
    --------
    >>> import torch
    >>> from attar.likelihoods import Bernoulli, Categorical, Mixed
    >>> module = Mixed((Bernoulli(), Categorical(4))).build()
    >>> x = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0])
    >>> module.log_prob(torch.zeros(1, 5), x).sum().exp().item()
    0.125

    References
    ----------
    Nazábal, Olmos, Ghahramani and Valera, "Handling incomplete heterogeneous data using VAEs",
    Pattern Recognition 2020.
    """

    columns: tuple[Likelihood, ...] = ()

    def build(self) -> LikelihoodModule:
        """Return the module.

        Raises
        ------
        SettingError
            If a likelihood cannot describe a column, or has a hyperparameter out of range.
        """
        groups: dict[Hashable, list[ColumnLikelihood]] = {}
        cells: dict[Hashable, list[int]] = {}
        start = 0
        for column in self._columns():
            groups.setdefault(column.group, []).append(column)
            cells.setdefault(column.group, []).extend(range(start, start + column.cells))
            start += column.cells
        modules = [type(columns[0]).build_columns(columns) for columns in groups.values()]
        return MixedModule(modules, list(cells.values()))

    def parameters(self, shape: Shape) -> Shape:
        """Return the shape of a row, of which the columns must take every cell."""
        cells = sum(column.cells for column in self._columns())
        if shape != (cells,):
            raise SettingError(
                f"The {len(self.columns)} columns of the likelihood 'mixed' take {cells} prepared "
                f"cells, but the prepared rows have shape {shape}: give a likelihood for each "
                "column."
            )
        return shape

    def _columns(self) -> list[ColumnLikelihood]:
        columns = [column for column in self.columns if isinstance(column, ColumnLikelihood)]
        if len(columns) < len(self.columns):
            wrong = next(c for c in self.columns if not isinstance(c, ColumnLikelihood))
            raise SettingError(
                f"{wrong!r} cannot describe a column of the likelihood 'mixed': it describes a "
                "whole row."
            )
        return columns


class MixedModule(LikelihoodModule):
    """Modules for groups of cells.

    Parameters
    ----------
    groups : sequence of LikelihoodModule
    cells : sequence of lists of int
        Where the cells of each group lie in a row.
    """

    order: Tensor
    inverse: Tensor

    def __init__(self, groups: Sequence[LikelihoodModule], cells: Sequence[list[int]]) -> None:
        super().__init__()
        self.groups = cast(Sequence[LikelihoodModule], nn.ModuleList(groups))
        self.sizes = [len(group) for group in cells]
        # By NumPy: a model is loaded on torch's meta device, where argsort imports a compiler.
        order = np.array([cell for group in cells for cell in group], dtype=np.int64)
        self.register_buffer("order", torch.tensor(order), persistent=False)
        self.register_buffer("inverse", torch.tensor(order.argsort()), persistent=False)

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return the log-density of each cell under its column's likelihood."""
        grouped = zip(self.groups, self._split(parameters), self._split(target), strict=True)
        return self._merge([group.log_prob(a, x) for group, a, x in grouped])

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected value of each cell."""
        grouped = zip(self.groups, self._split(parameters), strict=True)
        return self._merge([group.mean(a) for group, a in grouped])

    def sample(self, parameters: Tensor) -> Tensor:
        """Return a draw of each cell from its column's likelihood."""
        grouped = zip(self.groups, self._split(parameters), strict=True)
        return self._merge([group.sample(a) for group, a in grouped])

    def start(self, target: Tensor) -> Tensor | None:
        """Return those of each column's likelihood, if all have some."""
        found = [group.start(x) for group, x in zip(self.groups, self._split(target), strict=True)]
        known = [start for start in found if start is not None]
        return self._merge(known) if len(known) == len(found) else None

    def _split(self, rows: Tensor) -> tuple[Tensor, ...]:
        return torch.split(rows.gather(-1, self.order.expand_as(rows)), self.sizes, -1)

    def _merge(self, parts: list[Tensor]) -> Tensor:
        rows = torch.cat(parts, -1)
        return rows.gather(-1, self.inverse.expand_as(rows))
