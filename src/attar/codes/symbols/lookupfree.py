"""Lookup-free quantization: a symbol is the signs of its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attar.codes.code import CodeModule
from attar.codes.symbols.symbol import QuantizedModule, SymbolCode, apart


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
        return ((apart(z, len(self.places)) >= 0) * self.places).sum(-1).long()

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the signs of symbols (n, positions): (n, d)."""
        bits = symbols.to(self.places)[..., None].div(self.places, rounding_mode="floor") % 2
        return (2 * bits - 1).flatten(1)

    def upkeep(self, given: Tensor, z: Tensor) -> Tensor:
        """Return what each row adds; the entropy of the batch is the same for all."""
        sure, used = self.entropies(given)
        committed = self.commitment * (given - z).square().sum(-1)
        return self.entropy * (sure - used).sum(-1) + committed

    def entropies(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return E[H(p)] of each row (B, positions), and H(E[p]) of the batch (positions,)."""
        x = apart(features, len(self.places))
        every = torch.arange(2 ** len(self.places), device=x.device)
        signs = self.vectors(every[:, None])
        logs = (2 * x @ signs.mT).log_softmax(-1)
        log_mean = logs.logsumexp(0) - math.log(len(logs))
        return -(logs.exp() * logs).sum(-1), -(log_mean.exp() * log_mean).sum(-1)
