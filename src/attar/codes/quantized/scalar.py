"""Scalar quantization: finite and lookup-free."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attar.codes.base import CodeModule
from attar.codes.quantized.base import QuantizedModule, SymbolCode, blocks


@dataclass(frozen=True)
class FiniteScalar(SymbolCode, name="fsq"):
    """Each number is bounded by tanh and rounded to the middle of one of L equal cells.

    The levels of a number are (2 i + 1 - L) / L for i = 0 to L - 1; the gradient goes straight to
    the bounded features b = tanh(√(2/π) f). A symbol stands for one combination of levels.

    Where b saturates, nothing more is learnt, and small networks may end there. With an evenness,
    which the paper does not have, training adds evenness · Σ KL(N(m, v) || N(0, 1)) with mean m and
    variance v of each feature in the batch: standard normal features fill the levels evenly.

    Parameters
    ----------
    levels : tuple of int
        How many levels each number of a symbol has; the code has ``code_size / len(levels)``
        symbols.
    evenness : float
        How much the batch's features are drawn to standard normals.

    References
    ----------
    Mentzer, Minnen, Agustsson and Tschannen, "Finite scalar quantization: VQ-VAE made simple",
    ICLR 2024.
    """

    levels: tuple[int, ...] = (8, 5, 5, 5)
    evenness: float = 0.0

    @property
    def multiple(self) -> int:
        """The numbers of a symbol."""
        return len(self.levels)

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        fine = all(isinstance(level, int) and level >= 2 for level in self.levels)
        self.require(fine, "at least 2 levels for each number")
        self.require(self.evenness >= 0, "an evenness of 0 or more")
        return FiniteModule(positions, self.levels, self.evenness)


class FiniteModule(QuantizedModule):
    """Rounds bounded numbers to their levels."""

    levels: Tensor
    places: Tensor

    def __init__(self, positions: int, levels: tuple[int, ...], evenness: float) -> None:
        super().__init__(positions * (math.prod(levels),))
        self.evenness = evenness
        places = [math.prod(levels[:i]) for i in range(len(levels))]
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.get_default_dtype()))
        self.register_buffer("places", torch.tensor(places))

    def quantize(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features, and the symbols of the bounded ones."""
        return features, self.symbols(bounded(features))

    def through(self, given: Tensor) -> Tensor:
        """Return zeros (B, d) that have the gradient of the bounded features."""
        return super().through(bounded(given))

    def auxiliary_loss(self, given: Tensor, z: Tensor) -> Tensor | None:
        """Return evenness · Σ (m² + v - 1 - log v) / 2, the same for each row: (B,)."""
        if not self.evenness:
            return None
        mean, variance = given.mean(0), given.var(0, correction=0) + torch.finfo(given.dtype).eps
        divergence = 0.5 * (mean.square() + variance - 1 - variance.log()).sum()
        return self.evenness * divergence.expand(len(given))

    @torch.no_grad()
    def symbols(self, z: Tensor) -> Tensor:
        """Return the combinations of the nearest levels: (n, positions)."""
        cells = (blocks(z, len(self.levels)) + 1) / 2 * self.levels
        level = cells.floor().clamp_min(0).minimum(self.levels - 1)
        return (level.long() * self.places).sum(-1)

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the levels of symbols (n, positions): (n, d)."""
        symbols = symbols.to(self.places.device)[..., None]
        level = symbols // self.places % self.levels.long()
        return ((2 * level + 1 - self.levels) / self.levels).flatten(1)


def bounded(features: Tensor) -> Tensor:
    """Return tanh(√(2/π) f), which is nearly even between -1 and 1 where f is standard normal."""
    return (math.sqrt(2 / math.pi) * features).tanh()


@dataclass(frozen=True)
class LookupFree(SymbolCode, name="lfq"):
    """Each number becomes its sign; a symbol is the signs of ``dim`` numbers.

    Training adds weight · (E[H(p)] - H(E[p])) + commitment · |f - sg(z)|², with
    p(c) ∝ exp(-|f - c|²) over the 2^dim symbols c of features f and E the batch's mean: each row is
    to be sure of its symbol, and all rows together are to use all symbols.

    Parameters
    ----------
    dim : int
        How many signs a symbol has, 1 to 16; the code has ``code_size / dim`` symbols.
    entropy : float
        The weight of the entropies.
    commitment : float
        How much features are drawn to their signs.

    References
    ----------
    Yu et al., "Language model beats diffusion: tokenizer is key to visual generation", ICLR 2024.
    """

    dim: int = 8
    entropy: float = 0.1
    commitment: float = 0.25

    @property
    def multiple(self) -> int:
        """The numbers of a symbol."""
        return self.dim

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        self.require(self.dim <= 16, "a dim of 16 at most")
        self.require(self.entropy >= 0, "an entropy of 0 or more")
        self.require(self.commitment >= 0, "a commitment of 0 or more")
        return LookupFreeModule(positions, self)


class LookupFreeModule(QuantizedModule):
    """Takes the signs of features."""

    places: Tensor

    def __init__(self, positions: int, spec: LookupFree) -> None:
        super().__init__(positions * (2**spec.dim,))
        self.entropy, self.commitment = spec.entropy, spec.commitment
        self.register_buffer("places", 2.0 ** torch.arange(spec.dim))

    def quantize(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features and their symbols."""
        return features, self.symbols(features)

    def symbols(self, z: Tensor) -> Tensor:
        """Return the signs as symbols; zero is positive: (n, positions)."""
        return ((blocks(z, len(self.places)) >= 0) * self.places).sum(-1).long()

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the signs of symbols (n, positions): (n, d)."""
        bits = symbols.to(self.places)[..., None].div(self.places, rounding_mode="floor") % 2
        return (2 * bits - 1).flatten(1)

    def auxiliary_loss(self, given: Tensor, z: Tensor) -> Tensor:
        """Return what each row adds; the entropy of the batch is the same for all."""
        sure, used = self.entropies(given)
        committed = self.commitment * (given - z).square().sum(-1)
        return self.entropy * (sure - used).sum(-1) + committed

    def entropies(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return E[H(p)] of each row (B, positions), and H(E[p]) of the batch (positions,)."""
        x = blocks(features, len(self.places))
        every = torch.arange(2 ** len(self.places), device=x.device)
        signs = self.vectors(every[:, None])
        logs = (2 * x @ signs.mT).log_softmax(-1)
        log_mean = logs.logsumexp(0) - math.log(len(logs))
        return -(logs.exp() * logs).sum(-1), -(log_mean.exp() * log_mean).sum(-1)
