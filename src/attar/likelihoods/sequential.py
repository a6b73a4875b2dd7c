"""An autoregressive network, evaluated place by place for all rows at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from attar.likelihoods.intensities import median_edge, neighbours, present

# From a channel, places (rows and columns, m each), hidden units (m · n, hidden), those of all rows
# at the first place first, and predictions (m · n,) where there are any, to symbols (m · n,).
Places = tuple[Tensor, Tensor]
Choose = Callable[[int, Places, Tensor, Tensor | None], Tensor]


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
        if local is not None:
            levels = torch.stack([self.levels_of(c, local) for c in range(len(self.tables))], -1)
            value, present, _ = block.view(len(block), -1, len(self.tables), 3).unbind(-1)
            value -= levels[:, None] * (present > 0)
        return block

    def levels_of(self, channel: int, local: Tensor) -> Tensor:
        """Return the first feature (...) of predictions (..., channels)."""
        return self.tables[channel][local[..., channel], 0]

    def local(self, near: Sequence[Tensor]) -> Tensor | None:
        """Return predictions (n, channels) from the symbols of neighbours, where there are any."""
        if self.differences is None:
            return None
        return median_edge(*(present(symbols.flatten(0, 1), self._levels) for symbols in near))

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
        A power of two that the sum is multiplied by before it is rounded; None: neither.
    """

    weight: Tensor
    bias: Tensor
    scale: float | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Return the layer of rows (n, inputs)."""
        return self.rounded(torch.addmm(self.bias, x, self.weight))

    def on(self, device: torch.device) -> Self:
        """Return the layer on a device."""
        return replace(self, weight=self.weight.to(device), bias=self.bias.to(device))

    def of(self, x: Tensor, output: int) -> Tensor:
        """Return one output of rows (n, inputs): (n,)."""
        return self.rounded(x @ self.weight[:, output] + self.bias[output])

    def rounded(self, total: Tensor) -> Tensor:
        """Return the layer of a sum that holds the bias already."""
        return total if self.scale is None else (total * self.scale + 0.5).floor_()


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
    """

    inputs: Inputs
    windows: Sequence[tuple[int, int]]
    convolutions: Sequence[Affine]
    limits: Sequence[float]
    steps: Sequence[float] | None
    hidden: Sequence[Affine]
    output: Sequence[Affine]

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
        if self.steps is not None:
            h = (h * self.steps[layer] + 0.5).floor_()
        return h.clamp(0.0, self.limits[layer])

    def units(self, channel: int, x: Tensor) -> Tensor:
        """Return the hidden units of a channel from its inputs."""
        limit = self.limits[len(self.limits) - len(self.hidden) + channel]
        return self.hidden[channel](x).clamp_(0.0, limit)

    @torch.no_grad()
    def in_order(self, start: Tensor, rows: int, grid: tuple[int, int], choose: Choose) -> Tensor:
        """Return symbols that are chosen one after the other: (rows, channels, height, width).

        Places that do not see each other are chosen at once: those of a line that falls from
        right to left.

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
        start = start.expand(-1, -1, height, width).permute(2, 3, 0, 1)
        known = torch.zeros(height * width + 1, rows, channels, dtype=torch.long)
        known = known.to(start.device)
        around = [places.to(start.device) for places in neighbours(height, width)]
        slope = max((columns // 2 for _, columns in self.windows), default=0) + 1
        seen = [
            Seen(window, (rows, width, size), slope, start)
            for window, size in zip(self.windows, self._channels(start.shape[-1]), strict=True)
        ]
        for y, x in waves(height, width, slope, start.device):
            place, features = y * width + x, []
            local = self.inputs.local([known[places[place]] for places in around])
            begin = start[y, x].expand(-1, rows, -1).flatten(0, 1)
            given = [self._trunk(seen, begin, y, x, local)]
            for c in range(channels):
                expected = self.inputs.expected(c, local, known[place].flatten(0, 1))
                chosen = choose(c, (y, x), self.units(c, torch.cat(given, 1)), expected)
                known[place, :, c] = chosen.view(len(place), rows)
                features.append(self.inputs.of(c, chosen, expected))
                given.append(self.inputs.relative(c, features[-1], local))
            if seen:
                seen[0].put(y, x, torch.cat(features, 1))
        return known[:-1].permute(1, 2, 0).reshape(rows, channels, height, width).cpu()

    def _channels(self, width: int) -> list[int]:
        return [sum(self.inputs.features), *[width] * (len(self.windows) - 1)][: len(self.windows)]

    def _trunk(
        self, seen: list[Seen], start: Tensor, y: Tensor, x: Tensor, local: Tensor | None
    ) -> Tensor:
        """Return what all channels see at places, and keep the activations for later ones."""
        h = start
        if not seen:
            return self.activation(0, h)
        for layer, (inputs, convolution) in enumerate(zip(seen, self.convolutions, strict=True)):
            total, begin = convolution.bias.expand(len(h), -1).clone(), 0
            for block in inputs.blocks(y, x, present=layer > 0):
                block = block if layer else self.inputs.windows(block, local)
                total.addmm_(block, convolution.weight[begin : begin + block.shape[1]])
                begin += block.shape[1]
            h = h + convolution.rounded(total)
            activation = self.activation(layer, h)
            if layer + 1 < len(seen):
                seen[layer + 1].put(y, x, activation)
        return activation


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
        new = features.view(len(y), -1, self.features)
        self.map[y % self.kept, :, x + self.columns // 2] = new

    def blocks(self, y: Tensor, x: Tensor, present: bool) -> Iterator[Tensor]:
        """Yield what the window holds in each of its rows: (m · n, columns · features).

        In the last one, which is that of the places themselves, it ends before or with these.
        """
        for above in range(self.rows - 1, -1, -1):
            columns = self.columns if above else self.columns // 2 + present
            if columns:
                yield self._slices(columns)[(y - above) % self.kept, :, x].flatten(0, 1)

    def _slices(self, columns: int) -> Tensor:
        """Return all slices of so many columns: a view (kept, n, slices, columns · features)."""
        kept, n, padded, features = self.map.shape
        size = kept, n, padded - columns + 1, columns * features
        return self.map.as_strided(size, (*self.map.stride()[:2], features, 1))


def waves(
    height: int, width: int, slope: int, device: torch.device | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the rows and columns of places that do not see each other, in order.

    A place sees fewer than ``slope`` columns to the right of its own in the rows above.

    Examples
    --------
    >>> [list(zip(y.tolist(), x.tolist())) for y, x in waves(2, 3, 2)]
    [[(0, 0)], [(0, 1)], [(0, 2), (1, 0)], [(1, 1)], [(1, 2)]]
    """
    for time in range(width + slope * (height - 1)):
        first = max(0, -(-(time - width + 1) // slope))
        y = torch.arange(first, min(height - 1, time // slope) + 1, device=device)
        yield y, time - slope * y
