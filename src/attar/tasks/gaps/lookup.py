"""Lookup: a cell's value by rows that are alike, each column with a measure of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from attar.tasks.gaps.filled import Filled

# What counts of an estimated cell at first; at which distance of random rows others are alike.
TRUST, REACH = 0.3, 0.08

# Steps of a fit, for so many columns and cells of each, which are looked up in so many rows.
STEPS, COLUMNS, CELLS, KEYS, RATE = 80, 16, 32, 4096, 0.1

# Cells by which each of so many stages of a column is judged; how much flatter weights are that are
# alike.
TESTS, CHOICES, FLAT = 512, 6, 5.0

# So many rows are compared with all others at once. A probability is no less than this, and an
# exponent no larger.
AT_ONCE, LEAST, EXPONENT = 64, 1e-3, 40.0


@dataclass(frozen=True)
class Known:
    """Values of rows that cells are looked up in, and what other models expect of them.

    Attributes
    ----------
    rows : Filled
    values : Tensor (n, features)
    expected : Tensor (models, n, features)
    """

    rows: Filled
    values: Tensor
    expected: Tensor


@dataclass(frozen=True)
class Lookup:
    """Values of cells as weighted means of those of other rows, whose weights are learned.

    Column j of a row x is sum_b s_jb b(x) + sum_k w_k (y_k - sum_b s_jb b(k)): what other models b
    expect, each with a share s, and what they leave in rows k. The weight w_k is
    softmax(-d_j(x, k)), where d_j sums over columns i the squared distance times a_ji, times t_ji
    if one of both cells is an estimate, and adds a_ji c_ji if that of k is. All of a, t, c and s
    are learned on hidden cells. Where values are missing because of what they are, w_k is also
    proportional to exp(b_j times what models leave in row k), or probabilities to exp(b_j).

    Attributes
    ----------
    reach, trust, caution : Tensor (columns, columns)
        log a; the logit of t; log c.
    shares : Tensor (columns, models)
        s.
    tilts : Tensor (features,)
        b, for the first feature of numbers; 0 at first.
    numeric : tuple of bool
        Whether a column holds numbers, else probabilities.
    """

    reach: Tensor
    trust: Tensor
    caution: Tensor
    shares: Tensor
    tilts: Tensor
    numeric: tuple[bool, ...]

    @classmethod
    def start(cls, rows: Filled, models: int, numeric: tuple[bool, ...]) -> Self:
        """Return a lookup of which nothing is learned yet."""
        columns, some = len(numeric), rows.features[:KEYS]
        spread = 2 * some.var(0, correction=0)
        distance = spread.new_zeros(columns).index_add_(0, rows.column, spread)
        reach = -(distance.clamp_min(1e-9) * columns * REACH).log()
        square = columns, columns
        return cls(
            reach.repeat(columns, 1).fill_diagonal_(-20.0),
            torch.full(square, TRUST).logit(),
            torch.full(square, -3.0),
            torch.full((columns, models), 0.5 / models),
            torch.zeros(rows.features.shape[1]),
            numeric,
        )

    def fitted(
        self,
        rows: Filled,
        own: Tensor,
        held: Tensor,
        values: Tensor,
        expected: Tensor,
        keys: Known,
        seed: int,
    ) -> Lookup:
        """Return the lookup that brings back hidden cells best.

        Parameters
        ----------
        rows : Filled
            Where hidden cells pass for missing.
        own : Tensor (n,)
            Which of the keys each row is, where nothing is hidden.
        held : bool Tensor (n,)
            Rows that choose when each column has learned enough.
        values : Tensor (n, features)
            NaN where a cell was missing before any was hidden.
        expected : Tensor (models, n, features)
            By other models that were not fitted on these rows.
        keys : Known
        seed : int
        """
        generator = torch.Generator().manual_seed(seed)
        first = torch.stack([values[:, at.start] for at in rows.segments], 1)
        hidden = ~first.isnan() & (rows.known == 0)
        cells = [torch.nonzero(of & ~held)[:, 0] for of in hidden.T]
        tests = [torch.nonzero(of & held)[:TESTS, 0] for of in hidden.T]
        both = zip(cells, tests, strict=True)
        able = torch.tensor([j for j, (a, b) in enumerate(both) if len(a) and len(b)])
        learned = {name: getattr(self, name).clone().requires_grad_() for name in _LEARNED}
        found, best = replace(self, **learned), _Best(self)
        steps = min(STEPS, len(keys.rows) // 2) * -(-len(able) // COLUMNS)
        optimizer = torch.optim.Adam(list(learned.values()), lr=RATE)
        some = torch.randperm(len(keys.rows), generator=generator)[:KEYS]

        def loss(lookup: Lookup, j: int, row: Tensor) -> Tensor:
            at, near = rows.segments[j], some[keys.rows.known[some, j] > 0]
            measured, itself = lookup._measured(j, keys, near), own[row][:, None] == near
            mean, _ = lookup._mean(j, rows.at(row), expected[:, row, at], measured, itself)
            return _loss(mean, values[row, at], self.numeric[j])

        for simple in self._simple():
            best.add(simple, able, lambda lookup, j: loss(lookup, j, tests[j]))
        for step in range(steps):
            if step % (steps // CHOICES + 1) == 0:
                best.add(found, able, lambda lookup, j: loss(lookup, j, tests[j]))
            some = torch.randperm(len(keys.rows), generator=generator)[:KEYS]
            losses = []
            for j in able[torch.randperm(len(able), generator=generator)[:COLUMNS]].tolist():
                row = cells[j][torch.randint(len(cells[j]), (CELLS,), generator=generator)]
                own_loss = loss(found, j, row)
                losses.append(own_loss / own_loss.detach().clamp_min(1e-12))
            optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps)
            optimizer.zero_grad()
            torch.autograd.backward(torch.stack(losses).sum())
            optimizer.step()
        best.add(found, able, lambda lookup, j: loss(lookup, j, tests[j]))
        return best.lookup

    def _simple(self) -> list[Lookup]:
        """Return lookups of which nothing is learned: means, and what other models expect."""
        flat, models = self.reach - FLAT, self.shares.shape[1]
        means = replace(self, reach=flat, shares=torch.zeros_like(self.shares))
        return [means, replace(means, shares=torch.full_like(self.shares, 1 / models))]

    @torch.no_grad()
    def __call__(
        self,
        rows: Filled,
        expected: Tensor,
        keys: Known,
        own: Tensor | None = None,
        most: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return values of missing cells and their deviations: both (n, features), else 0.

        Parameters
        ----------
        rows : Filled
        expected : Tensor (models, n, features)
        keys : Known
        own : Tensor (n,) or None
            Which of the keys each row is, that it is not looked up in.
        most : int or None
            So many of the keys are enough.
        """
        mean, deviation = torch.zeros_like(rows.features), torch.zeros_like(rows.features)
        for j, at in enumerate(rows.segments):
            near = torch.nonzero(keys.rows.known[:most, j])[:, 0]
            measured = self._measured(j, keys, near)
            for row in torch.split(torch.nonzero(rows.known[:, j] == 0)[:, 0], AT_ONCE):
                itself = None if own is None else own[row][:, None] == near
                mean[row, at], deviation[row, at] = self._mean(
                    j, rows.at(row), expected[:, row, at], measured, itself
                )
        return mean, deviation

    @torch.no_grad()
    def values(self, j: int, rows: Filled, keys: Known, own: Tensor) -> Tensor:
        """Return what is expected of column j in some of the keys: (n, width)."""
        parts, at = [], rows.segments[j]
        near = torch.nonzero(keys.rows.known[:, j])[:, 0]
        measured = self._measured(j, keys, near)
        for row in torch.split(torch.arange(len(rows)), AT_ONCE):
            itself, expected = own[row][:, None] == near, keys.expected[:, own[row], at]
            parts.append(self._mean(j, rows.at(row), expected, measured, itself)[0])
        return torch.cat(parts)

    @torch.no_grad()
    def log_moments(self, j: int, rows: Filled, keys: Known, own: Tensor, tilts: Tensor) -> Tensor:
        """Return log E[exp(b x)] of numbers x of column j in some of the keys: (n, tilts)."""
        parts, at = [], rows.segments[j].start
        near = torch.nonzero(keys.rows.known[:, j])[:, 0]
        measured, rest = self._measured(j, keys, near)
        moments = (rest[:, :1] * tilts).clamp(-EXPONENT, EXPONENT).exp()
        for row in torch.split(torch.arange(len(rows)), AT_ONCE):
            alike = self.weights(j, rows.at(row), measured, own[row][:, None] == near)
            expected = self.shares[j] @ keys.expected[:, own[row], at]
            parts.append(expected[:, None] * tilts + (alike @ moments).log())
        return torch.cat(parts)

    def weights(self, j: int, rows: Filled, near: Tensor, itself: Tensor | None = None) -> Tensor:
        """Return the weights of measured rows for column j: (n, keys), each row of sum 1."""
        sure = self._sure(j, rows) * self.reach[j].exp()
        x = rows.features * sure.index_select(1, rows.column)
        distance = torch.cat([sure * rows.squares, x, sure, sure], 1) @ near.T
        if itself is not None:
            distance = distance.masked_fill(itself, 1e9)
        return torch.softmax(-distance, 1)

    def measure(self, j: int, keys: Filled) -> Tensor:
        """Return rows as :meth:`weights` compares them for column j."""
        sure = self._sure(j, keys)
        y = -2 * keys.features * sure.index_select(1, keys.column)
        doubt = (1 - keys.known) * self.caution[j].exp()
        return torch.cat([sure, y, sure * keys.squares, doubt], 1)

    def _sure(self, j: int, rows: Filled) -> Tensor:
        return rows.known + (1 - rows.known) * torch.sigmoid(self.trust[j])

    def _measured(self, j: int, keys: Known, near: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows as they are compared, and what other models leave of column j in them."""
        at = keys.rows.segments[j]
        expected = torch.einsum("b,bnf->nf", self.shares[j], keys.expected[:, near, at])
        return self.measure(j, keys.rows.at(near)), keys.values[near, at] - expected

    def _mean(
        self,
        j: int,
        rows: Filled,
        expected: Tensor,
        measured: tuple[Tensor, Tensor],
        itself: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return values of column j and their deviations: (n, width)."""
        near, rest = measured
        alike, tilt = self.weights(j, rows, near, itself), self.tilts[rows.segments[j]]
        if self.numeric[j] and tilt.any():
            alike = tilted(alike, rest @ tilt)
        moments = alike @ torch.cat([rest, rest**2], 1)
        offset, square = moments.chunk(2, 1)
        mean = offset + torch.einsum("b,bnf->nf", self.shares[j], expected)
        deviation = (square - offset**2).clamp_min(1e-12).sqrt()
        return (mean if self.numeric[j] else probable(mean, tilt)), deviation

    def tensors(self) -> dict[str, Tensor]:
        """Return all that was learned."""
        learned = {name: getattr(self, name) for name in _LEARNED}
        return {**learned, "tilts": self.tilts, "numeric": torch.tensor(self.numeric)}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the lookup of :meth:`tensors`."""
        learned = {name: tensors[name] for name in _LEARNED}
        return cls(**learned, tilts=tensors["tilts"], numeric=tuple(tensors["numeric"].tolist()))


class _Best:
    """The lookup whose columns are each the best of several.

    Attributes
    ----------
    lookup : Lookup
    """

    def __init__(self, start: Lookup) -> None:
        self.lookup = replace(start, **{name: getattr(start, name).clone() for name in _LEARNED})
        self._losses = [float("inf")] * len(start.numeric)

    @torch.no_grad()
    def add(self, other: Lookup, columns: Tensor, loss: Callable[[Lookup, int], Tensor]) -> None:
        """Take over those columns of another lookup whose loss is smaller."""
        for j in columns.tolist():
            if (value := float(loss(other, j))) < self._losses[j]:
                self._losses[j] = value
                for name in _LEARNED:
                    getattr(self.lookup, name)[j] = getattr(other, name)[j]


_LEARNED = ("reach", "trust", "caution", "shares")


def tilted(weights: Tensor, exponents: Tensor) -> Tensor:
    """Return weights (n, keys) times exp(exponents (keys,)), each row of sum 1.

    Examples
    --------
    >>> found = tilted(torch.tensor([[0.5, 0.5]]), torch.tensor([1.0, 3.0]).log())
    >>> torch.allclose(found, torch.tensor([[0.25, 0.75]]))
    True
    """
    found = weights * (exponents - exponents.max()).clamp_min(-EXPONENT).exp()
    return found / found.sum(1, keepdim=True)


def probable(values: Tensor, tilt: Tensor) -> Tensor:
    """Return values (n, levels) as probabilities, tilted; of one level, that of a yes.

    Examples
    --------
    >>> probable(torch.tensor([[1.5, -0.5, 0.5]]), torch.zeros(3)).round(decimals=2).tolist()
    [[0.75, 0.0, 0.25]]
    """
    if values.shape[1] == 1:
        return torch.sigmoid(values.clamp(LEAST, 1 - LEAST).logit() + tilt)
    return tilted(values.clamp_min(LEAST), tilt)


def _loss(mean: Tensor, values: Tensor, numeric: bool) -> Tensor:
    if numeric:
        return (mean - values).square().sum(1).mean()
    if mean.shape[1] == 1:
        return torch.nn.functional.binary_cross_entropy(mean, values)
    return -(mean.log() * values).sum(1).mean()
