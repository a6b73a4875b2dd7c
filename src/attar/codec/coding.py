"""The symbols and residues of a chunk as bytes, by the model that gives their probabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from attar.codec.bits_back import Beginning, BitsBack
from attar.codec.causal import CausalCoder
from attar.codec.literals import damaged, refusing
from attar.codec.rans import Decoder, Encoder
from attar.codec.symbols import Channels, Mask
from attar.codes import Contextual
from attar.data.images import Images
from attar.data.recordings import SoundWindows
from attar.data.text import Text
from attar.errors import SettingError
from attar.fitted import Fitted
from attar.likelihoods import Causal, Derived
from attar.likelihoods.alphabets import Alphabet, Integers, Residues
from attar.likelihoods.context_mixing import MixingTables
from attar.likelihoods.lattices import Distinct
from attar.likelihoods.memory import Memory


class SymbolCoding(ABC):
    """How symbols become bytes, the same on every machine.

    Attributes
    ----------
    alphabets : sequence of (Alphabet or None)
        Of each raw column: each cell of a table, each channel of images; None where it follows
        from others.
    memories : sequence of Memory
        Of columns whose values repeat.
    """

    alphabets: Sequence[Alphabet | None]
    memories: Sequence[Memory] = ()

    @abstractmethod
    def encode(self, channels: Channels, symbols: Integers, residues: Residues) -> bytes:
        """Return symbols (n, channels, *grid) and their residues as bytes."""

    @abstractmethod
    def decode(self, channels: Channels, hidden: Mask, data: bytes) -> tuple[Integers, Residues]:
        """Return what was encoded, of which it is known where there is no symbol.

        Raises
        ------
        FileError
            If the bytes are damaged.
        """


class CausalCoding(SymbolCoding):
    """A causal likelihood's probabilities, on integers.

    Parameters
    ----------
    fitted : Fitted
        With a causal likelihood, and no code.
    """

    def __init__(self, fitted: Fitted) -> None:
        assert isinstance(fitted.likelihood, Causal)
        device, known = fitted.predictor.device, fitted.likelihood.channels
        model = fitted.on(torch.device("cpu")).predictor.model
        self.coder = CausalCoder.of(model).on(device)
        self.alphabets = [None if isinstance(one, Derived) else one for one in known]
        self.memories = fitted.memories

    def encode(self, channels: Channels, symbols: Integers, residues: Residues) -> bytes:
        """Return symbols and residues as bytes."""
        encoder, coded = Encoder(), ~channels.hidden(symbols)
        self.coder.encode(encoder, _on_grid(symbols), _on_grid(coded))
        channels.push(encoder, symbols, residues)
        return encoder.finish()

    def decode(self, channels: Channels, hidden: Mask, data: bytes) -> tuple[Integers, Residues]:
        """Return what was encoded."""
        decoder, absent = Decoder(data), channels.absent(hidden)
        found = self.coder.decode(decoder, _on_grid(absent), _on_grid(~hidden))
        symbols = found.reshape(hidden.shape)
        residues = channels.pop(decoder, symbols)
        decoder.done()
        return symbols, residues


class BitsBackCoding(SymbolCoding):
    """The probabilities of a model with a random or a discrete code, by bits-back coding.

    Parameters
    ----------
    fitted : Fitted
        Of cells with few values.
    """

    def __init__(self, fitted: Fitted) -> None:
        self.coder = BitsBack(fitted.on(torch.device("cpu")))
        levels = self.coder.levels
        images = isinstance(fitted.kind, Images)  # a channel's pixels have one alphabet
        places = [(i, 0, 0) if images else (i,) for i in range(len(levels.sizes))]
        self.alphabets = [Distinct(tuple(levels.of_cell(place).tolist())) for place in places]

    def encode(self, channels: Channels, symbols: Integers, residues: Residues) -> bytes:
        """Return symbols as bytes; cells without one count as the first symbol."""
        return self.coder.encode(np.where(channels.hidden(symbols), 0, symbols))

    def decode(self, channels: Channels, hidden: Mask, data: bytes) -> tuple[Integers, Residues]:
        """Return what was encoded."""
        head, _ = Beginning.read(data)
        if sum(head.steps) != len(hidden):
            raise damaged()
        symbols = np.where(hidden, channels.absent(hidden), self.coder.decode(data))
        return symbols, np.zeros(0, np.uint64)


class TextCoding(SymbolCoding):
    """No symbols: text is coded as a whole, by these tables.

    Parameters
    ----------
    packed : mapping of str to Tensor
        What tables are in a model file.
    """

    def __init__(self, packed: Mapping[str, Tensor]) -> None:
        self.alphabets = []
        with refusing():
            self.tables = MixingTables.unpacked({name: t.numpy() for name, t in packed.items()})

    def encode(self, channels: Channels, symbols: Integers, residues: Residues) -> bytes:
        """Return nothing."""
        return b""

    def decode(self, channels: Channels, hidden: Mask, data: bytes) -> tuple[Integers, Residues]:
        """Return nothing."""
        if data:
            raise damaged()
        return hidden.astype(np.int64), np.zeros(0, np.uint64)


def coding_of(fitted: Fitted) -> SymbolCoding:
    """Return how a fitted model codes the symbols of its data.

    Raises
    ------
    SettingError
        If the model does not compress.
    """
    if isinstance(fitted.recipe.code, Contextual):
        raise SettingError("The model compresses with loss: use attar.PictureCodec.")
    if isinstance(fitted.kind, Text):
        if not fitted.mixing:
            raise SettingError("The model was fitted without tables for compression: fit it again.")
        return TextCoding(fitted.mixing)
    if isinstance(fitted.kind, SoundWindows):
        raise SettingError(
            "A Codec takes tables, images and series, not sound: use attar.SoundCodec with a model "
            "of the recipe 'speech-codec', or write FLAC."
        )
    return CausalCoding(fitted) if isinstance(fitted.likelihood, Causal) else BitsBackCoding(fitted)


def _on_grid(rows: np.ndarray) -> np.ndarray:
    """Return rows (n, channels, *places) with two axes of places."""
    return rows.reshape(*rows.shape, *[1] * (4 - rows.ndim))
