"""Symbols of rows as bytes, by a causal likelihood on integers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attar.codec.integer import (
    FINE,
    LevelRanges,
    cumulative_frequencies,
    mode_frequency,
    on_integers,
)
from attar.codec.rans import Decoder, Encoder
from attar.codes.point import NoCodeModule
from attar.errors import SettingError
from attar.likelihoods.causal import CausalModule
from attar.likelihoods.heads import Head, LogisticHead, SoftmaxHead
from attar.likelihoods.integer_tables import PRECISION
from attar.likelihoods.sequential import Affine, Cells, Layers
from attar.model import Model
from attar.networks.base import Reshape

Symbols = NDArray[np.int64]
Mask = NDArray[np.bool_]

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class ChannelCoder(ABC):
    """The symbols of one channel as bytes.

    Attributes
    ----------
    output : Affine
        Of the channel's head.
    """

    output: Affine

    def on(self, device: torch.device) -> Self:
        """Return the coder on a device."""
        return replace(self, output=self.output.on(device))

    @abstractmethod
    def push(self, encoder: Encoder, cells: Cells, some: Symbols, symbols: Symbols) -> None:
        """Push the symbols (m,) of some of the cells."""

    @abstractmethod
    def pop(self, decoder: Decoder, cells: Cells, some: Symbols) -> Symbols:
        """Return the symbols (m,) of some of the cells."""


@dataclass(frozen=True)
class SoftmaxCoder(ChannelCoder):
    """Whether a symbol is the most frequent one, and then which of the others.

    Attributes
    ----------
    mode : int
    """

    mode: int

    def push(self, encoder: Encoder, cells: Cells, some: Symbols, symbols: Symbols) -> None:
        """Push symbols."""
        rows = cells.which.cpu().numpy()[some]
        is_mode, flags = symbols == self.mode, self._flags(cells.units)[rows]
        starts = np.where(is_mode, 0, flags)
        encoder.push(starts, np.where(is_mode, flags, (1 << PRECISION) - flags))
        others = np.flatnonzero(~is_mode)
        if len(others):
            table = self._others(cells.units, rows[others])
            places = np.arange(len(others)), symbols[others]
            starts = table[places]
            encoder.push(starts, table[places[0], places[1] + 1] - starts)

    def pop(self, decoder: Decoder, cells: Cells, some: Symbols) -> Symbols:
        """Return symbols."""
        rows = cells.which.cpu().numpy()[some]
        flags = self._flags(cells.units)[rows]
        ends = np.full_like(flags, 1 << PRECISION)
        popped = decoder.pop(np.stack([np.zeros_like(flags), flags, ends], 1))
        symbols = np.full(len(some), self.mode)
        others = np.flatnonzero(popped)
        if len(others):
            symbols[others] = decoder.pop(self._others(cells.units, rows[others]))
        return symbols

    def _flags(self, units: Tensor) -> Symbols:
        """Return the frequency of the mode for each of some units."""
        return mode_frequency(self.output.of(units, self.mode)).cpu().numpy()

    def _others(self, units: Tensor, rows: Symbols) -> Symbols:
        """Return the cumulative frequencies of the other symbols for some of the units."""
        own = units.index_select(0, torch.from_numpy(rows).to(units.device))
        return cumulative_frequencies(self.output(own), self.mode).cpu().numpy()


@dataclass(frozen=True)
class LogisticCoder(ChannelCoder):
    """Levels by a mixture of discretized logistic distributions.

    Attributes
    ----------
    levels : int
    """

    levels: int

    def push(self, encoder: Encoder, cells: Cells, some: Symbols, symbols: Symbols) -> None:
        """Push levels."""
        ranges = self._ranges(cells, some)
        starts, frequencies = ranges.ranges(torch.from_numpy(symbols).to(cells.units.device))
        encoder.push(starts.cpu().numpy(), frequencies.cpu().numpy(), FINE)

    def pop(self, decoder: Decoder, cells: Cells, some: Symbols) -> Symbols:
        """Return levels."""
        ranges, device = self._ranges(cells, some), cells.units.device

        def found(slots: Symbols, rows: slice) -> tuple[Symbols, Symbols, Symbols]:
            symbols = ranges.symbols(torch.from_numpy(slots).to(device), rows)
            starts, frequencies = ranges.ranges(symbols, rows)
            return symbols.cpu().numpy(), starts.cpu().numpy(), frequencies.cpu().numpy()

        return decoder.pop_found(len(some), found, FINE)

    def _ranges(self, cells: Cells, some: Symbols) -> LevelRanges:
        assert cells.expected is not None
        chosen = torch.from_numpy(some).to(cells.units.device)
        units = cells.units.index_select(0, cells.which[chosen])
        return LevelRanges.of(self.output(units), cells.expected[chosen], self.levels)


def channel_coder(head: Head, output: Affine) -> ChannelCoder:
    """Return the coder of a head, with its output on integers."""
    if isinstance(head, LogisticHead):
        return LogisticCoder(output, head.levels)
    assert isinstance(head, SoftmaxHead)
    return SoftmaxCoder(output, head.mode)


@dataclass(frozen=True)
class CausalCoder:
    """The network of a causal likelihood on integers, which codes all rows of a chunk at once.

    Attributes
    ----------
    layers : Layers
    start : Tensor (1, width, height, width of the map)
        What the decoder says of every row.
    channels : tuple of ChannelCoder
    """

    layers: Layers
    start: Tensor
    channels: tuple[ChannelCoder, ...]

    @classmethod
    def of(cls, model: Model) -> Self:
        """Return the coder of a model without a code.

        Raises
        ------
        SettingError
            If the decoder's output is not the same number on every machine.
        """
        likelihood = model.likelihood
        assert isinstance(likelihood, CausalModule)
        return cls.by(likelihood, _constant(model))

    @classmethod
    def by(cls, likelihood: CausalModule, start: Tensor) -> Self:
        """Return the coder of a likelihood and the map that it starts from."""
        layers = replace(likelihood.layers(), limits=likelihood.largest.tolist())
        network, start = on_integers(layers, start)
        heads = zip(likelihood.heads, network.output, strict=True)
        return cls(network, start, tuple(channel_coder(*pair) for pair in heads))

    def on(self, device: torch.device) -> Self:
        """Return the coder on a device."""
        channels = tuple(channel.on(device) for channel in self.channels)
        start = self.start.to(device)
        return replace(self, layers=self.layers.on(device), start=start, channels=channels)

    def encode(self, encoder: Encoder, symbols: Symbols, coded: Mask) -> None:
        """Push symbols (n, channels, height, width), those alone that are to be coded."""
        known, mask = _by_place(symbols), _by_place(coded)

        def choose(cells: Cells) -> Tensor:
            y, x = (places.cpu().numpy() for places in cells.places)
            own = known[y, x, cells.channel].ravel()
            some = np.flatnonzero(mask[y, x, cells.channel])
            self.channels[cells.channel].push(encoder, cells, some, own[some])
            return torch.from_numpy(own).to(self.start.device)

        self.layers.in_order(self.start, len(symbols), symbols.shape[2:], choose)

    def decode(self, decoder: Decoder, symbols: Symbols, coded: Mask) -> Symbols:
        """Return symbols, those that were coded from a decoder, and the others as they are."""
        given, mask = _by_place(symbols), _by_place(coded)

        def choose(cells: Cells) -> Tensor:
            y, x = (places.cpu().numpy() for places in cells.places)
            own = given[y, x, cells.channel].ravel()
            some = np.flatnonzero(mask[y, x, cells.channel])
            own[some] = self.channels[cells.channel].pop(decoder, cells, some)
            return torch.from_numpy(own).to(self.start.device)

        found = self.layers.in_order(self.start, len(symbols), symbols.shape[2:], choose)
        return np.asarray(found)


def _by_place(cells: NDArray[T]) -> NDArray[T]:
    """Return cells (n, channels, height, width) in the order of coding: those of a place last."""
    return np.ascontiguousarray(cells.transpose(2, 3, 1, 0))


def _constant(model: Model) -> Tensor:
    """Return the decoder's output where there is no code: (1, width, height, width of the map)."""
    match model.code, list(model.decoder.children()), model.condition:
        case NoCodeModule(), [nn.Linear() as linear, Reshape() as reshape], None:
            # A product with zeros is 0 on every machine, and the bias is left.
            start: Tensor = reshape(linear.bias.detach()[None])
            return start.reshape(*start.shape[:2], *(*start.shape[2:], 1, 1)[:2])
    raise SettingError(
        "The codec takes a causal likelihood without a code and a condition: fit with "
        "recipe='lossless', and leave the network 'auto'."
    )
