"""Tokens: text as the numbers of byte pairs, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from attar.errors import FileError

if TYPE_CHECKING:
    import tokenizers

# Numbers of tokens: none, the end of a text, a gap, and from here on the 256 bytes and the pairs.
PAD, END, MASK, BYTES = range(4)

# A vocabulary has so many tokens at most.
LARGEST = 4096

# A pair is a token of its own where it occurs so often.
FREQUENT = 4

Tokens = NDArray[np.int32]


@dataclass(frozen=True)
class Vocabulary:
    """Byte pairs, learned from text: frequent strings are one token, and any bytes are some.

    A text is cut before words, and in each word the pair that was merged first is merged first.
    Bytes that are no UTF-8 are a token each.

    Parameters
    ----------
    merges : tuple of (int, int)
        Each makes a token of two others, which are numbered in order: 3 + b is the byte b, and
        259 + i the merge i.

    Examples
    --------
    >>> vocabulary = Vocabulary(((100, 107),))
    >>> [tokens.tolist() for tokens in vocabulary.encode([b"ahah!"])]
    [[259, 259, 36]]
    >>> vocabulary.decode([259, 36, 1])
    b'ah!'

    References
    ----------
    Sennrich, Haddow and Birch, "Neural machine translation of rare words with subword units",
    ACL 2016.
    """

    merges: tuple[tuple[int, int], ...] = ()
    _tokenizer: list[tokenizers.Tokenizer] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def learned(cls, texts: Iterable[bytes], size: int = LARGEST) -> Self:
        """Return the vocabulary of some texts, of at most so many tokens.

        Pairs that occur fewer than four times are not merged.

        Raises
        ------
        FileError
            If the library ``tokenizers`` is not installed.
        """
        library = _library()
        trainer = library.trainers.BpeTrainer(
            vocab_size=size - BYTES,
            min_frequency=FREQUENT,
            initial_alphabet=list(CHARACTERS),
            show_progress=False,
        )
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.train_from_iterator(filter(None, map(_string, texts)), trainer)
        numbers = {character: BYTES + byte for byte, character in enumerate(CHARACTERS)}
        merges = []
        for first, second in json.loads(tokenizer.to_str())["model"]["merges"]:
            merges.append((numbers[first], numbers[second]))
            numbers[first + second] = BYTES + 256 + len(merges) - 1
        return cls(tuple(merges))

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return BYTES + 256 + len(self.merges)

    @cached_property
    def pieces(self) -> tuple[bytes, ...]:
        """The bytes of each token; none of the first three."""
        pieces = [b""] * BYTES + [bytes([byte]) for byte in range(256)]
        for first, second in self.merges:
            pieces.append(pieces[first] + pieces[second])
        return tuple(pieces)

    def encode(self, texts: Sequence[bytes]) -> list[Tokens]:
        """Return the tokens of each text, without an end.

        Raises
        ------
        FileError
            If the library ``tokenizers`` is not installed.
        """
        strings = [_string(text) for text in texts]
        known = self._fast.encode_batch([string for string in strings if string is not None])
        found = (np.array(one.ids, np.int32) + BYTES for one in known)
        return [
            np.frombuffer(text, np.uint8).astype(np.int32) + BYTES
            if string is None
            else next(found)
            for text, string in zip(texts, strings, strict=True)
        ]

    def decode(self, tokens: Iterable[int]) -> bytes:
        """Return the text of tokens, up to an end."""
        pieces: list[bytes] = []
        for token in tokens:
            if token == END:
                break
            pieces.append(self.pieces[token])
        return b"".join(pieces)

    @property
    def _fast(self) -> tokenizers.Tokenizer:
        """The library's tokenizer, made once."""
        if not self._tokenizer:
            library = _library()
            names = ["".join(CHARACTERS[byte] for byte in piece) for piece in self.pieces[BYTES:]]
            pairs = [(names[first - BYTES], names[second - BYTES]) for first, second in self.merges]
            numbers = {name: number for number, name in enumerate(names)}
            tokenizer = library.Tokenizer(library.models.BPE(numbers, pairs))
            tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
            self._tokenizer.append(tokenizer)
        return self._tokenizer[0]


def _library() -> ModuleType:
    """Return tokenizers, which is an extra."""
    try:
        return import_module("tokenizers")
    except ImportError:
        raise FileError(
            "Text needs tokenizers: install it with pip install 'attar[text]'."
        ) from None


def _characters() -> str:
    """Return the character by which the library writes each byte: itself, where it is visible."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = iter(range(256, 512))
    return "".join(chr(byte if byte in visible else next(hidden)) for byte in range(256))


CHARACTERS = _characters()


def _string(text: bytes) -> str | None:
    """Return the characters of a text; None where it is no UTF-8."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return None
