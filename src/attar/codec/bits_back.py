"""Bits-back coding: rows become bytes of the length of a model's bound.

A row x is sent by a random code z: z by the prior, then x by the likelihood p(x|z). That z was
chosen among many costs nothing: the choice itself carries bits, which the receiver, who has the
encoder too, gets back. So a row takes

    log2 q(z|x) - log2 p(z) - log2 p(x|z)  bits,

on average the evidence lower bound. The random choice is made by *decoding* what was compressed
before as if it were a code z; all lies on one stack (``rans.AnsCoder``):

    compress a row                                  decompress it, in reverse

    x ── encoder ── q(z|x)                          pop z by the prior
            pop z by q(z|x)                              z ── decoder ── p(x|z)
    z ── decoder ── p(x|z)                          pop x by p(x|z)
            push x by p(x|z)                             x ── encoder ── q(z|x)
            push z by the prior                     push z by q(z|x)

Rows are coded in steps of several side by side; a step is as large as the bits on the stack allow,
so that only the first row needs bits that were not compressed: the *initial bits*, which are part
of the compressed bytes. The last step is the first one to be decompressed.

A code of symbols is no random choice: the symbols, then x given them (two-part coding).

Each dimension of a code is cut into 2^16 buckets of equal prior probability (Townsend et al.), of
which the decoder gets the middle; a bucket takes 16 bits by the prior, and its probability under q
is a difference of normal distribution functions. The probability of a cell is the likelihood at
each of its possible values, divided by their sum: a distribution with any likelihood of single
cells, and the likelihood itself where it is one over these values already.

What must be the same on every machine, and how it is:

- Networks: exact sums and guarded roundings (``rounding.py``). Mean and log-variance of q are
  rounded to multiples of 2^-20, and the decoder's outputs are cut off at 2^11.
- Edges and middles of buckets are quantiles of the normal distribution, rounded to multiples of
  2^-20 and 2^-14. None is within 10^-12 of where it would be rounded otherwise, as a test proves:
  whatever library computes them, they are the same.
- Normal distribution functions of these exact numbers are right to 2^-50, and rounded under guard
  to integers of 2^24, as if they were wrong by 2^-44 (``NORMAL_ERROR``).
- Probabilities of values are elementary functions and short sums. Terms of a log-likelihood are
  below 2^13 (a cell has at most 1,024 values, and where e^-1000 is more likely than any of them,
  all are taken for equally likely), so that they and what is computed of them are right to 2^-38.
  They are rounded under guard to integers of 2^20, as if they were wrong by twice as much
  (``PROBABILITY_ERROR``).
- All else is integers.

The coder needs the two ends of a symbol's range to agree, as all others are in order: only these
get marks. One in about 80 rows of 784 pixels has one.

References
----------
Townsend, Bird and Barber, "Practical lossless compression with latent variables using bits back
coding", ICLR 2019. Hinton and van Camp, "Keeping the neural networks simple by minimizing the
description length of the weights", COLT 1993.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from threading import Lock
from typing import Self

import numpy as np
import torch
from torch import Tensor

from attar.codec.cells import AT_ONCE, CellLevels, CellRanges
from attar.codec.latents import PRECISION, Symbols, latent_of
from attar.codec.literals import LiteralReader, LiteralWriter, damaged
from attar.codec.rans import AnsCoder
from attar.codec.rounding import Guard, Marks, exact, watched
from attar.data.kind import Rows
from attar.data.table import Table
from attar.errors import DataError, SettingError
from attar.fitted import Fitted

# A step has at most so many rows, and frequencies of AT_ONCE symbols.
MOST_ROWS = 256
# A lane of the coder takes 8 bytes, which are few beside the bits of so many cells.
CELLS_OF_LANE, MOST_LANES = 1 << 14, 256
LARGEST_OUTPUT = 2.0**11
# Of steps and of marks there are fewer: bytes that claim more are damaged.
MOST_NUMBERS = 1 << 22


class BitsBack:
    """Compresses the raw rows of a model whose cells have few values, by bits-back coding.

    Cells are pixels of integers, categories, booleans, and numbers of a table that are evenly
    spaced: at most 1,024 values, from the lowest to the highest of the training rows. A row with
    others, or with a missing cell, is stored as it is. Threads take turns.

    Parameters
    ----------
    fitted : Fitted
        On the CPU.

    Raises
    ------
    SettingError
        If the code, a network, the likelihood or the data cannot be coded; the message says what
        can.

    Examples
    --------
    >>> import attar
    >>> images = (np.arange(64 * 16).reshape(64, 4, 4) % 7).astype("uint8")
    >>> ae = attar.Autoencoder("vae", epochs=1, random_state=0).fit(images)
    >>> codec, rows = BitsBack(ae.fitted_), images[:, None]
    >>> bool((codec.decompress(codec.compress(rows)) == rows).all())
    True
    """

    def __init__(self, fitted: Fitted) -> None:
        predictor, code = fitted.predictor, fitted.recipe.code
        if predictor.model.condition is not None:
            raise SettingError(
                "Bits-back coding needs a model without a condition: fit with fit(X) alone."
            )
        latent_of(code, predictor.model.code, predictor.code_size, 0)  # refuses before others do
        self.turn = Lock()  # a guard watches the layers, for one call at a time
        self.preparation, self.levels = predictor.preparation, CellLevels.of(predictor)
        self.model, self.layers = exact(predictor.model)
        self.latent = latent_of(code, self.model.code, predictor.code_size, len(self.layers))
        self.site = len(self.layers) + self.latent.sites
        starts, kind = np.arange(self.levels.sizes.size), self.preparation.kind
        if isinstance(kind, Table):
            starts = np.array([segment.start for segment in kind.expansion.segments])
        with torch.no_grad():
            parameters = self._parameters(torch.zeros(1, predictor.code_size).double())
        likelihood = self.model.likelihood
        self.ranges = CellRanges(likelihood, self.levels, self._prepared, starts, parameters)
        frequencies = max(self.ranges.least.size, self.latent.frequencies)
        self.most = max(1, min(MOST_ROWS, AT_ONCE // frequencies))

    def compress(self, rows: Rows) -> bytes:
        """Return raw rows (n, *cells) as bytes; rows with other values are stored as they are.

        Raises
        ------
        DataError
            If rows have another shape than those of the fit.
        """
        if rows.shape[1:] != self.levels.sizes.shape:
            raise DataError(
                f"A raw row has shape {rows.shape[1:]}, but those of the fit have "
                f"{self.levels.sizes.shape}: give what the model's kind makes of the data."
            )
        symbols, known = self.levels.symbols(rows)
        writer = LiteralWriter()
        writer.text(rows.dtype.str)
        writer.blob(rows[~known].tobytes())
        writer.places(~known)
        return prefixed(writer.finish()) + self.encode(symbols[known])

    def decompress(self, data: bytes) -> Rows:
        """Return the rows of :meth:`compress`.

        Raises
        ------
        FileError
            If the bytes are damaged, or another model's.
        """
        part, end = unprefixed(data)
        reader = LiteralReader(part)
        dtype, blob = reader.text(), reader.blob()
        if not re.fullmatch(r"[<>|][biuf]\d+", dtype):
            raise damaged()
        symbols = self.decode(data[end:])
        try:
            others = np.frombuffer(blob, dtype).reshape(-1, *symbols.shape[1:])
        except (TypeError, ValueError):
            raise damaged() from None
        stored = reader.places(len(symbols) + len(others))
        if stored.sum() != len(others):
            raise damaged()
        rows = np.empty((len(stored), *symbols.shape[1:]), dtype)
        rows[stored], rows[~stored] = others, self.levels.values(symbols).astype(dtype)
        return rows

    @torch.no_grad()
    def encode(self, symbols: Symbols) -> bytes:
        """Return symbols (n, *cells) as bytes."""
        coded = symbols.reshape(len(symbols), self.levels.sizes.size)
        lanes = max(1, min(MOST_LANES, coded.size // CELLS_OF_LANE))
        supply = self.latent.pops * len(coded)
        coder, guard = clean_coder(lanes, supply), Guard()
        start, lowest, steps = 0, supply, list[int]()
        with self.turn, watched(self.layers, guard):
            while start < len(coded):
                bits = 32 * (coder.words - lowest)
                size = min(self.most, bits // self.latent.bits if self.latent.bits else self.most)
                part = coded[start : start + max(1, size)]
                guard.first = start
                lowest = min(lowest, self._push(coder, part, guard))
                steps.append(len(part))
                start += len(part)
        head = Beginning(lanes, supply - lowest, steps, guard.marks)
        body = coder.to_bytes()
        bottom = len(body) - 4 * coder.words
        return head.to_bytes() + body[:bottom] + body[bottom + 4 * lowest :]

    @torch.no_grad()
    def decode(self, data: bytes) -> Symbols:
        """Return the symbols of :meth:`encode`.

        Raises
        ------
        FileError
            If the bytes are damaged, or another model's.
        """
        head, end = Beginning.read(data)
        coder, guard, start = AnsCoder.of(data[end:]), Guard(head.marks), sum(head.steps)
        parts = [np.empty((0, self.levels.sizes.size), np.int64)]
        if not all(0 < step <= self.most for step in head.steps):
            raise damaged()
        try:
            with self.turn, watched(self.layers, guard):
                for step in reversed(head.steps):
                    guard.first = start = start - step
                    parts.append(self._pop(coder, step, guard))
        except (LookupError, ValueError):
            raise damaged() from None
        # What is left are the bits that the first row needed.
        if (coder.lanes, coder.words) != (head.lanes, head.words):
            raise damaged()
        if coder.to_bytes() != clean_coder(head.lanes, head.words).to_bytes():
            raise damaged()
        return np.concatenate(parts[::-1]).reshape(-1, *self.levels.sizes.shape)

    def _push(self, coder: AnsCoder, symbols: Symbols, guard: Guard) -> int:
        """Put rows; return how many words there were without the bits of their codes."""
        codes, z = self.latent.take(coder, self._features(symbols), guard)
        words = coder.words
        parameters = self._parameters(z)
        start, end = self.ranges.of(parameters, symbols, guard, self.site)
        coder.push(start.ravel(), (end - start).ravel(), PRECISION)
        self.latent.push(coder, codes)
        return words

    def _pop(self, coder: AnsCoder, rows: int, guard: Guard) -> Symbols:
        """Take rows."""
        codes, z = self.latent.pop(coder, rows)
        parameters = self._parameters(z)
        table = self.ranges.table(parameters, guard, self.site)
        symbols = coder.pop(table.reshape(-1, table.shape[-1]), PRECISION).reshape(rows, -1)
        if self.latent.pops:
            self.latent.give_back(coder, self._features(symbols), guard, codes, z)
        return symbols

    def _features(self, symbols: Symbols) -> Tensor:
        """Return the encoder's features of symbols (B, cells)."""
        rows = self.levels.values(symbols.reshape(-1, *self.levels.sizes.shape))
        return self.model.features(self._prepared(rows))

    def _parameters(self, z: Tensor) -> Tensor:
        """Return the likelihood's parameters of codes (B, d)."""
        return self.model.parameters_of(z[None])[0].clamp(-LARGEST_OUTPUT, LARGEST_OUTPUT)

    def _prepared(self, rows: Rows) -> Tensor:
        return self.preparation.batch(rows, torch.float64, torch.device("cpu")).values


@dataclass(frozen=True)
class Beginning:
    """What is before the coder.

    Attributes
    ----------
    lanes : int
    words : int
        How many initial words there are, besides the lanes'.
    steps : list of int
        The rows of each step.
    marks : dict
        The guard's.
    """

    lanes: int
    words: int
    steps: list[int]
    marks: Marks

    @property
    def initial_bits(self) -> int:
        """How many bits the first row needed."""
        return 32 * (self.words + self.lanes)

    def to_bytes(self) -> bytes:
        """Return the beginning as bytes."""
        writer, found = LiteralWriter(), sorted(self.marks.items())
        marks = [(row, site, place, up) for (row, site), at in found for place, up in at]
        for number in (self.lanes, self.words, len(self.steps), len(marks)):
            writer.number(number)
        for column in (self.steps, *zip(*marks, strict=True)):
            writer.integers(np.array(column, np.uint64))
        return prefixed(writer.finish())

    @classmethod
    def read(cls, data: bytes) -> tuple[Self, int]:
        """Return the beginning of bytes, and where it ends."""
        part, end = unprefixed(data)
        reader = LiteralReader(part)
        lanes, words, steps, count = (reader.number() for _ in range(4))
        if max(steps, count) > MOST_NUMBERS:
            raise damaged()
        sizes = reader.integers(steps).tolist()
        marks: Marks = {}
        columns = [reader.integers(count).tolist() for _ in range(4)]
        for row, site, place, up in zip(*columns, strict=True):
            marks.setdefault((row, site), []).append((place, bool(up)))
        return cls(lanes, words, sizes, marks), end


def prefixed(data: bytes) -> bytes:
    """Return bytes, and their number before them."""
    return len(data).to_bytes(4, "little") + data


def unprefixed(data: bytes) -> tuple[bytes, int]:
    """Return the bytes that :func:`prefixed` got, and where they end."""
    end = 4 + int.from_bytes(data[:4], "little")
    if len(data) < end:
        raise damaged()
    return data[4:end], end


def clean_coder(lanes: int, words: int) -> AnsCoder:
    """Return a coder full of random bits, the same everywhere; with fewer words, those on top."""
    bits = np.frombuffer(hashlib.shake_128(b"bits-back").digest(4 * (lanes + words)), "<u4")
    states = (1 << 32) + bits[:lanes].astype("<u8")
    return AnsCoder.of(
        lanes.to_bytes(2, "little") + states.tobytes() + bits[lanes:][::-1].tobytes()
    )
