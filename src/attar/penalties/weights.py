"""What large weights cost."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from attar.model import Model
from attar.penalties.penalty import Penalty, PenaltyTerm, sum_of


@dataclass(frozen=True)
class L1(Penalty, name="l1"):
    """The sum of the absolute weights of encoder and decoder, biases left out."""

    weight: float = 1e-5

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return Σ |w|."""
        weights = weights_of(model.encoder, model.decoder)
        return self.term(lambda _: sum_of(w.abs().sum() for w in weights))


@dataclass(frozen=True)
class L2(Penalty, name="l2"):
    """Half the sum of the squared weights of encoder and decoder, biases left out."""

    weight: float = 1e-4

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return Σ w² / 2."""
        weights = weights_of(model.encoder, model.decoder)
        return self.term(lambda _: half_squares(weights))


def weights_of(*modules: nn.Module) -> list[nn.Parameter]:
    """Return the weights of modules, biases left out."""
    return [p for module in modules for p in module.parameters() if p.ndim > 1]


def half_squares(weights: list[nn.Parameter]) -> Tensor:
    """Return Σ w² / 2."""
    return sum_of(w.square().sum() / 2 for w in weights)
