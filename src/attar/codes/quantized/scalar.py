"""Scalar quantization: finite and lookup-free."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attar import workers
from attar.codes.base import CodeModule
from attar.codes.quantized.base import QuantizedModule, SymbolCode, blocks, straight_through


@dataclass(frozen=True)
class FiniteScalar(SymbolCode, name="fsq"):
    """Each dimension is bounded by tanh and rounded to the middle of one of L equal cells.

    The levels of a dimension are (2 i + 1 - L) / L for i = 0 to L - 1; the gradient goes straight
    through to the bounded features b = tanh(√(2/π) f). A symbol is one combination of levels.

    Where b saturates, the gradient vanishes, and small networks may end there. With an evenness,
    which the paper does not have, training adds evenness · Σ KL(N(m, v) || N(0, 1)) with mean m and
    variance v of each feature in the batch: standard normal features use the levels evenly.

    Parameters
    ----------
    levels : tuple of int
        The number of levels of each dimension of a symbol; the code has
        ``code_size / len(levels)`` symbols.
    evenness : float
        The weight of the divergence of the batch's features from standard normals.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import FiniteScalar
    >>> code = FiniteScalar(levels=(4, 2)).build(2).eval()
    >>> code.point(torch.tensor([[0.2, -0.3], [9.0, 9.0]]))
    tensor([[ 0.2500, -0.5000],
            [ 0.7500,  0.5000]])
    >>> code.sizes
    (8,)

    References
    ----------
    Mentzer, Minnen, Agustsson and Tschannen, "Finite scalar quantization: VQ-VAE made simple",
    ICLR 2024.
    """

    levels: tuple[int, ...] = (8, 5, 5, 5)
    evenness: float = 0.0

    @property
    def multiple(self) -> int:
        """The dimensions of a symbol."""
        return len(self.levels)

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        valid = all(isinstance(level, int) and level >= 2 for level in self.levels)
        self.require(valid, "at least 2 levels for each dimension")
        return FiniteModule(positions, self.levels, self.non_negative("evenness"))


class FiniteModule(QuantizedModule):
    """Rounds bounded features to levels."""

    levels: Tensor
    places: Tensor

    def __init__(self, positions: int, levels: tuple[int, ...], evenness: float) -> None:
        super().__init__(positions * (math.prod(levels),))
        self.evenness = evenness
        places = [math.prod(levels[:i]) for i in range(len(levels))]
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.get_default_dtype()))
        self.register_buffer("places", torch.tensor(places))

    def quantize(self, features: Tensor) -> Tensor:
        """Return the symbols of the bounded features."""
        return self.symbols(bounded(features))

    def training_codes(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return z, its symbols, and evenness · Σ (m² + v - 1 - log v) / 2, equal for all rows."""
        symbols, loss = self.quantize(features), None
        if self.evenness:
            mean, variance = features.mean(0), features.var(0, correction=0)
            variance = variance + torch.finfo(features.dtype).eps
            divergence = 0.5 * (mean.square() + variance - 1 - variance.log()).sum()
            loss = self.evenness * divergence.expand(features.shape[0])
        return straight_through(self.vectors(symbols), bounded(features)), symbols, loss

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
    """Return tanh(√(2/π) f), nearly uniform in (-1, 1) where f is standard normal."""
    return (math.sqrt(2 / math.pi) * features).tanh()


@dataclass(frozen=True)
class LookupFree(SymbolCode, name="lfq"):
    """Each dimension is rounded to its sign; a symbol is the signs of ``dim`` dimensions.

    Training adds entropy · (E[H(p)] - H(E[p])) + commitment · |f - sg(z)|², with
    p(c) ∝ exp(-|f - c|²) over the 2^dim symbols c of features f and E the batch's mean: each row
    becomes certain of its symbol, and all rows together use all symbols.

    Parameters
    ----------
    dim : int
        The number of signs of a symbol, 1 to 16; the code has ``code_size / dim`` symbols.
    entropy : float
        The weight of the entropies.
    commitment : float
        The weight of the distance of features from their signs.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import LookupFree
    >>> code = LookupFree(dim=3).build(3).eval()
    >>> code.point(torch.tensor([[0.1, -2.0, 3.0]]))
    tensor([[ 1., -1.,  1.]])
    >>> code.symbols(torch.tensor([[0.1, -2.0, 3.0]]))
    tensor([[5]])

    References
    ----------
    Yu et al., "Language model beats diffusion: tokenizer is key to visual generation", ICLR 2024.
    """

    dim: int = 8
    entropy: float = 0.1
    commitment: float = 0.25

    @property
    def multiple(self) -> int:
        """The dimensions of a symbol."""
        return self.dim

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        self.require(self.dim <= 16, "a dim of 16 at most")
        return LookupFreeModule(
            positions, self.dim, self.non_negative("entropy"), self.non_negative("commitment")
        )


class LookupFreeModule(QuantizedModule):
    """Takes the signs of features."""

    places: Tensor

    def __init__(self, positions: int, dim: int, entropy: float, commitment: float) -> None:
        super().__init__(positions * (2**dim,))
        self.entropy, self.commitment = entropy, commitment
        self.register_buffer("places", 2.0 ** torch.arange(dim))

    def quantize(self, features: Tensor) -> Tensor:
        """Return the symbols of the signs."""
        return self.symbols(features)

    def training_codes(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return z, its symbols, and the loss; the entropy of the batch is equal for all rows."""
        symbols = self.symbols(features)
        z = self.vectors(symbols)
        rows, batch = self.entropies(features)
        loss = self.commitment * (features - z).square().sum(-1)
        loss = self.entropy * (rows - batch).sum(-1) + loss
        return straight_through(z, features), symbols, loss

    def symbols(self, z: Tensor) -> Tensor:
        """Return the signs as symbols; zero is positive: (n, positions)."""
        return ((blocks(z, len(self.places)) >= 0) * self.places).sum(-1).long()

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the signs of symbols (n, positions): (n, d)."""
        bits = symbols.to(self.places)[..., None].div(self.places, rounding_mode="floor") % 2
        return (2 * bits - 1).flatten(1)

    def entropies(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return E[H(p)] of each row (B, positions), and H(E[p]) of the batch (positions,)."""
        x = blocks(features, len(self.places))
        every = torch.arange(2 ** len(self.places), device=x.device)
        signs = self.vectors(every[:, None])
        logs = (2 * x @ signs.mT).log_softmax(-1)
        batch = workers.all_rows(logs)
        log_mean = batch.logsumexp(0) - math.log(len(batch))
        return -(logs.exp() * logs).sum(-1), -(log_mean.exp() * log_mean).sum(-1)
