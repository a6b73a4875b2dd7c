import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar.codes import Gated

DOUBLE = torch.float64


def anyhow(seed, size=5):
    """Return a gated code with weights that are not what they start as."""
    generator = torch.Generator().manual_seed(seed)
    code = Gated().build(size).double()
    with torch.no_grad():
        for weight in code.parameters():
            weight.copy_(0.5 * torch.randn(size, dtype=DOUBLE, generator=generator))
    return code, torch.randn(20, size, dtype=DOUBLE, generator=generator)


@given(st.integers(0, 1000))
def test_the_code_is_the_magnitude_where_the_gate_is_open(seed):
    code, features = anyhow(seed)
    coded = code(features)
    r, b, c = (w.detach().numpy() for w in (code.log_scale, code.gate_bias, code.magnitude_bias))
    gate = features.numpy() + b
    magnitude = np.exp(r) * features.numpy() + c
    expected = (gate > 0) * np.maximum(magnitude, 0)
    np.testing.assert_allclose(coded.z[0].detach().numpy(), expected, rtol=1e-12)
    expected = np.maximum(gate, 0).sum(1)
    np.testing.assert_allclose(coded.rate[0].detach().numpy(), expected, rtol=1e-12)


def test_the_price_touches_the_gates_alone():
    code, features = anyhow(0)
    code(features).rate.sum().backward()
    assert code.gate_bias.grad.any()
    assert code.log_scale.grad is None
    assert code.magnitude_bias.grad is None


def test_the_gates_must_explain_the_row_and_the_decoder_does_not_learn_from_it():
    code, features = anyhow(1)
    features.requires_grad_()
    decoder, row = torch.nn.Linear(5, 3).double(), torch.randn(20, 3, dtype=DOUBLE)

    def log_likelihood(z):
        return -(row - decoder(z)).square().sum(-1)

    auxiliary_loss = code(features, None, log_likelihood).auxiliary_loss
    opening = (features + code.gate_bias).relu()
    expected = -log_likelihood(opening[None])
    torch.testing.assert_close(auxiliary_loss, expected)
    wanted = torch.autograd.grad(expected.sum(), [features, code.gate_bias])
    auxiliary_loss.sum().backward()
    torch.testing.assert_close((features.grad, code.gate_bias.grad), wanted)
    assert code.log_scale.grad is None
    assert decoder.weight.grad is None
    assert decoder.bias.grad is None


def test_there_is_no_upkeep_outside_training_nor_without_a_decoder():
    code, features = anyhow(2)
    assert code(features).auxiliary_loss is None
    assert code.eval()(features, None, lambda z: z.sum(-1)).auxiliary_loss is None


@given(st.integers(0, 1000))
def test_the_nearest_valid_code_leaves_codes_as_they_are(seed):
    code, features = anyhow(seed)
    z = code.float().point(features.float())
    assert torch.equal(code.constrain(z), z)


def test_the_nearest_valid_code_has_nothing_that_an_open_gate_would_not_let_through():
    code = Gated().build(2)
    with torch.no_grad():
        code.gate_bias.copy_(torch.tensor([-1.0, 1.0]))
        code.log_scale.fill_(np.log(2))
    # The first gate opens at π = 1, where the magnitude is 2; the second before any magnitude.
    z = torch.tensor([[1.9, 0.1], [2.1, -0.1]])
    assert torch.equal(code.constrain(z), torch.tensor([[0.0, 0.1], [2.1, 0.0]]))
