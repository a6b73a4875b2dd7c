"""Symbols of rows as bytes, by a causal likelihood on integers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attar.codec.integer import PRECISION, cumulative_frequencies, mode_frequency, on_integers
from attar.codec.rans import Decoder, Encoder
from attar.codes.point import NoCodeModule
from attar.errors import SettingError
from attar.likelihoods.causal import CausalModule
from attar.likelihoods.sequential import Layers
from attar.model import Model
from attar.networks.base import Reshape

Symbols = NDArray[np.int64]
Mask = NDArray[np.bool_]

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class CausalCoder:
    """The network of a causal likelihood on integers, which codes all rows of a chunk at once.

    Attributes
    ----------
    layers : Layers
    start : Tensor (1, width, height, width of the map)
        What the decoder says of every row.
    """

    layers: Layers
    start: Tensor

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
        layers = replace(likelihood.layers(), limits=likelihood.largest.tolist())
        network, start = on_integers(layers, _constant(model))
        return cls(network, start)

    def on(self, device: torch.device) -> Self:
        """Return the coder on a device."""
        return replace(self, layers=self.layers.on(device), start=self.start.to(device))

    def encode(self, encoder: Encoder, symbols: Symbols, coded: Mask) -> None:
        """Push symbols (n, channels, height, width), those alone that are to be coded."""
        known, mask = _by_place(symbols), _by_place(coded)

        def choose(channel: int, place: tuple[int, int], units: Tensor, which: Tensor) -> Tensor:
            own, some = known[*place, channel], np.flatnonzero(mask[*place, channel])
            chosen, rows = own[some], which.cpu().numpy()[some]
            is_mode = chosen == self.layers.background[channel]
            flags = self._flags(channel, units)[rows]
            starts = np.where(is_mode, 0, flags)
            encoder.push(starts, np.where(is_mode, flags, (1 << PRECISION) - flags))
            others = np.flatnonzero(~is_mode)
            if len(others):
                table = self._others(channel, units, rows[others])
                places = np.arange(len(others)), chosen[others]
                starts = table[places]
                encoder.push(starts, table[places[0], places[1] + 1] - starts)
            return torch.from_numpy(own).to(units.device)

        self.layers.in_order(self.start, len(symbols), choose)

    def decode(self, decoder: Decoder, symbols: Symbols, coded: Mask) -> Symbols:
        """Return symbols, those that were coded from a decoder, and the others as they are."""
        given, mask = _by_place(symbols), _by_place(coded)

        def choose(channel: int, place: tuple[int, int], units: Tensor, which: Tensor) -> Tensor:
            own, some = given[*place, channel].copy(), np.flatnonzero(mask[*place, channel])
            rows = which.cpu().numpy()[some]
            flags = self._flags(channel, units)[rows]
            ends = np.full_like(flags, 1 << PRECISION)
            popped = decoder.pop(np.stack([np.zeros_like(flags), flags, ends], 1))
            own[some] = self.layers.background[channel]
            others = np.flatnonzero(popped)
            if len(others):
                own[some[others]] = decoder.pop(self._others(channel, units, rows[others]))
            return torch.from_numpy(own).to(units.device)

        found: Symbols = self.layers.in_order(self.start, len(symbols), choose).numpy()
        return found

    def _flags(self, channel: int, units: Tensor) -> Symbols:
        """Return the frequency of the mode for each of some units."""
        logits = self.layers.output[channel].of(units, self.layers.background[channel])
        return mode_frequency(logits).cpu().numpy()

    def _others(self, channel: int, units: Tensor, rows: Symbols) -> Symbols:
        """Return the cumulative frequencies of the other symbols for some of the units."""
        own = units.index_select(0, torch.from_numpy(rows).to(units.device))
        logits = self.layers.output[channel](own)
        return cumulative_frequencies(logits, self.layers.background[channel]).cpu().numpy()


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
