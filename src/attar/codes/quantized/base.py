"""What every discrete code is."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.errors import SettingError
from attar.priors import PriorModule
from attar.records import Coded


@dataclass(frozen=True)
class SymbolCode(Code):
    """A code that is discrete: ``code_size / multiple`` times a block of symbols."""

    beta = 1.0
    provides = frozenset({"density", "symbols"})

    @property
    @abstractmethod
    def multiple(self) -> int:
        """How many numbers a block takes; a code has a whole number of them."""

    @property
    def least_size(self) -> int:
        """One block."""
        return self.multiple

    def nearest_size(self, code_size: int) -> int:
        """Return the size of enough whole blocks."""
        return max(-(-code_size // self.multiple) * self.multiple, self.least_size)

    def blocks(self, code_size: int) -> int:
        """Return how many blocks a code has.

        Raises
        ------
        SettingError
            If the code size is no multiple of a block's, or there is no size that would be.
        """
        multiple = self.multiple
        if not isinstance(multiple, int) or multiple < 1:
            raise SettingError(f"The symbols of {self!r} need a whole number of numbers each.")
        count, left = divmod(code_size, multiple)
        if left or code_size < self.least_size:
            fitting = sorted({self.nearest_size(code_size - left), self.nearest_size(code_size)})
            raise SettingError(
                f"The code {self.name!r} takes {multiple} numbers at a time, at least "
                f"{self.least_size}, so it cannot have {code_size}: choose a code_size of "
                f"{' or '.join(map(str, fitting))}."
            )
        return count

    def require(self, fine: bool, wanted: str) -> None:
        """Refuse hyperparameters that are not fine, and say what is wanted."""
        if not fine:
            raise SettingError(f"The code {self!r} needs {wanted}.")


class SymbolModule(CodeModule):
    """Turns features into symbols, and symbols into the numbers of a code.

    Attributes
    ----------
    sizes : tuple of int
        How many symbols there are at each position.
    nats : float
        What a code costs where all symbols are equally probable: Σ log size.
    """

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__(UniformSymbols(sizes, self.vectors))
        self.sizes, self.nats = sizes, nats(sizes)

    @abstractmethod
    def symbols(self, z: Tensor) -> Tensor:
        """Return the symbols nearest to numbers (n, d): integers (n, positions)."""

    @abstractmethod
    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the numbers of symbols (n, positions): (n, d)."""

    def constrain(self, z: Tensor) -> Tensor:
        """Return the nearest codes that are made of symbols: (n, d)."""
        return self.vectors(self.symbols(z))

    def distance(self, z: Tensor, others: Tensor) -> Tensor:
        """Return how far what the decoder sees of codes (n, d) is from others (m, d): (n, m)."""
        return torch.cdist(self.decoder_input(z), self.decoder_input(others))


class UniformSymbols(PriorModule):
    """All symbols are equally probable, at each position.

    Parameters
    ----------
    sizes : tuple of int
        How many symbols there are at each position.
    vectors : callable
        From symbols (n, positions) to codes (n, d).
    """

    def __init__(self, sizes: tuple[int, ...], vectors: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.sizes, self.vectors = sizes, vectors

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-probability of codes (..., d) that are made of symbols: -Σ log size."""
        return z.new_full(z.shape[:-1], -nats(self.sizes))

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return codes of ``n`` draws of each symbol: (n, d)."""
        drawn = [torch.randint(size, (n,), generator=generator) for size in self.sizes]
        return self.vectors(torch.stack(drawn, -1)).cpu()


class QuantizedModule(SymbolModule):
    """Features become symbols without chance, so that z has one value for each row.

    With log q = 0 and log p = -Σ log size, log p(x|z) + log p bounds log p(x) from below.
    """

    @abstractmethod
    def quantize(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is quantized (B, d), which features become, and its symbols (B, positions).

        The gradient of z goes straight to the former in training.
        """

    def through(self, given: Tensor) -> Tensor:
        """Return zeros (B, d) whose gradient is that of what was quantized."""
        return given - given.detach()

    def auxiliary_loss(self, given: Tensor, z: Tensor) -> Tensor | None:
        """Return what each row adds to the loss of training: (B,), or None for nothing."""
        return None

    def learn(self, given: Tensor, symbols: Tensor) -> None:
        """Learn from what was quantized in a step of training."""

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the codes of features (B, w), the same for every draw."""
        given, symbols = self.quantize(features)
        z, auxiliary_loss = self.vectors(symbols), None
        if self.training:
            auxiliary_loss = self.auxiliary_loss(given, z)
            self.learn(given, symbols)
            z = z.detach() + self.through(given)
        return self.coded(z, symbols, auxiliary_loss, 1 if noise is None else len(noise))

    def coded(self, z: Tensor, symbols: Tensor, auxiliary_loss: Tensor | None, draws: int) -> Coded:
        """Return codes (B, d) as so many draws."""
        rate = z.new_full((draws, len(z)), self.nats)
        return Coded(
            z.expand(draws, -1, -1),
            rate,
            torch.zeros_like(rate),
            -rate,
            symbols.expand(draws, -1, -1),
            auxiliary_loss=None if auxiliary_loss is None else auxiliary_loss.expand(draws, -1),
        )

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the code of each row: (B, d)."""
        return self.vectors(self.quantize(features)[1])


def blocks(x: Tensor, dim: int) -> Tensor:
    """Return numbers (..., positions · dim) position by position: (..., positions, dim)."""
    return x.reshape(*x.shape[:-1], -1, dim)


def one_hot(symbols: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Return ones where symbols (...) are, and zeros: (..., size)."""
    chosen = symbols[..., None] == torch.arange(size, device=symbols.device)
    return chosen.to(dtype)


def nats(sizes: tuple[int, ...]) -> float:
    """Return Σ log size."""
    return sum(math.log(size) for size in sizes)
