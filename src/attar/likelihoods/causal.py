"""Autoregressive likelihoods: each cell given the cells before it, and the decoder's output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar import workers
from attar.errors import SettingError
from attar.likelihoods.alphabets import Alphabet, AlphabetModule, Derived, Levels
from attar.likelihoods.base import Likelihood, LikelihoodModule, Shape
from attar.likelihoods.heads import Head, SoftmaxHead, head_of
from attar.likelihoods.intensities import Intensities, differences, predicted
from attar.likelihoods.sequential import Affine, Inputs, Layers

# From hidden units and predictions to symbols.
Chosen = Callable[[Tensor, Tensor | None], Tensor]

# The inner convolutions start small, so that a deep network starts as a shallow one.
INNER = 0.3

# How large a network is: a smaller one is trained and evaluated faster, and takes more bits.
EFFORTS = {
    1: {"width": 16, "layers": 1, "hidden": 32},
    2: {"width": 32, "layers": 1, "hidden": 64},
    3: {"width": 48, "layers": 2, "hidden": 128},
}

# The weight of a new batch in a running mean.
FOLLOWED = 0.05


@dataclass(frozen=True)
class Causal(Likelihood, name="causal"):
    """The distribution of each cell given those before it: log p(x) = Σ_i log P(x_i | x_<i, z).

    ::

        cells before, as symbols ─ causal convolutions ─┐
        decoder's output, a map ────────────────────────┴─ a ─┬─ layer ─ logits of channel 1
                                                              ├─ layer ─ logits of channel 2
                                              channel 1 ──────┘          ...

    Places follow each other row by row (images) or step by step (series), channels and the columns
    of a table in their order. Causal convolutions see a window of the places before; a hidden layer
    for each channel also sees the channels before it at the same place. The most frequent symbol
    is decided first, and the others by a softmax: P(x) = σ(l_mode) if x is the mode, else
    (1 - σ(l_mode)) softmax(l)_x. What several values of a symbol share is split evenly.

    Decoding is sequential: a draw, or an expected value, takes as many steps as there are cells.

    Parameters
    ----------
    alphabets : tuple of Alphabet
        One for each channel or column; empty to choose them from the data.
    window : tuple of int
        Rows and columns of the first convolution, the present row included; (steps,) for series,
        () for tables.
    width : int
        The channels of the convolutions, and of the decoder's output.
    layers : int
        The number of inner convolutions; their windows have half the sides.
    hidden : int
        The units of the hidden layer of each channel.
    error_bound : float
        The largest absolute error of decompressed numbers of tables and series, as a share of the
        range of their column: 0 is lossless.
    error_bounds : tuple of (str, float)
        The same for single columns, by name and in their own units.

    Examples
    --------
    The probabilities of all rows of two binary cells sum to 1:

    >>> import torch
    >>> from attar.likelihoods import Causal, Levels
    >>> module = Causal((Levels(2), Levels(2)), window=()).build()
    >>> x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> log_prob = module.log_prob(torch.randn(48).expand(1, 4, 48), x).sum(-1)
    >>> print(f"{log_prob.exp().sum().item():.4f}")
    1.0000

    References
    ----------
    Larochelle and Murray, "The neural autoregressive distribution estimator", AISTATS 2011. Van den
    Oord, Kalchbrenner and Kavukcuoglu, "Pixel recurrent neural networks", ICML 2016.
    """

    joint = True

    alphabets: tuple[Alphabet, ...] = ()
    window: tuple[int, ...] = (5, 9)
    width: int = 48
    layers: int = 2
    hidden: int = 128
    error_bound: float = 0.0
    error_bounds: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of_effort(cls, effort: int) -> Self:
        """Return a smaller network, 1 or 2, or the default, 3.

        Examples
        --------
        >>> small = Causal.of_effort(1)
        >>> small.width, small.layers, small.hidden
        (16, 1, 32)
        """
        if effort not in EFFORTS:
            raise SettingError(f"The effort of the likelihood 'causal' is 1, 2 or 3, not {effort}.")
        return cls().replace(**EFFORTS[effort])

    def build(self) -> LikelihoodModule:
        """Return the module; without alphabets it has one channel of 256 levels."""
        for setting in ("width", "hidden"):
            self.positive_integer(setting)
        self.non_negative("error_bound")
        smooth = {alphabet for alphabet in self.channels if isinstance(alphabet, Intensities)}
        if smooth and (len(smooth) > 1 or len(self.window) < 2 or {*self.channels} != smooth):
            raise SettingError("Alphabets of intensities are for images, alike in all channels.")
        if len(self.window) > 2 or any(side < 1 for side in self.window):
            raise SettingError(
                f"The window {self.window} of the likelihood 'causal' must be (rows, "
                "columns), (steps,) or ()."
            )
        return CausalModule(self)

    def parameters(self, shape: Shape) -> Shape:
        """Return (width, *places): a map that the convolutions start from."""
        cells, places = sum(alphabet.cells for alphabet in self.channels), shape[1:]
        if cells != shape[0] or len(self.window) != len(places):
            raise SettingError(
                f"The likelihood 'causal' has alphabets for {cells} channels and the window "
                f"{self.window}, which do not fit rows of shape {shape}: leave alphabets=() and "
                "attar chooses them."
            )
        # Of natural images all places are alike, and their size may be any.
        smooth = any(isinstance(alphabet, Intensities) for alphabet in self.channels)
        return (self.width, *([1] * len(places) if smooth else places))

    @property
    def channels(self) -> tuple[Alphabet, ...]:
        """The alphabets, or the one of 256 levels."""
        return self.alphabets or (Levels(),)

    @property
    def coded(self) -> list[int]:
        """Which channels are coded: all but those that follow from others."""
        return [i for i, one in enumerate(self.channels) if not isinstance(one, Derived)]


class CausalConvolution(nn.Module):
    """A convolution that sees rows above, and what is to the left in the same row.

    Parameters
    ----------
    channels, width : int
    window : pair of int
    present : bool
        Whether it sees the present place too.
    """

    visible: Tensor

    def __init__(self, channels: int, width: int, window: tuple[int, int], present: bool) -> None:
        super().__init__()
        self.window = window
        visible = torch.ones(window)
        visible[-1, window[1] // 2 + present :] = 0
        self.register_buffer("visible", visible, persistent=False)
        places = (window[0] - 1) * window[1] + window[1] // 2 + present
        deviation = (2 / (channels * max(1, places))) ** 0.5
        self.weight = nn.Parameter(deviation * torch.randn(width, channels, *window))

    def matrix(self) -> Tensor:
        """Return the weights of seen places: (places · channels, width)."""
        seen = self.visible.flatten().bool()
        weight = self.weight.detach().permute(2, 3, 1, 0).flatten(0, 1)[seen]
        return weight.flatten(0, 1).contiguous()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, rows, columns) of (B, channels, rows, columns)."""
        return self.of(x, slice(None))

    def of(self, x: Tensor, channels: slice) -> Tensor:
        """Return the convolution of some channels alone."""
        (rows, columns), weight = self.window, (self.weight * self.visible)[:, channels]
        if columns == 1:  # of one column, oneDNN's convolutions in two directions were NaN at times
            steps = functional.pad(x[..., 0], (rows - 1, 0))
            return functional.conv1d(steps, weight[..., 0])[..., None]
        padded = functional.pad(x, (columns // 2, columns // 2, rows - 1, 0))
        return functional.conv2d(padded, weight)


class CausalModule(LikelihoodModule):
    """Causal convolutions over places, and a hidden layer for each channel.

    Attributes
    ----------
    largest : Tensor (layers + 1 + channels,)
        Running means of the largest activation of each convolution and hidden layer.
    grid : Tensor (2,) or None
        Height and width of the images that it was last trained on, where all places are alike.
    """

    largest: Tensor
    grid: Tensor | None
    differences: Tensor | None

    def __init__(self, likelihood: Causal) -> None:
        super().__init__()
        alphabets = likelihood.channels
        self.places, self.cells = len(likelihood.window), [a.cells for a in alphabets]
        self.coded = likelihood.coded
        alphabets = tuple(alphabets[i] for i in self.coded)
        with torch.device("cpu"):  # constants, also where a model without values is built
            built = [alphabet.build() for alphabet in alphabets]
        self.alphabets = cast(Sequence[AlphabetModule], nn.ModuleList(built))
        smooth = [a for a in alphabets if isinstance(a, Intensities)]
        table = differences(smooth[0].levels) if smooth else None
        self.register_buffer("differences", table, persistent=False)
        features = self.inputs.features
        width, (rows, columns) = likelihood.width, (*likelihood.window, 1, 1)[:2]
        inner = rows // 2 + 1, columns // 4 * 2 + 1
        self.first, layers = None, likelihood.layers if self.places else 0
        if self.places:
            self.first = CausalConvolution(sum(features), width, (rows, columns), present=False)
        convolutions = [CausalConvolution(width, width, inner, present=True) for _ in range(layers)]
        self.inner = cast(Sequence[CausalConvolution], nn.ModuleList(convolutions))
        self.biases = nn.ParameterList(torch.zeros(width) for _ in range(layers))
        for convolution in convolutions:
            convolution.weight.data *= INNER
        heads = [
            head_of(alphabet, built[c], width + sum(features[:c]), likelihood.hidden)
            for c, alphabet in enumerate(alphabets)
        ]
        self.heads = cast(Sequence[Head], nn.ModuleList(heads))
        self.register_buffer("largest", torch.zeros(layers + 1 + len(heads)))
        self.register_buffer("grid", torch.ones(2, dtype=torch.long) if smooth else None)

    @property
    def inputs(self) -> Inputs:
        """What the network sees of symbols."""
        return Inputs([alphabet.inputs for alphabet in self.alphabets], self.differences)

    def symbols(self, target: Tensor) -> Tensor:
        """Return rows (B, *shape) as symbols: (B, channels, rows, columns)."""
        if not self.places:
            columns = torch.split(target, self.cells, -1)
            coded = zip(self.alphabets, (columns[i] for i in self.coded), strict=True)
            return torch.stack([a.symbols(part) for a, part in coded], 1)[..., None, None]
        channels = zip(self.alphabets, target.unbind(1), strict=True)
        symbols = torch.stack([a.symbols(channel[..., None]) for a, channel in channels], 1)
        return symbols if self.places == 2 else symbols[..., None]

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return log P of each cell's symbol, less the logarithm of how many values share it."""
        half = self.half_precision and self.training
        device = parameters.device.type
        with torch.autocast(device, torch.bfloat16) if half else nullcontext():
            return self._log_prob(parameters, target)

    def _log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        symbols, inputs = self.symbols(target), self.inputs
        draws, rows = parameters.shape[:2]
        if self.training and self.grid is not None:
            for axis, cells in enumerate(symbols.shape[2:]):
                self.grid[axis].fill_(cells)
        local, expected = self._predicted(symbols)
        seen = [
            inputs.of(c, symbols[:, c], None if expected is None else expected[:, c])
            for c in range(len(self.heads))
        ]
        start = parameters.flatten(0, 1)
        start = start.reshape(*start.shape[:2], *(*start.shape[2:], 1, 1)[:2])
        hidden = self._convolved(seen, local, start, draws).permute(0, 2, 3, 1).flatten(0, 2)
        given, found = [hidden], []
        for c, (alphabet, head) in enumerate(zip(self.alphabets, self.heads, strict=True)):
            own = symbols[:, c].flatten().repeat(draws)
            units = head.units(torch.cat(given, -1))
            self._follow(len(self.inner) + 1 + c, units)
            known = None if expected is None else expected[:, c].flatten().repeat(draws)
            log_prob = head.log_prob(units, own, known)
            widths = functional.pad(alphabet.log_widths, (0, 1))[own]
            found.append((log_prob - widths).reshape(draws, rows, *symbols.shape[2:]))
            given.append(inputs.relative(c, seen[c], local).flatten(0, 2).repeat(draws, 1))
        return self._as_cells(found, target)

    def _predicted(self, symbols: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return predictions (B, rows, columns, channels) and (B, channels, rows, columns).

        To the second ones, what the first ones miss in the channel before is added.
        """
        if self.differences is None:
            return None, None
        local, expected = predicted(symbols, len(self.differences) // 2)
        return local.movedim(1, -1), expected

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the values that are chosen one after the other, each nearest to its mean.

        They are found once for rows whose parameters are all equal.
        """
        lead = parameters.shape[: -1 - self.places]
        rows, nearest = parameters.flatten(0, len(lead) - 1), [head.nearest for head in self.heads]
        if bool((rows == rows[:1]).all()):
            value = self._decoded(rows[:1], nearest)[0]
            return value.expand(*lead, *value.shape)
        values = self._decoded(rows, nearest)
        return values.reshape(*lead, *values.shape[1:])

    def sample(self, parameters: Tensor) -> Tensor:
        """Return draws, one cell after the other."""
        lead = parameters.shape[: -1 - self.places]
        draw = [head.sample for head in self.heads]
        values = self._decoded(parameters.flatten(0, len(lead) - 1), draw)
        return values.reshape(*lead, *values.shape[1:])

    def _decoded(self, rows: Tensor, choose: Sequence[Chosen]) -> Tensor:
        """Return the values (n, *shape) of symbols that are chosen, each channel's in its way."""
        start = rows.reshape(*rows.shape[:2], *(*rows.shape[2:], 1, 1)[:2])
        height, width = start.shape[2:] if self.grid is None else self.grid.tolist()
        symbols = self.layers().in_order(
            start,
            len(rows),
            (height, width),
            lambda cells: choose[cells.channel](cells.own_units, cells.expected),
        )
        values = [a.values[symbols[:, c]] for c, a in enumerate(self.alphabets)]
        if not self.places:
            columns = [values[0].new_zeros(len(rows), cells) for cells in self.cells]
            for i, value in zip(self.coded, values, strict=True):
                columns[i] = value.flatten(1)
            return torch.cat(columns, 1)
        shape = symbols.shape[2:][: self.places]
        return torch.cat(values, -1).movedim(-1, 1).reshape(len(rows), len(values), *shape)

    def rare_weights(self) -> list[Tensor]:
        """Return the weights of the logits: most symbols are rare."""
        return [cast(nn.Parameter, head.output.weight) for head in self.heads]

    def layers(self) -> Layers:
        """Return the network's weights as matrices, for evaluation place by place."""
        convolutions = [] if self.first is None else [self.first, *self.inner]
        zeros = [
            convolution.weight.new_zeros(len(convolution.weight)) for convolution in convolutions
        ]
        return Layers(
            inputs=self.inputs,
            windows=[convolution.window for convolution in convolutions],
            convolutions=[
                Affine(convolution.matrix(), bias.detach())
                for convolution, bias in zip(convolutions, [*zeros[:1], *self.biases], strict=True)
            ],
            limits=[torch.inf] * len(self.largest),
            steps=None,
            hidden=[Affine(h.layer.weight.detach().T, h.layer.bias.detach()) for h in self.heads],
            output=[Affine(h.output.weight.detach().T, h.output.bias.detach()) for h in self.heads],
            background=[head.mode for head in self.heads if isinstance(head, SoftmaxHead)],
        )

    def _convolved(
        self, inputs: list[Tensor], local: Tensor | None, start: Tensor, draws: int
    ) -> Tensor:
        """Return the activations that all heads see: (K · B, width, rows, columns)."""
        h = start
        if self.first is not None:
            seen = self._first(torch.cat(inputs, -1).movedim(-1, 1), local)
            h = h + (seen if draws == 1 else seen.repeat(draws, 1, 1, 1))
        activation = self._follow(0, functional.relu(h))
        for layer, (convolution, bias) in enumerate(zip(self.inner, self.biases, strict=True), 1):
            h = h + convolution(activation) + bias[:, None, None]
            activation = self._follow(layer, functional.relu(h))
        return activation

    def _first(self, inputs: Tensor, local: Tensor | None) -> Tensor:
        """Return the first convolution of inputs, relative to predictions where there are any."""
        assert self.first is not None
        if local is None:
            return cast(Tensor, self.first(inputs))
        seen, known = self.inputs, inputs.new_ones(1, 1, *inputs.shape[2:])
        # Both terms are large and their difference is small: half precision does not do.
        with torch.autocast(inputs.device.type, enabled=False):
            total = self.first(inputs)
            for c in range(len(self.heads)):
                level = seen.levels_of(c, local)[:, None]
                total = total - self.first.of(known, slice(3 * c, 3 * c + 1)) * level
        return cast(Tensor, total)

    def _follow(self, layer: int, activation: Tensor) -> Tensor:
        """Return the activation; in training, its maximum goes into a running mean."""
        if self.training:
            present = workers.largest(activation.detach().max().to(self.largest))
            weight = torch.where(self.largest[layer] == 0, 1.0, FOLLOWED)
            self.largest[layer] += weight * (present - self.largest[layer])
        return activation

    def _as_cells(self, log_probs: list[Tensor], target: Tensor) -> Tensor:
        """Return values of channels as cells (K, B, *shape): those of a column in its first."""
        if self.places:
            return torch.stack(log_probs, 2).reshape(len(log_probs[0]), *target.shape)
        draws, rows = log_probs[0].shape[:2]
        columns = [log_probs[0].new_zeros(draws, rows, cells) for cells in self.cells]
        for i, found in zip(self.coded, log_probs, strict=True):
            columns[i] = functional.pad(found.flatten(2), (0, self.cells[i] - 1))
        return torch.cat(columns, -1)
