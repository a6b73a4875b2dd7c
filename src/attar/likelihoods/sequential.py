"""An autoregressive network, evaluated place by place for all rows at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

# From a channel, a place (row, column) and hidden units (n, hidden) to the symbols (n,) there.
Choose = Callable[[int, tuple[int, int], Tensor], Tensor]


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
    """

    inputs: Sequence[Tensor]
    windows: Sequence[tuple[int, int]]
    convolutions: Sequence[Affine]
    limits: Sequence[float]
    steps: Sequence[float] | None
    hidden: Sequence[Affine]
    output: Sequence[Affine]

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
        if self.steps is not None:
            h = (h * self.steps[layer] + 0.5).floor_()
        return h.clamp(0.0, self.limits[layer])

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
        symbols = torch.empty(rows, len(self.inputs), height, width, dtype=torch.long)
        start = start.permute(2, 3, 0, 1).expand(-1, -1, rows, -1)
        seen = [
            start.new_zeros(window[0], rows, width + window[1] - 1, size)
            for window, size in zip(self.windows, self._channels(start.shape[-1]), strict=True)
        ]
        for y in range(height):
            for x in range(width):
                known = [self._trunk(seen, start[y, x], y, x)]
                for c, inputs in enumerate(self.inputs):
                    units = self.units(c, torch.cat(known, 1))
                    chosen = choose(c, (y, x), units)
                    symbols[:, c, y, x] = chosen.cpu()
                    known.append(inputs[chosen])
                if seen:
                    _at(seen[0], self.windows[0], y, x).copy_(torch.cat(known[1:], 1))
        return symbols

    def _channels(self, width: int) -> list[int]:
        features = sum(table.shape[1] for table in self.inputs)
        return [features, *[width] * (len(self.windows) - 1)][: len(self.windows)]

    def _trunk(self, seen: list[Tensor], start: Tensor, y: int, x: int) -> Tensor:
        """Return what all channels see at a place, and keep the activations for later places."""
        h = start
        if not self.windows:
            return self.activation(0, h)
        for layer, (window, convolution) in enumerate(
            zip(self.windows, self.convolutions, strict=True)
        ):
            total = convolution.bias.expand(len(h), -1).clone()
            inputs, (rows, columns), place = seen[layer], window, 0
            for above in range(rows - 1, -1, -1):
                reach = columns if above else columns // 2 + (layer > 0)
                size = reach * inputs.shape[-1]
                if above <= y and reach:
                    block = inputs[(y - above) % rows, :, x : x + reach].flatten(1)
                    total.addmm_(block, convolution.weight[place : place + size])
                place += size
            h = h + convolution.rounded(total)
            activation = self.activation(layer, h)
            if layer + 1 < len(seen):
                _at(seen[layer + 1], self.windows[layer + 1], y, x).copy_(activation)
        return activation


def _at(seen: Tensor, window: tuple[int, int], y: int, x: int) -> Tensor:
    """Return the place (rows, channels) of a layer's inputs, which are padded on both sides."""
    return seen[y % window[0], :, x + window[1] // 2]
