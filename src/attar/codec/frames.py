"""The symbols of frames of sound as bytes, by a causal network that is exact on every machine.

The network has no function but linear maps and ReLU. Weights are rounded to multiples of 2^-22 and
inputs of linear maps to multiples of 2^-14, and are so small that every sum of products is below
2^16: double precision adds these without error, in any order. Rounding and ReLU are exact too.
Logits become integers, and these frequencies by a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from attar.codec.rans import Decoder, Encoder, Symbols
from attar.codec.rounding import INPUT_BITS, LARGEST_INPUT, LARGEST_SUM, PRODUCT_BITS, WEIGHT_BITS
from attar.errors import SettingError
from attar.likelihoods.integer_tables import FAR, PRECISION, UNIT, exponentials
from attar.sampling.frames import APART, NEAR, FrameNetwork

Array = NDArray[np.float64]
Depths = NDArray[np.intp]
Flags = NDArray[np.bool_]

# Inputs of linear maps are multiples of one over this.
UNITS = 2.0**INPUT_BITS

# A stage, in units of the product of level and factor.
STAGE = 1 << 16


@dataclass(frozen=True)
class ExactMap:
    """A linear map whose sums are exact, of inputs that it rounds.

    Attributes
    ----------
    weight : array (inputs, outputs)
    bias : array (outputs,)
    limit : float
        The largest input.
    """

    weight: Array
    bias: Array
    limit: float

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None = None) -> Self:
        """Return a map with rounded weights (inputs, outputs).

        Raises
        ------
        SettingError
            If weights are so large that sums are not exact.
        """
        rounded = dyadic(weight.detach().cpu().double().numpy(), WEIGHT_BITS)
        shift = np.zeros(rounded.shape[1])
        if bias is not None:
            shift = dyadic(bias.detach().cpu().double().numpy(), PRODUCT_BITS)
        room = LARGEST_SUM / 2 - np.abs(shift).max(initial=0.0)
        limit = min(LARGEST_INPUT, room / max(1.0, np.abs(rounded).sum(0).max()))
        if not limit >= 1:
            raise SettingError(
                "A weight of the network of symbols is so large that sums are not exact: train the "
                "model again."
            )
        return cls(rounded, shift, np.floor(limit))

    @cached_property
    def scaled(self) -> Array:
        """The weights of inputs in units of 2^-14."""
        return self.weight / UNITS

    def __call__(self, x: Array) -> Array:
        """Return the outputs of inputs (n, inputs): (n, outputs)."""
        rounded = np.rint(x * UNITS)
        np.minimum(rounded, self.limit * UNITS, out=rounded)
        np.maximum(rounded, -self.limit * UNITS, out=rounded)
        outputs: Array = rounded @ self.scaled
        outputs += self.bias
        return outputs


def dyadic(x: Array, bits: int) -> Array:
    """Return the nearest multiples of 2^-bits."""
    found: Array = np.rint(x * 2.0**bits) * 2.0**-bits
    return found


def rectified(x: Array) -> Array:
    """Return max(x, 0)."""
    return np.maximum(x, 0.0)


def cumulative(logits: Array) -> Symbols:
    """Return the cumulative frequencies, up to 2^16, of symbols with logits (n, size) in nats.

    Each has a frequency of 1 at least.

    Examples
    --------
    >>> cumulative(np.array([[0.0, -20.0, 0.0]])).tolist()
    [[0, 32768, 32769, 65536]]
    """
    levels = np.rint(logits * (1 << UNIT)).astype(np.int64)
    top = levels.max(1, keepdims=True)
    weights = _EXPONENTIALS[np.minimum(top - levels, FAR)]
    left = (1 << PRECISION) - levels.shape[1]
    frequencies = weights * left // weights.sum(1, keepdims=True) + 1
    rows = np.arange(len(levels))
    frequencies[rows, levels.argmax(1)] += (1 << PRECISION) - frequencies.sum(1)
    found = np.zeros((len(levels), levels.shape[1] + 1), np.int64)
    frequencies.cumsum(1, out=found[:, 1:])
    return found


_EXPONENTIALS = exponentials().numpy().astype(np.int64)


class FrameCoder:
    """Codes symbols of frames, each cut after some stages; a frame of none has no symbols.

    Parameters
    ----------
    network : FrameNetwork
    """

    def __init__(self, network: FrameNetwork) -> None:
        self.stages, self.size = network.stages, network.size
        self.factors = network.factors.cpu().numpy().astype(np.int64)
        scaled = (network.scale * network.books).double().cpu().numpy()
        self.entries = dyadic(scaled, INPUT_BITS)
        self.input = ExactMap.of(network.input.weight.mT, network.input.bias)
        self.near = ExactMap.of(network.near.weight.mT, network.near.bias)
        self.far = ExactMap.of(network.far.weight.mT, network.far.bias)
        self.hidden = network.far.out_features
        weights = network.context.weight.reshape(self.stages, self.hidden, -1).mT
        biases = network.context.bias.reshape(self.stages, -1)
        self.context = [ExactMap.of(*pair) for pair in zip(weights, biases, strict=True)]
        self.known = [ExactMap.of(weight) for weight in network.known]
        self.queries = [ExactMap.of(weight) for weight in network.queries]
        self.keys = [
            ExactMap.of(keys.mT, bias)
            for keys, bias in zip(network.keys, network.biases, strict=True)
        ]

    @property
    def most(self) -> int:
        """The level at which all frames have all stages."""
        return int(-(-self.stages * STAGE // self.factors.min()))

    def step(self, level: int, first: Symbols) -> Symbols:
        """Return how many stages frames with first symbols should have, in units of 2^-16."""
        return (level * self.factors[first]).clip(STAGE, self.stages * STAGE)

    def depths(self, level: int, firsts: Symbols, coded: Flags) -> Depths:
        """Return how many stages each frame has: its share of a level, which is carried on.

        Parameters
        ----------
        level : int
            The mean number of stages, in 256ths.
        firsts : int array (t,)
            The first symbol of each frame.
        coded : bool array (t,)
            Which frames have symbols at all.
        """
        ends = (self.step(level, firsts) * coded).cumsum() // STAGE
        return np.diff(ends, prepend=0).astype(np.intp)

    def encode(self, symbols: Symbols, depths: Depths) -> bytes:
        """Return symbols (t, stages), of which each frame has the first ones, as bytes."""
        encoder = Encoder()
        starts, frequencies = self._ranges(symbols, depths)
        if len(starts):
            encoder.push(starts, frequencies)
        return encoder.finish(lanes=min(1, len(starts)))

    def bits(self, symbols: Symbols, depths: Depths) -> float:
        """Return how many bits the symbols take, without what a coder adds."""
        _, frequencies = self._ranges(symbols, depths)
        return float(PRECISION * len(frequencies) - np.log2(frequencies).sum())

    def decode(self, data: bytes, level: int, coded: Flags) -> tuple[Symbols, Depths]:
        """Return the symbols (t, stages) of bytes, 0 behind the depth of a frame, and the depths.

        Raises
        ------
        ArchiveError
            If the bytes are damaged.
        """
        decoder, found = Decoder(data), np.zeros((len(coded), self.stages), np.int64)
        depths, total = np.zeros(len(coded), np.intp), 0
        inputs = np.zeros((len(coded) + NEAR, self.hidden))
        firsts = np.zeros((len(coded) + max(APART), self.hidden))
        for t in range(len(coded)):
            firsts[t + max(APART)] = rectified(self.near(inputs[None, t : t + NEAR].reshape(1, -1)))
            far = firsts[[t + max(APART) - i for i in APART]].reshape(1, -1)
            context, entries = rectified(self.far(far)), np.zeros((1, self.entries.shape[2]))
            stage = 0
            while stage < depths[t] or (coded[t] and not stage):
                symbol = _popped(decoder, cumulative(self._logits(stage, context, entries))[0])
                found[t, stage] = symbol
                entries = entries + self.entries[stage, symbol]
                if not stage:
                    before, total = total, total + int(self.step(level, found[t, :1])[0])
                    depths[t] = total // STAGE - before // STAGE
                stage += 1
            inputs[t + NEAR] = rectified(self.input(entries))
        decoder.done()
        return found, depths

    def _ranges(self, symbols: Symbols, depths: Depths) -> tuple[Symbols, Symbols]:
        """Return where the frequencies of symbols start, and these, in the order of coding."""
        used = np.arange(self.stages) < depths[:, None]
        entries = self.entries[np.arange(self.stages), symbols] * used[..., None]
        sums = np.concatenate([np.zeros_like(entries[:, :1]), entries.cumsum(1)], 1)
        contexts = self._contexts(sums[:, -1])
        starts, frequencies = np.zeros((2, *symbols.shape), np.int64)
        for stage in range(int(depths.max(initial=0))):
            (rows,) = used[:, stage].nonzero()
            found = cumulative(self._logits(stage, contexts[rows], sums[rows, stage]))
            chosen = symbols[rows, stage]
            places = np.arange(len(rows))
            starts[rows, stage] = found[places, chosen]
            frequencies[rows, stage] = found[places, chosen + 1] - found[places, chosen]
        return starts[used], frequencies[used]

    def _contexts(self, frames: Array) -> Array:
        n = len(frames)
        inputs = np.pad(rectified(self.input(frames)), [(NEAR, 0), (0, 0)])
        near = np.concatenate([inputs[i : i + n] for i in range(NEAR)], 1)
        firsts = np.pad(rectified(self.near(near)), [(max(APART), 0), (0, 0)])
        far = np.concatenate([firsts[max(APART) - i :][:n] for i in APART], 1)
        return rectified(self.far(far))

    def _logits(self, stage: int, contexts: Array, sums: Array) -> Array:
        units = rectified(self.context[stage](contexts) + self.known[stage](sums))
        return self.keys[stage](self.queries[stage](units))


def _popped(decoder: Decoder, sums: Symbols) -> int:
    """Return the next symbol of one row of cumulative frequencies."""

    def find(slots: Symbols, _: slice) -> tuple[Symbols, Symbols, Symbols]:
        places = sums.searchsorted(slots, "right") - 1
        return places, sums[places], sums[places + 1] - sums[places]

    return int(decoder.pop_found(1, find, PRECISION)[0])


def runs_of(flags: NDArray[np.bool_]) -> Iterator[int]:
    """Yield the lengths of the runs of flags, of which the first is of False, perhaps of none.

    Examples
    --------
    >>> list(runs_of(np.array([True, True, False])))
    [0, 2, 1]
    """
    changes = np.flatnonzero(np.diff(flags, prepend=False))
    edges = np.concatenate([[0], changes, [len(flags)]])
    yield from np.diff(edges).tolist()
