"""What networks know of texts before training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

from torch import Tensor, nn


class CorpusStatistics(nn.Module, ABC):
    """Statistics of tokens or words, of the first training texts.

    Attributes
    ----------
    texts : int
        How many texts, at most.
    """

    texts: ClassVar[int]

    def spell(self, pieces: Sequence[bytes]) -> None:
        """Take the bytes of each token, where they matter."""

    @abstractmethod
    def start(self, tokens: Tensor) -> None:
        """Learn from texts (n, length)."""


def statistics_of(network: nn.Module) -> Iterator[CorpusStatistics]:
    """Return all statistics that a network has."""
    return (part for part in network.modules() if isinstance(part, CorpusStatistics))
