import pytest
import torch
from torch import nn

from attar.codes import Point
from attar.networks import Mlp
from attar.penalties import L1, L2, DecoderWeights, sum_of


def squares(module):
    return sum((m.weight**2).sum().item() for m in module.modules() if isinstance(m, nn.Linear))


def test_l1_and_l2_are_sums_over_the_weights_without_biases(model_of, penalty_of):
    model, x = model_of(Mlp((4,), "tanh"), Point()), torch.randn(6, 5, dtype=torch.float64)
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Linear)]
    assert len(weights) == 4
    _, l1 = penalty_of(L1(), model, x)
    _, l2 = penalty_of(L2(), model, x)
    assert l1.item() == pytest.approx(sum(w.abs().sum().item() for w in weights), rel=1e-12)
    assert l2.item() == pytest.approx(squares(model) / 2, rel=1e-12)


def test_the_decoders_weights_are_punished_alone(model_of, penalty_of):
    model, x = model_of(Mlp((4,), "tanh"), Point()), torch.randn(6, 5, dtype=torch.float64)
    _, value = penalty_of(DecoderWeights(), model, x)
    assert value.item() == pytest.approx(squares(model.decoder) / 2, rel=1e-12)
    value.backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())


def test_a_sum_of_scalars_is_a_scalar():
    assert sum_of(torch.tensor(float(i)) for i in range(4)).item() == 6.0
