"""Penalties: what is punished besides error and rate."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.codes.point import PointModule
from attar.parts import Part
from attar.records import Trace


@dataclass(frozen=True)
class PenaltyTerm:
    """A penalty bound to a model.

    Attributes
    ----------
    weight : float
    value : callable
        From a trace to the unweighted punishment, a scalar.
    inputs_learn : bool
        Whether it differentiates with respect to the trace's inputs.
    """

    weight: float
    value: Callable[[Trace], Tensor]
    inputs_learn: bool = False


class Penalty(Part):
    """Something that is punished, with its weight.

    Attributes
    ----------
    needs : frozenset of str
        ``"point"`` where the penalty makes sense for codes without chance only.
    """

    weight: float

    @abstractmethod
    def build(self, encoder: nn.Module, code: nn.Module, decoder: nn.Module) -> PenaltyTerm:
        """Return the penalty, bound to the parts of a model."""


def sum_of(terms: Iterable[Tensor]) -> Tensor:
    """Return the sum of scalars as one tensor."""
    return torch.stack(list(terms)).sum()


def _weights(*modules: nn.Module) -> list[nn.Parameter]:
    return [p for module in modules for p in module.parameters() if p.ndim > 1]


@dataclass(frozen=True)
class L1(Penalty, name="l1"):
    """The sum of the absolute weights of encoder and decoder, biases left out."""

    weight: float = 1e-5

    def build(self, encoder: nn.Module, code: nn.Module, decoder: nn.Module) -> PenaltyTerm:
        """Return Σ |w|."""
        weights = _weights(encoder, decoder)
        return PenaltyTerm(self.weight, lambda _: sum_of(w.abs().sum() for w in weights))


@dataclass(frozen=True)
class L2(Penalty, name="l2"):
    """Half the sum of the squared weights of encoder and decoder, biases left out."""

    weight: float = 1e-4

    def build(self, encoder: nn.Module, code: nn.Module, decoder: nn.Module) -> PenaltyTerm:
        """Return Σ w² / 2."""
        weights = _weights(encoder, decoder)
        return PenaltyTerm(self.weight, lambda _: sum_of(w.square().sum() / 2 for w in weights))


@dataclass(frozen=True)
class Contractive(Penalty, name="contractive"):
    """The squared Frobenius norm of the code's Jacobian, mean over the batch: |∂z/∂x|².

    With one layer between input and code it is exact, Σ_j a'(u_j)² Σ_i W_ji²; otherwise it is
    Hutchinson's estimate |∂(v·z)/∂x|² with a random sign vector v.

    References
    ----------
    Rifai et al., "Contractive auto-encoders: explicit invariance during feature extraction",
    ICML 2011.
    """

    weight: float = 0.1

    needs = frozenset({"point"})

    def build(self, encoder: nn.Module, code: nn.Module, decoder: nn.Module) -> PenaltyTerm:
        """Return the exact norm where the encoder is one layer, else its estimate."""
        layers = [m for m in encoder.modules() if not isinstance(m, nn.Sequential | nn.Flatten)]
        if len(layers) == 1 and isinstance(layers[0], nn.Linear) and isinstance(code, PointModule):
            return PenaltyTerm(self.weight, _one_layer(layers[0], code))
        return PenaltyTerm(self.weight, _hutchinson, inputs_learn=True)


def _one_layer(layer: nn.Linear, code: PointModule) -> Callable[[Trace], Tensor]:
    def norm(trace: Trace) -> Tensor:
        z = code.point(trace.features)
        (slope,) = torch.autograd.grad(z.sum(), trace.features, create_graph=True)
        return (slope.square() @ layer.weight.square().sum(1)).mean()

    return norm


def _hutchinson(trace: Trace) -> Tensor:
    z = trace.coded.z[0]
    signs = torch.empty_like(z).bernoulli_(0.5).mul_(2).sub_(1)
    (slope,) = torch.autograd.grad((z * signs).sum(), trace.inputs, create_graph=True)
    return slope.flatten(1).square().sum(1).mean()
