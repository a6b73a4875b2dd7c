"""An autoregressive network, evaluated place by place for all rows at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from attar.likelihoods.intensities import median_edge, neighbours, present

Places = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Cells:
    """What is known of the cells of a channel at some places, those of all rows at a place first.

    Attributes
    ----------
    channel : int
    places : pair of Tensor (m,)
        Rows and columns of the map.
    units : Tensor (k, hidden)
        Hidden units.
    which : Tensor (m · n,)
        The hidden units that each cell has.
    expected : Tensor (m · n,) or None
        Predictions, where there are any.
    """

    channel: int
    places: Places
    units: Tensor
    which: Tensor
    expected: Tensor | None

    @property
    def own_units(self) -> Tensor:
        """The hidden units of each cell: (m · n, hidden)."""
        return self.units.index_select(0, self.which)


# From cells to their symbols (m · n,).
Choose = Callable[[Cells], Tensor]

# Places are evaluated one by one where there are so many rows of data.
MANY = 256

# Where a larger part of the rows is to be computed, all are: copying the others costs more.
DENSE = 0.9


@dataclass(frozen=True)
class Inputs:
    """What a network sees of symbols.

    Attributes
    ----------
    tables : sequence of Tensor (symbols + 1, features)
        Of each channel's symbols; the last row is that of a missing cell.
    differences : Tensor (2 · levels,) or None
        Of differences from a prediction, where there is one: it is a further feature. Then the
        first one of a symbol is seen relative to that of the prediction, the second is not 0.
    """

    tables: Sequence[Tensor]
    differences: Tensor | None = None

    @property
    def features(self) -> list[int]:
        """The number of features of each channel."""
        return [table.shape[1] + (self.differences is not None) for table in self.tables]

    def on(self, device: torch.device) -> Self:
        """Return the tables on a device."""
        of = None if self.differences is None else self.differences.to(device)
        return replace(self, tables=[table.to(device) for table in self.tables], differences=of)

    def of(self, channel: int, symbols: Tensor, expected: Tensor | None) -> Tensor:
        """Return the features (..., features) of a channel's symbols (...) and predictions."""
        seen = functional.embedding(symbols, self.tables[channel])
        if self.differences is None or expected is None:
            return seen
        difference = self.differences[symbols - expected + self._levels - 1]
        return torch.cat([seen, difference[..., None]], -1)

    def relative(self, channel: int, features: Tensor, local: Tensor | None) -> Tensor:
        """Return features (..., features) relative to those of predictions (..., channels)."""
        if local is None:
            return features
        level = self.levels_of(channel, local)
        return features - functional.pad(level[..., None], (0, features.shape[-1] - 1))

    def windows(self, block: Tensor, local: Tensor | None) -> Tensor:
        """Return blocks (n, places · features) relative to predictions (n, channels)."""
        if local is None:
            return block
        levels = torch.stack([self.levels_of(c, local) for c in range(len(self.tables))], -1)
        value, present, rest = block.view(len(block), -1, len(self.tables), 3).unbind(-1)
        relative = value - levels[:, None] * (present > 0)
        return torch.stack([relative, present, rest], -1).flatten(1)

    def levels_of(self, channel: int, local: Tensor) -> Tensor:
        """Return the first feature (...) of predictions (..., channels)."""
        return self.tables[channel][local[..., channel], 0]

    def local(self, known: Tensor, around: Sequence[Tensor], place: Tensor) -> Tensor | None:
        """Return predictions (m · n, channels) from neighbours, where there are any.

        Parameters
        ----------
        known : Tensor (places, n, channels)
            Symbols.
        around : sequence of Tensor (places,)
            Where the neighbours of each place are.
        place : Tensor (m,)
        """
        if self.differences is None:
            return None
        near = (present(known[places[place]], self._levels) for places in around)
        return median_edge(*near).flatten(0, 1)

    def expected(self, channel: int, local: Tensor | None, before: Tensor) -> Tensor | None:
        """Return predictions (n,) of a channel, given the symbols (n, c) of the channels before."""
        if local is None or not channel:
            return None if local is None else local[:, 0]
        missed = present(before[:, channel - 1], self._levels) - local[:, channel - 1]
        return (local[:, channel] + missed).clamp_(0, self._levels - 1)

    @property
    def _levels(self) -> int:
        return len(self.tables[0]) - 1


@dataclass(frozen=True)
class Affine:
    """x W + b, and on integers a rounded division by a power of two.

    Attributes
    ----------
    weight : Tensor (inputs, outputs)
    bias : Tensor (outputs,)
    scale : float or None
        A power of two that all terms of the sum are multiplied by, which is exact, before it is
        rounded; None: neither.
    """

    weight: Tensor
    bias: Tensor
    scale: float | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Return the layer of rows (n, inputs)."""
        return self.rounded(self.add(self.biases(len(x)), x))

    def on(self, device: torch.device) -> Self:
        """Return the layer on a device."""
        return replace(self, weight=self.weight.to(device), bias=self.bias.to(device))

    def of(self, x: Tensor, output: int) -> Tensor:
        """Return one output of rows (n, inputs): (n,)."""
        bias, weight = self.bias[output].expand(len(x)), self.weight[:, output]
        return self.rounded(torch.addmv(bias, x, weight, beta=self._scale, alpha=self._scale))

    def biases(self, rows: int) -> Tensor:
        """Return what sums start from: (rows, outputs)."""
        return (self.bias * self._scale).expand(rows, -1).contiguous()

    def add(self, total: Tensor, x: Tensor, first: int = 0) -> Tensor:
        """Add inputs (n, count), the first of which has the given weight, to sums (n, outputs)."""
        weight = self.weight[first : first + x.shape[1]]
        return total.addmm_(x, weight, alpha=self._scale)

    def rounded(self, total: Tensor) -> Tensor:
        """Return the layer of sums that are complete."""
        return total if self.scale is None else total.round_()

    @property
    def _scale(self) -> float:
        return 1.0 if self.scale is None else self.scale


@dataclass(frozen=True)
class Layers:
    """The weights of an autoregressive network as matrices.

    Attributes
    ----------
    inputs : Inputs
    windows : sequence of pair of int
        Of the convolutions: rows and columns, the present row last.
    convolutions : sequence of Affine
        Weights (rows · columns · channels, width), those of unseen places left out: the first sees
        no present place, the others do.
    limits : sequence of float
        The largest activation of each convolution, then of each channel's hidden layer.
    steps : sequence of float or None
        The powers of two that round the sums of convolutions to activations; None: no rounding.
    hidden, output : sequence of Affine
        Of each channel.
    background : sequence of int
        A symbol of each channel, or none. Where a row has seen nothing else at a place, it is
        computed once for all such rows.
    """

    inputs: Inputs
    windows: Sequence[tuple[int, int]]
    convolutions: Sequence[Affine]
    limits: Sequence[float]
    steps: Sequence[float] | None
    hidden: Sequence[Affine]
    output: Sequence[Affine]
    background: Sequence[int]

    def on(self, device: torch.device) -> Self:
        """Return the network on a device."""
        return replace(
            self,
            inputs=self.inputs.on(device),
            convolutions=[affine.on(device) for affine in self.convolutions],
            hidden=[affine.on(device) for affine in self.hidden],
            output=[affine.on(device) for affine in self.output],
        )

    def activation(self, layer: int, h: Tensor) -> Tensor:
        """Return the activation of a convolution's sum."""
        h = h.clone() if self.steps is None else (h * self.steps[layer]).round_()
        return h.clamp_(0.0, self.limits[layer])

    def units(self, channel: int, x: Tensor) -> Tensor:
        """Return the hidden units of a channel from its inputs."""
        limit = self.limits[len(self.limits) - len(self.hidden) + channel]
        return self.hidden[channel](x).clamp_(0.0, limit)

    @torch.no_grad()
    def in_order(self, start: Tensor, rows: int, grid: tuple[int, int], choose: Choose) -> Tensor:
        """Return symbols that are chosen one after the other: (rows, channels, height, width).

        Of few rows, places that do not see each other are chosen at once: those of a line that
        falls from right to left.

        Parameters
        ----------
        start : Tensor (rows or 1, width, height or 1, width of the map or 1)
            The decoder's output.
        rows : int
        grid : pair of int
            Height and width of the map.
        choose : callable
        """
        (height, width), channels = grid, len(self.inputs.tables)
        if not rows:
            return torch.zeros(0, channels, height, width, dtype=torch.long)
        context = Context(self, start, rows, grid)
        known = torch.zeros(height * width + 1, rows, channels, dtype=torch.long)
        known = known.to(start.device)
        around = [places.to(start.device) for places in neighbours(height, width)]
        for y, x in waves(height, width, context.slope, start.device):
            place, features = y * width + x, []
            local = self.inputs.local(known, around, place)
            trunk, which = self._trunk(context, y, x, local)
            given = [trunk]
            for c in range(channels):
                if c == 1:  # from here on, all rows differ
                    given[0] = trunk.index_select(0, which)
                    which = torch.arange(len(which), device=which.device)
                expected = self.inputs.expected(c, local, known[place].flatten(0, 1))
                units = self.units(c, torch.cat(given, 1))
                chosen = choose(Cells(c, (y, x), units, which, expected))
                known[place, :, c] = chosen.view(len(place), rows)
                features.append(self.inputs.of(c, chosen, expected))
                given.append(self.inputs.relative(c, features[-1], local))
            context.take(y, x, known[place], torch.cat(features, 1))
        return known[:-1].permute(1, 2, 0).reshape(rows, channels, height, width).cpu()

    def _trunk(
        self, context: Context, y: Tensor, x: Tensor, local: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return activations that all channels see at places, and which of them each cell has."""
        h, which = context.start(y, x)
        if not context.seen:
            return self.activation(0, h), which
        for layer, (seen, convolution) in enumerate(
            zip(context.seen, self.convolutions, strict=True)
        ):
            some = context.distinct(layer, y, x)
            total = convolution.biases(len(which) if some is None else len(some))
            for block, first in seen.blocks(y, x, some, present=layer > 0):
                block = block if layer else self.inputs.windows(block, local)
                convolution.add(total, block, first)
            before = spread(h, which if some is None else which[some])
            h = convolution.rounded(total).add_(before)
            activation, which = self.activation(layer, h), context.which(some, len(y))
            if layer + 1 < len(context.seen):
                context.seen[layer + 1].put(y, x, spread(activation, which))
        return activation, context.own(which, len(y))


class Context:
    """What the network has seen before some places.

    With a background, and where all rows start from one map, a last row has nothing but the
    background: what is computed of it is that of every row which has seen nothing else.

    Parameters
    ----------
    layers : Layers
    start : Tensor (rows or 1, width, height or 1, width of the map or 1)
    rows : int
    grid : pair of int
        Height and width of the map.
    """

    def __init__(self, layers: Layers, start: Tensor, rows: int, grid: tuple[int, int]) -> None:
        windows, width = layers.windows, grid[1]
        shared = len(start) == 1 and len(windows) > 0 and len(layers.background) > 0
        self.rows, self.with_blank, self._start = rows, rows + shared, start.expand(-1, -1, *grid)
        # So many rows make large products of one place: more of them are only a larger memory.
        reach = max((columns // 2 for _, columns in windows), default=0)
        self.slope = reach + 1 if rows < MANY else max(width, reach + 1)
        sizes = [sum(layers.inputs.features), *[start.shape[1]] * len(windows)]
        self.seen = [
            Seen(window, (self.with_blank, width, size), self.slope, start)
            for window, size in zip(windows, sizes, strict=False)
        ]
        self._background = torch.tensor(layers.background, device=start.device)
        if shared:
            pairs = zip(layers.inputs.tables, layers.background, strict=True)
            self._blank = torch.cat([table[symbol] for table, symbol in pairs])
        # How many rows up, and columns to each side, the layers see.
        self._up = list(accumulate(rows - 1 for rows, _ in windows))
        self._side = list(accumulate(columns // 2 for _, columns in windows))
        # The row of the map in which each column has last had something else than the background.
        columns = width + 2 * max(self._side, default=0)
        never = -1 - max(self._up, default=0)
        self._last = torch.full((columns, rows), never, dtype=torch.int32, device=start.device)

    def start(self, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what convolutions are added to at places, and which of it each cell has."""
        m, n = len(y), self.with_blank
        maps = self._start[:, :, y, x].permute(2, 0, 1).flatten(0, 1)
        if len(maps) == m * n:
            return maps, torch.arange(m * n, device=y.device)
        return maps, torch.arange(m, device=y.device).repeat_interleave(n)

    def distinct(self, layer: int, y: Tensor, x: Tensor) -> Tensor | None:
        """Return the cells whose activations are to be computed; None: all."""
        if self.with_blank == self.rows:
            return None
        first = x + self._side[-1] - self._side[layer]
        last = torch.stack(
            [self._last[i : i + 2 * self._side[layer] + 1].amax(0) for i in first.tolist()]
        )
        seen = functional.pad(last >= y[:, None] - self._up[layer], (0, 1), value=True)
        (some,) = seen.flatten().nonzero(as_tuple=True)
        return some if len(some) < DENSE * seen.numel() else None

    def which(self, some: Tensor | None, places: int) -> Tensor:
        """Return which of the cells that were computed each cell shares."""
        every = torch.arange(places * self.with_blank, device=self._last.device)
        if some is None:
            return every
        computed, n = every[: len(some)], self.with_blank
        blanks = computed[some % n == n - 1]
        which = blanks.repeat_interleave(n) if places > 1 else blanks.expand(n).clone()
        which[some] = computed
        return which

    def own(self, which: Tensor, places: int) -> Tensor:
        """Return which cells the rows themselves have."""
        return which.view(places, -1)[:, : self.rows].flatten()

    def take(self, y: Tensor, x: Tensor, symbols: Tensor, features: Tensor) -> None:
        """Take symbols (m, rows, channels) and their features (m · rows, features) at places."""
        if not self.seen:
            return
        if self.with_blank > self.rows:
            blank, own = self._blank.expand(len(y), 1, -1), features.view(len(y), self.rows, -1)
            features = torch.cat([own, blank], 1).flatten(0, 1)
            other, columns = (symbols != self._background).any(-1), x + self._side[-1]
            last = self._last[columns]
            self._last[columns] = torch.where(other, y[:, None].to(last), last)
        self.seen[0].put(y, x, features)


class Seen:
    """What a convolution has seen so far, of as many rows of the map as are still needed.

    Parameters
    ----------
    window : pair of int
        Rows and columns.
    size : triple of int
        Rows of data, the width of the map, and features.
    slope : int
        That of :func:`waves`.
    like : Tensor
        Of the same type and on the same device.
    """

    def __init__(
        self, window: tuple[int, int], size: tuple[int, int, int], slope: int, like: Tensor
    ) -> None:
        (self.rows, self.columns), (n, width, self.features) = window, size
        # A line of places that are chosen at once has one in each of these rows, at most.
        self.kept = self.rows + (width - 1) // slope
        padded = width + self.columns - 1
        self.map = like.new_zeros(self.kept, n, padded, self.features)

    def put(self, y: Tensor, x: Tensor, features: Tensor) -> None:
        """Keep the features (m · n, features) of places."""
        if len(y) == 1:
            self.map[int(y) % self.kept, :, int(x) + self.columns // 2] = features
            return
        _, n, padded, _ = self.map.shape
        rows = torch.arange(n, device=y.device)
        places = ((y % self.kept)[:, None] * n + rows) * padded + (x + self.columns // 2)[:, None]
        self.map.view(-1, self.features).index_copy_(0, places.flatten(), features)

    def blocks(
        self, y: Tensor, x: Tensor, some: Tensor | None, present: bool
    ) -> Iterator[tuple[Tensor, int]]:
        """Yield what the window holds in each of its rows, and the first weight of this.

        In the last row, which is that of the places themselves, it ends before or with these.

        Parameters
        ----------
        y, x : Tensor (m,)
        some : Tensor (k,) or None
            Which of m · n cells; None: all.
        present : bool

        Yields
        ------
        Tensor (k, columns · features), int
        """
        first, (_, n, padded, _) = 0, self.map.shape
        whole = len(y) == 1 and some is None
        cells = torch.arange(len(y) * n, device=y.device) if some is None else some
        place = cells // n
        begins, rows = cells % n * padded + x[place], y[place]
        for above in range(self.rows - 1, -1, -1):
            columns = self.columns if above else self.columns // 2 + present
            inside = columns and int(y[-1]) >= above  # else all is above the map, and nothing
            if inside and whole:
                row, begin = int(y - above) % self.kept, int(x)
                yield self.map[row, :, begin : begin + columns].flatten(1), first
            elif inside:
                places = (rows - above) % self.kept * (n * padded) + begins
                yield self._slices(columns).index_select(0, places), first
            first += columns * self.features

    def _slices(self, columns: int) -> Tensor:
        """Return the slices of so many columns that begin at each place: a view."""
        count = self.map.numel() // self.features - columns + 1
        return self.map.as_strided((count, columns * self.features), (self.features, 1))


def spread(computed: Tensor, which: Tensor) -> Tensor:
    """Return what was computed for each of the cells that share it."""
    # As many are the same ones, in the same order.
    return computed if len(computed) == len(which) else computed.index_select(0, which)


def waves(
    height: int, width: int, slope: int, device: torch.device | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the rows and columns of places that do not see each other, in order.

    A place sees fewer than ``slope`` columns to the right of its own in the rows above.

    Examples
    --------
    >>> [list(zip(y.tolist(), x.tolist())) for y, x in waves(2, 3, 2)]
    [[(0, 0)], [(0, 1)], [(0, 2), (1, 0)], [(1, 1)], [(1, 2)]]
    >>> [list(zip(y.tolist(), x.tolist())) for y, x in waves(2, 1, 3)]
    [[(0, 0)], [(1, 0)]]
    """
    for time in range(width + slope * (height - 1)):
        first = max(0, -(-(time - width + 1) // slope))
        y = torch.arange(first, min(height - 1, time // slope) + 1, device=device)
        if len(y):
            yield y, time - slope * y
