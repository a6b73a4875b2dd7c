"""Symbols of rows as bytes, by a causal likelihood on integers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

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


@dataclass(frozen=True)
class CausalCoder:
    """The network of a causal likelihood on integers, which codes all rows of a chunk at once.

    Attributes
    ----------
    layers : Layers
    start : Tensor (1, width, height, width of the map)
        What the decoder says of every row.
    modes : tuple of int
        The symbol of each channel that is decided first.
    """

    layers: Layers
    start: Tensor
    modes: tuple[int, ...]

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
        return cls(network, start, tuple(head.mode for head in likelihood.heads))

    def on(self, device: torch.device) -> Self:
        """Return the coder on a device."""
        return replace(self, layers=self.layers.on(device), start=self.start.to(device))

    def encode(self, encoder: Encoder, symbols: Symbols, coded: NDArray[np.bool_]) -> None:
        """Push symbols (n, channels, height, width), those alone that are to be coded."""
        own = torch.from_numpy(np.ascontiguousarray(symbols, dtype=np.int64))

        def choose(channel: int, place: tuple[int, int], units: Tensor) -> Tensor:
            known = own[:, channel, *place]
            some = np.flatnonzero(coded[:, channel, *place])
            chosen, units = known.numpy()[some], units[some]
            is_mode, flags = chosen == self.modes[channel], self._flags(channel, units)
            starts = np.where(is_mode, 0, flags)
            encoder.push(starts, np.where(is_mode, flags, (1 << PRECISION) - flags))
            others = np.flatnonzero(~is_mode)
            if len(others):
                table = self._others(channel, units[others])
                places = np.arange(len(others)), chosen[others]
                starts = table[places]
                encoder.push(starts, table[places[0], places[1] + 1] - starts)
            return known.to(self.start.device)

        self.layers.in_order(self.start, len(own), choose)

    def decode(self, decoder: Decoder, symbols: Symbols, coded: NDArray[np.bool_]) -> Symbols:
        """Return symbols, those that were coded from a decoder, and the others as they are."""
        given = torch.from_numpy(np.ascontiguousarray(symbols, dtype=np.int64))

        def choose(channel: int, place: tuple[int, int], units: Tensor) -> Tensor:
            found = given[:, channel, *place].clone()
            some = np.flatnonzero(coded[:, channel, *place])
            units, flags = units[some], self._flags(channel, units[some])
            ends = np.full_like(flags, 1 << PRECISION)
            popped = decoder.pop(np.stack([np.zeros_like(flags), flags, ends], 1))
            chosen = np.full(len(some), self.modes[channel])
            others = np.flatnonzero(popped)
            if len(others):
                chosen[others] = decoder.pop(self._others(channel, units[others]))
            found[some] = torch.from_numpy(chosen)
            return found.to(self.start.device)

        found: Symbols = self.layers.in_order(self.start, len(given), choose).numpy()
        return found

    def _flags(self, channel: int, units: Tensor) -> NDArray[np.int64]:
        """Return the frequency of the mode in each row."""
        logits = self.layers.output[channel].of(units, self.modes[channel])
        return mode_frequency(logits).cpu().numpy()

    def _others(self, channel: int, units: Tensor) -> NDArray[np.int64]:
        """Return the cumulative frequencies of the other symbols in each row."""
        logits = self.layers.output[channel](units)
        return cumulative_frequencies(logits, self.modes[channel]).cpu().numpy()


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
