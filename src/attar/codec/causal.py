"""Symbols of rows as bytes, by a causal likelihood on integers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attar.codec.integer import (
    FINE,
    PRECISION,
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
from attar.likelihoods.sequential import Affine, Layers, Places
from attar.model import Model
from attar.networks.base import Reshape

Symbols = NDArray[np.int64]


class ChannelCoder(ABC):
    """The symbols of one channel as bytes, given hidden units and predictions."""

    output: Affine

    @abstractmethod
    def on(self, device: torch.device) -> Self:
        """Return the coder on a device."""

    @abstractmethod
    def push(
        self, encoder: Encoder, units: Tensor, expected: Tensor | None, symbols: Symbols
    ) -> None:
        """Push symbols (n,)."""

    @abstractmethod
    def pop(self, decoder: Decoder, units: Tensor, expected: Tensor | None) -> Symbols:
        """Return the symbols (n,)."""


@dataclass(frozen=True)
class SoftmaxCoder(ChannelCoder):
    """The most frequent symbol, and then one of all others.

    Attributes
    ----------
    output : Affine
    mode : int
    """

    output: Affine
    mode: int

    def on(self, device: torch.device) -> Self:
        """Return the coder on a device."""
        return replace(self, output=self.output.on(device))

    def push(
        self, encoder: Encoder, units: Tensor, expected: Tensor | None, symbols: Symbols
    ) -> None:
        """Push whether symbols are the most frequent one, and then others."""
        is_mode, flags = symbols == self.mode, self._flags(units)
        starts = np.where(is_mode, 0, flags)
        encoder.push(starts, np.where(is_mode, flags, (1 << PRECISION) - flags))
        others = np.flatnonzero(~is_mode)
        if len(others):
            table = self._others(units[others])
            places = np.arange(len(others)), symbols[others]
            starts = table[places]
            encoder.push(starts, table[places[0], places[1] + 1] - starts)

    def pop(self, decoder: Decoder, units: Tensor, expected: Tensor | None) -> Symbols:
        """Return the symbols."""
        flags = self._flags(units)
        ends = np.full_like(flags, 1 << PRECISION)
        popped = decoder.pop(np.stack([np.zeros_like(flags), flags, ends], 1))
        symbols = np.full(len(units), self.mode)
        others = np.flatnonzero(popped)
        if len(others):
            symbols[others] = decoder.pop(self._others(units[others]))
        return symbols

    def _flags(self, units: Tensor) -> NDArray[np.int64]:
        """Return the frequency of the mode in each row."""
        return mode_frequency(self.output.of(units, self.mode)).cpu().numpy()

    def _others(self, units: Tensor) -> NDArray[np.int64]:
        """Return the cumulative frequencies of the other symbols in each row."""
        return cumulative_frequencies(self.output(units), self.mode).cpu().numpy()


@dataclass(frozen=True)
class LogisticCoder(ChannelCoder):
    """Levels by a mixture of discretized logistic distributions.

    Attributes
    ----------
    output : Affine
    levels : int
    """

    output: Affine
    levels: int

    def on(self, device: torch.device) -> Self:
        """Return the coder on a device."""
        return replace(self, output=self.output.on(device))

    def push(
        self, encoder: Encoder, units: Tensor, expected: Tensor | None, symbols: Symbols
    ) -> None:
        """Push levels."""
        mixture = self._mixture(units, expected)
        starts, frequencies = mixture.ranges(torch.from_numpy(symbols).to(units.device))
        encoder.push(starts.cpu().numpy(), frequencies.cpu().numpy(), FINE)

    def pop(self, decoder: Decoder, units: Tensor, expected: Tensor | None) -> Symbols:
        """Return the levels."""
        mixture = self._mixture(units, expected)

        def found(slots: Symbols, rows: slice) -> tuple[Symbols, Symbols, Symbols]:
            symbols = mixture.symbols(torch.from_numpy(slots).to(units.device), rows)
            starts, frequencies = mixture.ranges(symbols, rows)
            return symbols.cpu().numpy(), starts.cpu().numpy(), frequencies.cpu().numpy()

        return decoder.pop_found(len(units), found, FINE)

    def _mixture(self, units: Tensor, expected: Tensor | None) -> LevelRanges:
        assert expected is not None
        return LevelRanges.of(self.output(units), expected, self.levels)


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

    def encode(self, encoder: Encoder, symbols: Symbols, coded: NDArray[np.bool_]) -> None:
        """Push symbols (n, channels, height, width), those alone that are to be coded."""
        own = np.ascontiguousarray(symbols, dtype=np.int64)

        def choose(channel: int, at: Places, units: Tensor, expected: Tensor | None) -> Tensor:
            y, x = (places.cpu().numpy() for places in at)
            known = own[:, channel, y, x].T.ravel()
            some = np.flatnonzero(coded[:, channel, y, x].T)
            of = None if expected is None else expected[some]
            self.channels[channel].push(encoder, units[some], of, known[some])
            return torch.from_numpy(known).to(self.start.device)

        self.layers.in_order(self.start, len(own), own.shape[2:], choose)

    def decode(self, decoder: Decoder, symbols: Symbols, coded: NDArray[np.bool_]) -> Symbols:
        """Return symbols, those that were coded from a decoder, and the others as they are."""
        given = np.ascontiguousarray(symbols, dtype=np.int64)

        def choose(channel: int, at: Places, units: Tensor, expected: Tensor | None) -> Tensor:
            y, x = (places.cpu().numpy() for places in at)
            found = given[:, channel, y, x].T.ravel()
            some = np.flatnonzero(coded[:, channel, y, x].T)
            of = None if expected is None else expected[some]
            found[some] = self.channels[channel].pop(decoder, units[some], of)
            return torch.from_numpy(found).to(self.start.device)

        order = self.layers.in_order(self.start, len(given), given.shape[2:], choose)
        return np.asarray(order)


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
