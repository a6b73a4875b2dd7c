"""An autoregressive network, evaluated place by place for all rows at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Self

import torch
from torch import Tensor

# From a channel, a place (row, column), hidden units (m, hidden) and which of these each row has
# (n,), to the symbols (n,) there.
Choose = Callable[[int, tuple[int, int], Tensor, Tensor], Tensor]

# Where a larger part of the rows is to be computed, all are: copying the others costs more.
DENSE = 0.9


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
    inputs : sequence of Tensor (symbols + 1, features)
        What the network sees of each channel's symbols.
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
        A symbol of each channel. Places that see nothing else are computed once for all rows.
    """

    inputs: Sequence[Tensor]
    windows: Sequence[tuple[int, int]]
    convolutions: Sequence[Affine]
    limits: Sequence[float]
    steps: Sequence[float] | None
    hidden: Sequence[Affine]
    output: Sequence[Affine]
    background: Sequence[int]

    def on(self, device: torch.device) -> Self:
        """Return the network on a device."""

        def moved(affine: Affine) -> Affine:
            return replace(affine, weight=affine.weight.to(device), bias=affine.bias.to(device))

        return replace(
            self,
            inputs=[table.to(device) for table in self.inputs],
            convolutions=[moved(affine) for affine in self.convolutions],
            hidden=[moved(affine) for affine in self.hidden],
            output=[moved(affine) for affine in self.output],
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
    def in_order(self, start: Tensor, rows: int, choose: Choose) -> Tensor:
        """Return symbols that are chosen one after the other: (rows, channels, height, width).

        Parameters
        ----------
        start : Tensor (rows or 1, width, height, width of the map)
            The decoder's output.
        rows : int
        choose : callable
        """
        height, width = start.shape[2:]
        symbols = torch.empty(height, width, len(self.inputs), rows, dtype=torch.long)
        maps, context = start.permute(2, 3, 0, 1).contiguous(), Context(self, start, rows)
        for y in range(height):
            for x in range(width):
                known, which = self._trunk(context, maps[y, x], y, x)
                features: list[Tensor] = []
                for c, inputs in enumerate(self.inputs):
                    if c == 1:  # from here on, rows differ
                        known, which = known.index_select(0, which), context.every[:rows]
                    units = self.units(c, torch.cat([known, *features], 1))
                    chosen = choose(c, (y, x), units, which)
                    symbols[y, x, c] = chosen
                    context.follow(y, x, chosen != self.background[c])
                    features.append(inputs[chosen])
                context.keep(0, y, x, torch.cat([torch.cat(features, 1), context.blank]))
        return symbols.permute(3, 2, 0, 1)

    def _trunk(self, context: Context, start: Tensor, y: int, x: int) -> tuple[Tensor, Tensor]:
        """Return activations that all channels see at a place, and which of them each row has."""
        h, which = start, context.start
        if not self.windows:
            return self.activation(0, h), which
        for layer, convolution in enumerate(self.convolutions):
            some = context.distinct(layer, y, x)
            total = convolution.biases(context.rows if some is None else len(some))
            for block, first in context.blocks(layer, y, x):
                seen = block if some is None else block.index_select(0, some)
                convolution.add(total, seen, first)
            before = context.spread(h, which if some is None else which[some])
            h = convolution.rounded(total).add_(before)
            activation, which = self.activation(layer, h), context.which(some)
            context.keep(layer + 1, y, x, context.spread(activation, which))
        return activation, which[: context.own]


class Context:
    """The causal context of places: symbols and activations before them.

    Where all rows start from one map, a last row has nothing but the background: what is computed
    of it is that of every row which has seen nothing else.

    Parameters
    ----------
    layers : Layers
    start : Tensor (rows or 1, width, height, width of the map)
    own : int
        The number of rows.
    """

    def __init__(self, layers: Layers, start: Tensor, own: int) -> None:
        width, self.windows = start.shape[3], layers.windows
        shared = len(start) == 1
        self.own, self.rows = own, own + (shared and len(layers.windows) > 0)
        self.every = torch.arange(self.rows, device=start.device)
        self.start = self.every.new_zeros(self.rows) if shared else self.every
        blank = [table[s] for table, s in zip(layers.inputs, layers.background, strict=True)]
        self.blank = torch.cat(blank).expand(self.rows - own, -1)
        sizes = [self.blank.shape[1], *[start.shape[1]] * len(self.windows)]
        self.seen = [
            start.new_zeros(window[0], self.rows, width + window[1] - 1, size)
            for window, size in zip(self.windows, sizes, strict=False)
        ]
        # How many rows up, and columns to each side, the layers see.
        self.up = list(accumulate(rows - 1 for rows, _ in self.windows))
        self.side = list(accumulate(columns // 2 for _, columns in self.windows))
        # Where each column has last had something else than the background.
        columns = width + 2 * max(self.side, default=0)
        never = -1 - max(self.up, default=0)
        self.last = self.every.new_full((columns, own), never, dtype=torch.int32)

    def distinct(self, layer: int, y: int, x: int) -> Tensor | None:
        """Return the rows whose activations are to be computed; None: all."""
        if self.rows == self.own:
            return None
        first = x + self.side[-1] - self.side[layer]
        seen = self.last[first : first + 2 * self.side[layer] + 1].amax(0) >= y - self.up[layer]
        some = seen.nonzero()[:, 0]
        return torch.cat([some, self.every[-1:]]) if len(some) < DENSE * self.own else None

    def which(self, some: Tensor | None) -> Tensor:
        """Return which of the rows that were computed each row shares."""
        if some is None:
            return self.every
        which = self.every.new_full((self.rows,), len(some) - 1)
        which[some] = self.every[: len(some)]
        return which

    def spread(self, computed: Tensor, which: Tensor) -> Tensor:
        """Return what was computed for each of the rows that share it."""
        return computed if which is self.every else computed.index_select(0, which)

    def blocks(self, layer: int, y: int, x: int) -> Iterator[tuple[Tensor, int]]:
        """Yield what a layer sees of each row of places: (rows, inputs), and its first weight."""
        seen, (rows, columns), first = self.seen[layer], self.windows[layer], 0
        for above in range(rows - 1, -1, -1):
            reach = columns if above else columns // 2 + (layer > 0)
            if above <= y and reach:
                yield seen[(y - above) % rows, :, x : x + reach].flatten(1), first
            first += reach * seen.shape[-1]

    def follow(self, y: int, x: int, other: Tensor) -> None:
        """Take which rows (n,) have something else than the background at a place."""
        self.last[x + max(self.side, default=0)].masked_fill_(other, y)

    def keep(self, layer: int, y: int, x: int, values: Tensor) -> None:
        """Take what later places see of this one in a layer."""
        if layer < len(self.seen):
            rows, columns = self.windows[layer]
            self.seen[layer][y % rows, :, x + columns // 2] = values
