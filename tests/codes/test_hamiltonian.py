import math
from itertools import pairwise

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from attar.codes import Gaussian, Hamiltonian
from attar.codes.hamiltonian import EuclideanKinetics
from attar.errors import SettingError

DOUBLE, KINETICS = torch.float64, EuclideanKinetics()
# A linear Gaussian model of two latent dimensions: x = W z + 0.5 ε.
WEIGHT = torch.tensor([[1.0, 0.4], [-0.3, 0.8], [0.5, 0.5]], dtype=DOUBLE)
ROW = torch.tensor([0.7, -0.4, 1.1], dtype=DOUBLE)
CRUDE = torch.tensor([[0.0, 0.0, 0.5, 0.3]], dtype=DOUBLE)


def log_likelihood(z):
    return Normal(z @ WEIGHT.T, 0.5).log_prob(ROW).sum(-1)


def evidence():
    covariance = WEIGHT @ WEIGHT.T + 0.25 * torch.eye(3, dtype=DOUBLE)
    return MultivariateNormal(torch.zeros(3, dtype=DOUBLE), covariance).log_prob(ROW).item()


def module(size=2, **settings):
    return Hamiltonian(**settings).build(size).double()


def energy(z, momentum):
    """-log p(x, z) plus the kinetic energy, for z at rest a priori at N(0, I)."""
    return z.square().sum(-1) / 2 - log_likelihood(z) + momentum.square().sum(-1) / 2


def moved(z, momentum, steps, size):
    def gradient(z):
        return -z + (ROW - z @ WEIGHT.T) @ WEIGHT / 0.25

    force, size = gradient(z), torch.as_tensor(size, dtype=DOUBLE)
    for _ in range(steps):
        z, momentum, force = KINETICS.leap(z, momentum, force, gradient, size)
    return z, momentum


def test_steps_are_reversible():
    start, momentum = torch.randn(2, 5, 2, dtype=DOUBLE)
    z, end_momentum = moved(start, momentum, 7, 0.2)
    first, reversed_ = moved(z, -end_momentum, 7, 0.2)
    torch.testing.assert_close(first, start)
    torch.testing.assert_close(reversed_, -momentum)


def test_the_energy_error_falls_with_the_square_of_the_step():
    start, momentum = torch.randn(2, 2, dtype=DOUBLE)
    errors = []
    for steps in (20, 40, 80):
        end = moved(start, momentum, steps, 1.3 / steps)
        errors.append((energy(*end) - energy(start, momentum)).abs().item())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("tempering", [-20.0, 0.0, 1.0])
def test_the_flow_preserves_volume_at_any_tempering(tempering):
    code = module(steps=4)
    with torch.no_grad():
        code.tempering.fill_(tempering)

    def flow(state):
        z, momentum = state.reshape(2, 1, 1, 2)
        return torch.cat(code.flow(z, momentum, log_likelihood, KINETICS)).flatten()

    jacobian = torch.autograd.functional.jacobian(flow, torch.randn(4, dtype=DOUBLE))
    assert torch.linalg.det(jacobian).item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("steps", [1, 4])
def test_momentum_is_tempered_as_in_the_paper(steps):
    code = module(steps=steps, max_step_size=0.5)
    with torch.no_grad():
        code.tempering.fill_(0.3)
        code.size_logits.copy_(torch.tensor([-1.0, 0.5]))
    z, momentum = start = torch.randn(2, 1, 5, 2, dtype=DOUBLE)
    size = 0.5 / (1 + torch.tensor([1.0, -0.5], dtype=DOUBLE).exp())
    # The inverse root of β in each step, equation 10 with the quadratic scheme: from 1/√β₀ to 1.
    largest = 1 + math.exp(0.3)
    roots = [1 / ((1 - largest) * (k / steps) ** 2 + largest) for k in range(steps + 1)]
    momentum = momentum / roots[0]
    for before, after in pairwise(roots):
        z, momentum = moved(z, momentum, 1, size)
        momentum = momentum * before / after
    torch.testing.assert_close(code.flow(*start, log_likelihood, KINETICS), (z, momentum))


def test_step_sizes_start_at_a_fifth_of_the_max_step_size():
    code, start = module(steps=1, max_step_size=0.5), torch.randn(2, 1, 5, 2, dtype=DOUBLE)
    torch.testing.assert_close(
        code.flow(*start, log_likelihood, KINETICS)[0],
        moved(start[0], 2 * start[1], 1, 0.1)[0],
    )


@pytest.mark.parametrize("max_step_size", [0.05, 1.0])
def test_the_mean_importance_weight_is_the_evidence(max_step_size):
    code = module(max_step_size=max_step_size)
    with torch.no_grad():
        coded = code(CRUDE, torch.randn(40_000, 1, 4, dtype=DOUBLE), log_likelihood)
    weights = (log_likelihood(coded.z) - coded.rate).exp() / torch.tensor(evidence()).exp()
    assert weights.mean().item() == pytest.approx(1, abs=4 * weights.std().item() / 200)


def test_moving_tightens_the_bound_of_a_crude_posterior():
    gaussian, code = Gaussian().build(2), module(steps=5, max_step_size=2.0)
    with torch.no_grad():
        code.tempering.fill_(-2.0)
        bounds = []
        for each, normals in ((gaussian, 2), (code, 4)):
            coded = each(CRUDE, torch.randn(4000, 1, normals, dtype=DOUBLE), log_likelihood)
            bounds.append((log_likelihood(coded.z) - coded.rate).mean().item())
    assert bounds[0] + 0.5 < bounds[1] < evidence()


def test_the_point_moves_from_the_mean_to_higher_likelihood():
    code = module()
    assert torch.equal(code.point(CRUDE), CRUDE[:, :2])
    point = code.point(CRUDE, log_likelihood)
    with torch.no_grad():
        assert torch.equal(code.point(CRUDE, log_likelihood), point)
    assert log_likelihood(point[None]).item() > log_likelihood(CRUDE[None, :, :2]).item()


def test_a_rows_code_depends_neither_on_other_rows_nor_on_gradients():
    code, rows = module(3), torch.randn(5, 6, dtype=DOUBLE)
    noise = torch.randn(2, 1, 6, dtype=DOUBLE)
    whole = code(rows, noise)
    with torch.no_grad():
        alone = code(rows[2:3], noise)
    for name in ("z", "rate", "log_q", "log_p"):
        torch.testing.assert_close(getattr(whole, name)[:, 2:3], getattr(alone, name))


def test_gradients_flow_to_features_step_sizes_and_tempering():
    code, noise = module(), torch.randn(3, 4, 4, dtype=DOUBLE)

    def outcome(features, *_):
        coded = code(features, noise, log_likelihood)
        return coded.z, coded.log_q, coded.log_p

    features = torch.randn(4, 4, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(outcome, (features, *code.parameters()))


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"steps": 2.5},
        {"max_step_size": 0.0},
        {"max_step_size": -1.0},
        {"max_step_size": math.inf},
    ],
)
def test_invalid_steps_are_refused(settings):
    with pytest.raises(SettingError, match=r"must be (an integer|a number) above 0"):
        module(**settings)
