"""The contractive penalty: the code hardly moves when the row does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.codes.point import PointModule
from attar.model import Model
from attar.penalties.jacobian import squared_norm
from attar.penalties.penalty import Penalty, PenaltyTerm
from attar.records import Trace


@dataclass(frozen=True)
class Contractive(Penalty, name="contractive"):
    """The squared Frobenius norm of the code's Jacobian, mean over the batch: |∂z/∂x|².

    With nothing but one layer between values and code it is exact, Σ_j a'(u_j)² Σ_i W_ji²;
    otherwise it is Hutchinson's estimate |∂(v·z)/∂x|² with a random sign vector v.

    References
    ----------
    Rifai et al., "Contractive auto-encoders: explicit invariance during feature extraction",
    ICML 2011.
    """

    weight: float = 0.1

    needs = frozenset({"point"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the exact norm where the encoder is one layer, else its estimate."""
        layers = [
            m for m in model.encoder.modules() if not isinstance(m, nn.Sequential | nn.Flatten)
        ]
        # The layer's own weights also face what is known of gaps, and a condition comes after it.
        if (
            not model.gaps
            and model.condition is None
            and len(layers) == 1
            and isinstance(layers[0], nn.Linear)
            and isinstance(model.code, PointModule)
        ):
            return self.term(_one_layer(layers[0], model.code))
        return self.term(_estimate, inputs_learn=True)


def _one_layer(layer: nn.Linear, code: PointModule) -> Callable[[Trace], Tensor]:
    def norm(trace: Trace) -> Tensor:
        z = code.point(trace.features)
        (slope,) = torch.autograd.grad(z.sum(), trace.features, create_graph=True)
        return (slope.square() @ layer.weight.square().sum(1)).mean()

    return norm


def _estimate(trace: Trace) -> Tensor:
    return squared_norm(trace.coded.z[0], trace.inputs) / len(trace.inputs)
