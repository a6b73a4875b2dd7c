"""Quantized coefficients of pictures as bytes, and decoded pictures, exact on every machine.

Networks have no function but linear maps and ReLU. Weights are rounded to multiples of 2^-22, and
inputs of linear maps to multiples of 2^-14; sums of products are below 2^16, so that double
precision adds them without error, in any order. What else there is are single operations, which
are rounded alike everywhere, and exponentials, which are computed in decimals.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache, partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from attar.codec.coded_pictures import LAYERS
from attar.codec.rans import Decoder, Encoder, Symbols
from attar.codec.rounding import INPUT_BITS, input_limit, round_weights
from attar.codes.contextual import LOG_SCALES, ContextPrior, Pass, nats
from attar.networks.lapped import Analysis, Synthesis

M = TypeVar("M", bound=nn.Module)

# Log-scales are rounded to eighths. Below the first one that is coded, a coefficient is its median:
# one in a thousand would be another.
EIGHTHS, FIRST = 8, 19
LEVELS = int((LOG_SCALES[1] - LOG_SCALES[0]) * EIGHTHS) + 1

# Frequencies add up to 2^16. Symbols reach so many scales to each side, and then 2^16 steps.
PRECISION, REACH, BEYOND = 16, 10, 16

# How much of a squared step's loss a nat of the rate is worth, where symbols are chosen.
NAT = 0.16


def exactly(module: M) -> M:
    """Return a copy in double precision whose linear maps have exact sums.

    Raises
    ------
    SettingError
        If weights are so large that sums are not exact.
    """
    copy = deepcopy(module).cpu().double().eval().requires_grad_(False)
    for layer in copy.modules():
        if isinstance(layer, nn.Linear):
            round_weights(layer)
            limit = float(np.floor(input_limit(layer)))
            layer.register_forward_pre_hook(partial(_rounded, limit))
    return copy


def dyadic(x: Tensor, bits: int) -> Tensor:
    """Return the nearest multiples of 2^-bits."""
    return (x * 2.0**bits).round() * 2.0**-bits


def _rounded(limit: float, layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    return (dyadic(inputs[0], INPUT_BITS).clamp(-limit, limit),)


def exponentials(x: Tensor) -> Tensor:
    """Return the multiples of 2^-30 nearest to the exponentials of doubles (n,)."""
    with localcontext(prec=40):
        found = [(Decimal(value).exp() * (1 << 30)).to_integral_value() for value in x.tolist()]
    return torch.tensor([float(value) for value in found], dtype=torch.double) * 2.0**-30


@dataclass(frozen=True)
class LaplaceTable:
    """The frequencies of steps, by a Laplace distribution around 0.

    Attributes
    ----------
    cumulative : int array (2 reach + 3,)
        Of steps from -reach to reach, in units of 2^shift steps, and of anything beyond.
    shift : int
        So many bits of a step are equally frequent.
    reach : int
    """

    cumulative: Symbols
    shift: int
    reach: int

    @classmethod
    def of(cls, level: int) -> LaplaceTable:
        """Return the table of a log-scale."""
        with localcontext(prec=40):
            scale = (Decimal(LOG_SCALES[0]) + Decimal(level) / EIGHTHS).exp()
            shift = max(0, int(scale / 16).bit_length())
            reach = int(REACH * scale / (1 << shift)) + 1
            # The probability above each edge between symbols, every 2^shift steps.
            edges = [
                ((Decimal(k) - Decimal("0.5") / (1 << shift)) * (1 << shift) / scale)
                for k in range(-reach, reach + 2)
            ]
            above = [(-x).exp() / 2 if x >= 0 else 1 - x.exp() / 2 for x in edges]
            shares = [above[i] - above[i + 1] for i in range(len(edges) - 1)]
            room = (1 << PRECISION) - len(shares) - 1
            counts = [int(share * room) + 1 for share in shares]
        counts.append(1)
        counts[reach] += (1 << PRECISION) - sum(counts)
        return cls(np.concatenate([[0], np.cumsum(counts)]), shift, reach)


@dataclass(frozen=True)
class LaplaceTables:
    """The tables of all log-scales.

    Attributes
    ----------
    cumulative : int array (LEVELS, width)
    shift, reach : int array (LEVELS,)
    sums : list of list of int
        The rows of cumulative.
    found : list of array
        The symbol of each place in the sums of frequencies.
    """

    cumulative: Symbols
    shift: Symbols
    reach: Symbols
    sums: list[list[int]]
    found: list[array[int]]

    def push(self, encoder: Encoder, steps: Symbols, levels: Symbols) -> None:
        """Code steps (n,) whose log-scales have numbers (n,)."""
        shift, reach = self.shift[levels], self.reach[levels]
        symbols = (steps >> shift) + reach
        beyond = (symbols < 0) | (symbols > 2 * reach)
        symbols = np.where(beyond, 2 * reach + 1, symbols)
        starts = self.cumulative[levels, symbols]
        encoder.push(starts, self.cumulative[levels, symbols + 1] - starts, PRECISION)
        for bits in np.unique(shift[~beyond & (shift > 0)]).tolist():
            low = steps[~beyond & (shift == bits)] & (1 << bits) - 1
            encoder.push_bits(low, bits)
        encoder.push_bits(steps[beyond] + (1 << BEYOND - 1), BEYOND)

    def pop(self, decoder: Decoder, levels: Symbols) -> Symbols:
        """Return the steps that were coded."""
        symbols = decoder.pop_tabled(levels, self.sums, self.found)
        shift, reach = self.shift[levels], self.reach[levels]
        beyond = symbols > 2 * reach
        steps = (symbols - reach) << shift
        for bits in np.unique(shift[~beyond & (shift > 0)]).tolist():
            some = ~beyond & (shift == bits)
            steps[some] |= decoder.pop_bits(int(some.sum()), bits)
        steps[beyond] = decoder.pop_bits(int(beyond.sum()), BEYOND) - (1 << BEYOND - 1)
        return steps


@cache
def tables() -> LaplaceTables:
    """Return the tables of all log-scales."""
    made = [LaplaceTable.of(level) for level in range(LEVELS)]
    width = max(len(table.cumulative) for table in made)
    cumulative = np.full((LEVELS, width), 1 << PRECISION, np.int64)
    found = []
    for i, table in enumerate(made):
        cumulative[i, : len(table.cumulative)] = table.cumulative
        letters = np.repeat(np.arange(len(table.cumulative) - 1), np.diff(table.cumulative))
        found.append(array("h", letters.astype(np.int16).tobytes()))
    shift, reach = (np.array([getattr(t, name) for t in made]) for name in ("shift", "reach"))
    return LaplaceTables(cumulative, shift, reach, cumulative.tolist(), found)


class CoefficientCoder:
    """Codes pictures of one size at a quality.

    Parameters
    ----------
    analysis : Analysis
    prior : ContextPrior
    synthesis : Synthesis
    """

    def __init__(self, analysis: Analysis, prior: ContextPrior, synthesis: Synthesis) -> None:
        self.analysis = deepcopy(analysis).cpu().double().eval().requires_grad_(False)
        self.prior, self.synthesis = exactly(prior), exactly(synthesis)
        self.prior.log_ratios.copy_(dyadic(self.prior.log_ratios, 20))
        self.block = analysis.block

    @torch.no_grad()
    def encode(self, images: Tensor, quality: float) -> tuple[list[bytes], Tensor]:
        """Return the layers of images (n, C, H, W), and what is decoded: (n, C, H, W).

        Parameters
        ----------
        images : Tensor
            In double precision.
        quality : float
            0 to 1, a multiple of 2^-10.
        """
        y = self.analysis.grid(images)
        encoders = [Encoder() for _ in range(LAYERS)]

        def steps_of(layer: int, known: Quantization) -> Tensor:
            exact = (known.of(y) - known.median) / known.step
            steps = _chosen(exact, known.scale).clamp(-(1 << BEYOND - 1), (1 << BEYOND - 1) - 1)
            coded = known.levels >= FIRST
            some = coded.numpy()
            tables().push(
                encoders[layer], steps.numpy()[some].astype(np.int64), known.levels.numpy()[some]
            )
            return torch.where(coded, steps, 0.0)

        decoded = self._decoded(y.shape[:3], quality, images.shape[2:], steps_of)
        return [encoder.finish(lanes=1) for encoder in encoders], decoded

    @torch.no_grad()
    def decode(
        self, layers: Sequence[bytes], n: int, size: tuple[int, int], quality: float
    ) -> Tensor:
        """Return images (n, C, H, W); of the layers that are not there, the medians.

        Raises
        ------
        ArchiveError
            If a layer is damaged.
        """
        decoders = [Decoder(layer) for layer in layers]

        def steps_of(layer: int, known: Quantization) -> Tensor:
            steps, coded = torch.zeros_like(known.median), known.levels >= FIRST
            if layer < len(decoders):
                found = tables().pop(decoders[layer], known.levels[coded].numpy())
                steps[coded] = torch.from_numpy(found).double()
            return steps

        height, width = (-(-side // self.block) for side in size)
        decoded = self._decoded((n, height, width), quality, size, steps_of)
        for decoder in decoders:
            decoder.done()
        return decoded

    def _decoded(
        self,
        shape: Sequence[int],
        quality: float,
        size: Sequence[int],
        steps_of: StepsOf,
    ) -> Tensor:
        prior, (n, height, width) = self.prior, shape
        qualities = torch.full((n,), quality, dtype=torch.double)
        log_steps = prior.log_steps(qualities[:1])
        steps = exponentials(log_steps[0])
        state = prior.first_state(qualities, height, width)
        known = torch.zeros(n, height, width, prior.coefficients, dtype=torch.double)
        for i, one in enumerate(prior.passes):
            places = one.places(height, width)
            median, log_ratio = prior.medians(i, state[:, places])
            log_scale = prior.log_scale(one, log_ratio, log_steps)
            levels = ((log_scale - LOG_SCALES[0]) * EIGHTHS).round().long()
            step = steps[one.first : one.last]
            found = torch.zeros(n, height, width, one.last - one.first, dtype=torch.double)
            coded = Quantization(one, places, median, step, levels)
            found[:, places] = median + steps_of(_layer(one), coded) * step
            known[..., one.first : one.last] += found
            state = prior.next_state(i, state, found)
        log_step = prior.log_step(qualities[:1])
        pixels = self.synthesis.pixels(known, log_step.expand(n), exponentials(log_step))
        return pixels[..., : size[0], : size[1]]


@dataclass(frozen=True)
class Quantization:
    """The coefficients of a pass.

    Attributes
    ----------
    one : Pass
    places : bool Tensor (height, width)
    median : Tensor (n, places, size)
    step : Tensor (size,)
    levels : int Tensor (n, places, size)
        The log-scales, in eighths.
    """

    one: Pass
    places: Tensor
    median: Tensor
    step: Tensor
    levels: Tensor

    @property
    def scale(self) -> Tensor:
        """The scales, in steps."""
        return (self.levels.double() / EIGHTHS + LOG_SCALES[0]).exp()

    def of(self, grid: Tensor) -> Tensor:
        """Return these coefficients of a grid (n, height, width, coefficients)."""
        return grid[:, self.places, self.one.first : self.one.last]


# From a layer and what is known of a pass to the steps of its coefficients.
StepsOf = Callable[[int, Quantization], Tensor]


def _layer(one: Pass) -> int:
    """Return the layer of a pass: low frequencies are coded in halves, high ones at once."""
    return 0 if one.first == 0 else 1 if len(one.pattern) > 1 else 2


def _chosen(exact: Tensor, scale: Tensor) -> Tensor:
    """Return the integers of the least cost: the nearest, the one before it, or 0."""
    best = exact.round()
    costs = (exact - best).square() + NAT * nats(best, scale)
    for other in (best - best.sign(), torch.zeros_like(best)):
        cost = (exact - other).square() + NAT * nats(other, scale)
        best, costs = torch.where(cost < costs, other, best), torch.minimum(cost, costs)
    return best
