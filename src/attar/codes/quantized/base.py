"""The bases of all discrete codes: symbols, their uniform prior, and quantization."""

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
    """A discrete code of ``code_size / multiple`` blocks of symbols."""

    beta = 1.0
    provides = frozenset({"density", "symbols"})

    @property
    @abstractmethod
    def multiple(self) -> int:
        """The dimensions of a block; the code size is a multiple of it."""

    @property
    def least_size(self) -> int:
        """One block."""
        return self.multiple

    def nearest_size(self, code_size: int) -> int:
        """Return the next multiple of a block's dimensions."""
        return max(-(-code_size // self.multiple) * self.multiple, self.least_size)

    def blocks(self, code_size: int) -> int:
        """Return the number of blocks of a code.

        Raises
        ------
        SettingError
            If the code size is no multiple of a block's, or a block's is no integer above 0.
        """
        multiple = self.multiple
        if not isinstance(multiple, int) or multiple < 1:
            raise SettingError(f"The symbols of {self!r} need 1 dimension or more, an integer.")
        count, left = divmod(code_size, multiple)
        if left or code_size < self.least_size:
            fitting = sorted({self.nearest_size(code_size - left), self.nearest_size(code_size)})
            raise SettingError(
                f"The size of a {self.name!r} code must be a multiple of {multiple}, at least "
                f"{self.least_size}, not {code_size}: choose a code_size of "
                f"{' or '.join(map(str, fitting))}."
            )
        return count

    def require(self, valid: bool, wanted: str) -> None:
        """Refuse hyperparameters that are not valid, and say what is wanted."""
        if not valid:
            raise SettingError(f"The code {self!r} needs {wanted}.")


class SymbolModule(CodeModule):
    """Maps features to symbols, and symbols to vectors.

    Attributes
    ----------
    sizes : tuple of int
        The number of symbols at each position.
    nats : float
        The cost of a code where all symbols are equally probable: Σ log size.
    """

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__(UniformSymbols(sizes, self.vectors))
        self.sizes, self.nats = sizes, nats(sizes)

    @abstractmethod
    def symbols(self, z: Tensor) -> Tensor:
        """Return the symbols nearest to vectors (n, d): integers (n, positions)."""

    @abstractmethod
    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the vectors of symbols (n, positions): (n, d)."""

    def constrain(self, z: Tensor) -> Tensor:
        """Return the nearest vectors of symbols: (n, d)."""
        return self.vectors(self.symbols(z))

    def distance(self, z: Tensor, others: Tensor) -> Tensor:
        """Return the distances of the decoder's inputs, of codes (n, d) and others (m, d)."""
        return torch.cdist(self.decoder_input(z), self.decoder_input(others))


class UniformSymbols(PriorModule):
    """All symbols are equally probable, at each position.

    Parameters
    ----------
    sizes : tuple of int
        The number of symbols at each position.
    vectors : callable
        From symbols (n, positions) to codes (n, d).
    """

    def __init__(self, sizes: tuple[int, ...], vectors: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.sizes, self.vectors = sizes, vectors

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-probability of valid codes (..., d): -Σ log size."""
        return z.new_full(z.shape[:-1], -nats(self.sizes))

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return ``n`` codes of random symbols: (n, d)."""
        symbols = [torch.randint(size, (n,), generator=generator) for size in self.sizes]
        return self.vectors(torch.stack(symbols, -1)).cpu()


class QuantizedModule(SymbolModule):
    """Rounds features to symbols, without noise.

    With log q = 0 and log p = -Σ log size, log p(x|z) + log p bounds log p(x) from below.
    """

    @abstractmethod
    def quantize(self, features: Tensor) -> Tensor:
        """Return the symbols of features: (B, positions)."""

    @abstractmethod
    def training_codes(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the codes of a training step (B, d), their symbols and auxiliary loss (B,)."""

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the codes of features (B, w), the same for every sample."""
        auxiliary_loss = None
        if self.training:
            z, symbols, auxiliary_loss = self.training_codes(features)
        else:
            symbols = self.quantize(features)
            z = self.vectors(symbols)
        samples = 1 if noise is None else len(noise)
        rate = z.new_full((samples, z.shape[0]), self.nats)
        return Coded(
            z.expand(samples, -1, -1),
            rate,
            torch.zeros_like(rate),
            -rate,
            symbols.expand(samples, -1, -1),
            auxiliary_loss=None if auxiliary_loss is None else auxiliary_loss.expand(samples, -1),
        )

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the code of each row: (B, d)."""
        return self.vectors(self.quantize(features))


def straight_through(z: Tensor, surrogate: Tensor) -> Tensor:
    """Return z with the gradient of a differentiable surrogate."""
    return z.detach() + (surrogate - surrogate.detach())


def blocks(x: Tensor, dim: int) -> Tensor:
    """Return vectors (..., positions · dim) by position: (..., positions, dim)."""
    return x.reshape(*x.shape[:-1], -1, dim)


def one_hot(symbols: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Return the one-hot vectors of symbols (...): (..., size)."""
    chosen = symbols[..., None] == torch.arange(size, device=symbols.device)
    return chosen.to(dtype)


def nats(sizes: tuple[int, ...]) -> float:
    """Return Σ log size."""
    return sum(math.log(size) for size in sizes)
