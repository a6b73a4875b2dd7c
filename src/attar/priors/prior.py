"""What every prior is: a distribution over codes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Generator, Tensor, nn

from attar.parts import Part


class PriorModule(nn.Module):
    """A distribution over codes."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of codes (..., d): (...)."""

    def divergence(self, mean: Tensor, log_variance: Tensor) -> Tensor | None:
        """Return KL(N(mean, variance) || prior) in nats of each row (..., d): (...).

        None where there is no closed form.
        """
        return None

    @abstractmethod
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return ``n`` codes, on the CPU: (n, code_size)."""

    def attach(self, encode: Callable[[Tensor], Tensor]) -> None:
        """Hear how the model makes features of prepared values; see ``CodeModule.attach``."""

    def on_data(self, values: Tensor) -> None:
        """Look at prepared rows (m, *shape), before the first step of training."""


class Prior(Part):
    """Where codes are expected to lie.

    Attributes
    ----------
    encodes : bool
        Whether it asks the encoder for features of rows of its own.
    """

    encodes: ClassVar[bool] = False

    @abstractmethod
    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module, for codes of a size made of rows of a prepared shape."""
