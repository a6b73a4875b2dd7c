import math
from copy import deepcopy

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from attar.codes import Riemannian
from attar.codes.riemannian import Metric, RiemannianKinetics
from attar.errors import SettingError
from attar.networks import Linear

DOUBLE = torch.float64
WEIGHT = torch.tensor([[1.0, 0.4], [-0.3, 0.8], [0.5, 0.5]], dtype=DOUBLE)
ROW = torch.tensor([0.7, -0.4, 1.1], dtype=DOUBLE)


def log_likelihood(z):
    return Normal(z @ WEIGHT.T, 0.5).log_prob(ROW).sum(-1)


def evidence():
    covariance = WEIGHT @ WEIGHT.T + 0.25 * torch.eye(3, dtype=DOUBLE)
    return MultivariateNormal(torch.zeros(3, dtype=DOUBLE), covariance).log_prob(ROW).item()


def metric(centres=5, size=3, temperature=1.2, floor=0.1):
    roots = torch.randn(centres, size, size, dtype=DOUBLE).tril()
    return Metric(torch.randn(centres, size, dtype=DOUBLE), roots, temperature, floor)


def bump(temperature=1.0, floor=0.1, size=2):
    """The metric of one anchor in the origin, with L = I."""
    eye = torch.eye(size, dtype=DOUBLE)
    return Metric(torch.zeros(1, size, dtype=DOUBLE), eye[None], temperature, floor)


def module(size=2, **settings):
    code = Riemannian(**{"anchors": 4} | settings)
    built = code.build(size, (3,)).double()
    encoder = Linear().encoder((3,), code.width(size)).double()
    built.attach(encoder)
    rows = torch.randn(9, 3, dtype=DOUBLE)
    built.on_data(rows, encoder(rows))
    return built, encoder


class TestMetric:
    def test_it_is_symmetric_positive_definite_and_the_inverse_of_its_inverse(self):
        found, z = metric(), 2 * torch.randn(20, 3, dtype=DOUBLE)
        g = found.at(z)
        torch.testing.assert_close(g, g.mT)
        assert (torch.linalg.eigvalsh(g) > 0).all()
        torch.testing.assert_close(g @ found.inverse(z), torch.eye(3).double().expand(20, 3, 3))
        torch.testing.assert_close(found.log_volume(z), found.inverse(z).logdet() / 2)

    def test_far_from_all_anchors_it_is_flat(self):
        g = metric().at(torch.full((3,), 50.0, dtype=DOUBLE))
        torch.testing.assert_close(g, torch.eye(3, dtype=DOUBLE) / 0.1)

    def test_with_one_anchor_it_has_a_closed_form(self):
        z = torch.randn(6, 2, dtype=DOUBLE)
        scale = 0.3 + (-z.square().sum(1) / 0.49).exp()
        expected = scale[:, None, None] * torch.eye(2, dtype=DOUBLE)
        torch.testing.assert_close(bump(0.7, 0.3).inverse(z), expected)

    def test_its_slopes_are_those_of_autograd(self):
        found, z = metric(), torch.randn(6, 3, dtype=DOUBLE, requires_grad=True)
        matrix = torch.randn(6, 3, 3, dtype=DOUBLE)
        (slope,) = torch.autograd.grad((matrix * found.inverse(z)).sum(), z)
        torch.testing.assert_close(found.gradient(z, matrix), slope)
        (slope,) = torch.autograd.grad(found.log_volume(z).sum(), z)
        torch.testing.assert_close(found.log_volume_gradient(z), slope)

    def test_it_is_nan_where_it_is_not_positive_definite(self):
        found = bump(floor=-0.5).log_volume(torch.tensor([[0.1, 0.2], [3.0, 0.0]], dtype=DOUBLE))
        assert found.isnan().tolist() == [False, True]

    def test_distances_are_euclidean_where_it_is_flat_and_trapezoidal_elsewhere(self):
        z, others = torch.randn(3, 2, dtype=DOUBLE), torch.randn(4, 2, dtype=DOUBLE)
        flat = Metric(z, torch.zeros(3, 2, 2, dtype=DOUBLE), 1.0, 0.25)
        torch.testing.assert_close(flat.distance(z, others), 2 * torch.cdist(z, others))
        difference = others[1] - z[0]
        ends = [(difference @ bump().at(end) @ difference).sqrt() for end in (z[0], others[1])]
        torch.testing.assert_close(bump().distance(z, others)[0, 1], sum(ends) / 2)

    def test_the_geodesic_of_a_flat_metric_is_the_line(self):
        flat = Metric(torch.zeros(1, 2).double(), torch.zeros(1, 2, 2).double(), 1.0, 0.01)
        start, end = torch.randn(2, 2, dtype=DOUBLE)
        path = flat.geodesic(start, end)
        line = torch.lerp(start, end, torch.linspace(0, 1, len(path)).double()[:, None])
        torch.testing.assert_close(path, line, rtol=0, atol=1e-9)

    def test_a_geodesic_takes_a_detour_of_lower_energy(self):
        start, end = torch.tensor([[-1.5, 0.8], [1.5, 0.8]], dtype=DOUBLE)
        path = bump().geodesic(start, end)
        line = torch.lerp(start, end, torch.linspace(0, 1, len(path)).double()[:, None])
        assert bump().energy(path) < 0.9 * bump().energy(line)
        assert path[len(path) // 2, 1] < 0.7
        torch.testing.assert_close(path[[0, -1]], torch.stack([start, end]))
        # The speed of a geodesic is constant.
        middle, pieces = (path[1:] + path[:-1]) / 2, path.diff(dim=0)
        speed = (pieces[:, None] @ bump().at(middle) @ pieces[..., None]).flatten().sqrt()
        assert (speed / speed.mean() - 1).abs().max() < 0.05

    def test_the_length_of_a_geodesic_through_an_anchor_is_the_integral(self):
        start, end = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=DOUBLE)
        path = bump(floor=0.5).geodesic(start, end)
        assert path[:, 1].abs().max() < 1e-9
        t = (torch.arange(20_000, dtype=DOUBLE) + 0.5) / 10_000 - 1
        length = (0.5 + (-t.square()).exp()).rsqrt().mean().item() * 2
        # The energy of a path of constant speed is its length squared.
        assert bump(floor=0.5).energy(path).sqrt().item() == pytest.approx(length, rel=2e-3)


class TestSteps:
    def state(self):
        found, z, normal = RiemannianKinetics(metric()), *torch.randn(2, 4, 3, dtype=DOUBLE)
        return found, z, found.momentum(z, normal)

    def leap(self, curved, z, momentum, size):
        def slope(z):
            return -z

        size = torch.as_tensor(size, dtype=DOUBLE)
        return curved.leap(z, momentum, slope(z), slope, size)[:2]

    def test_momenta_and_their_densities_are_those_of_normals_with_the_metric(self):
        found, z, _ = self.state()
        momentum = found.momentum(z, torch.randn(40_000, 4, 3, dtype=DOUBLE))
        g = found.metric.at(z)
        normal = MultivariateNormal(torch.zeros(4, 3, dtype=DOUBLE), g)
        torch.testing.assert_close(found.log_prob(z, momentum[0]), normal.log_prob(momentum[0]))
        spread = (momentum[..., None] * momentum[..., None, :]).mean(0)
        scale = (g.diagonal(dim1=1, dim2=2)[:, None] * g.diagonal(dim1=1, dim2=2)[..., None]).sqrt()
        assert ((spread - g).abs() < 5 * 2**0.5 * scale / 200).all()

    def test_the_error_in_volume_falls_with_the_fourth_power_of_the_step(self):
        found, z, momentum = self.state()

        def error(size):
            def flow(state):
                return torch.cat(self.leap(found, state[:3], state[3:], size))

            state = torch.cat([z[0], momentum[0]])
            jacobian = torch.autograd.functional.jacobian(flow, state)
            return abs(torch.linalg.det(jacobian).item() - 1)

        assert error(0.02) < 1e-5
        assert error(0.02) / error(0.01) > 12

    def test_the_energy_error_of_a_step_falls_with_the_third_power_of_its_size(self):
        found, z, momentum = self.state()

        def energy(z, momentum):
            return z.square().sum(-1) / 2 - found.log_prob(z, momentum)

        def error(size):
            return energy(*self.leap(found, z, momentum, size)) - energy(z, momentum)

        ratio = error(0.0006) / error(0.0003)
        torch.testing.assert_close(ratio, torch.full_like(ratio, 8), rtol=0.06, atol=0)

    def test_steps_are_reversible(self):
        found, z, momentum = self.state()
        end, end_momentum = self.leap(found, z, momentum, 0.005)
        first, reversed_ = self.leap(found, end, -end_momentum, 0.005)
        torch.testing.assert_close(first, z, rtol=0, atol=1e-7)
        torch.testing.assert_close(reversed_, -momentum, rtol=0, atol=1e-5)


class TestCode:
    def test_features_are_moments_and_a_triangular_matrix(self):
        assert Riemannian().width(4) == 4 + 4 + 10
        assert Riemannian().noise(4) == 8

    def test_the_metric_is_that_of_encoded_evenly_spaced_rows(self):
        code = Riemannian(anchors=3).build(2, (3,)).double()
        encoder = Linear().encoder((3,), 7).double()
        code.attach(encoder)
        rows = torch.randn(9, 3, dtype=DOUBLE)
        code.on_data(rows, encoder(rows))
        assert torch.equal(code.anchors, rows[::3])
        features, found = encoder(rows[::3]), code.metric()
        torch.testing.assert_close(found.centres, features[:, :2])
        a, b, c = features[:, 4:].T
        root = torch.stack([a.exp(), 0 * a, b, c.exp()], dim=1).reshape(3, 2, 2)
        torch.testing.assert_close(found.roots, root)

    def test_fewer_rows_than_anchors_are_repeated(self):
        code = Riemannian(anchors=5).build(2, (3,))
        rows = torch.randn(2, 3)
        code.on_data(rows, rows)
        assert torch.equal(code.anchors, rows[[0, 0, 0, 1, 1]])

    def test_anchors_are_saved_and_a_copy_has_an_encoder_of_its_own(self):
        code, _ = module()
        assert torch.equal(code.state_dict()["anchors"], code.anchors)
        copied = deepcopy(code)
        with torch.no_grad():
            copied.encode[-1].weight.zero_()
        assert code.metric().centres.any()

    def test_the_mean_importance_weight_is_the_evidence(self):
        code, _ = module(max_step_size=0.5)
        features = torch.zeros(1, 7, dtype=DOUBLE)
        with torch.no_grad():
            coded = code(features, torch.randn(20_000, 1, 4, dtype=DOUBLE), log_likelihood)
        weights = (log_likelihood(coded.z) - coded.rate - evidence()).exp()
        error = weights.std().item() / math.sqrt(20_000)
        assert weights.mean().item() == pytest.approx(1, abs=4 * error)

    def test_gradients_flow_through_the_steps(self):
        code, encoder = module(steps=2)
        noise, rows = torch.randn(2, 2, 4, dtype=DOUBLE), torch.randn(2, 3, dtype=DOUBLE)

        def outcome(*_):
            coded = code(encoder(rows), noise, log_likelihood)
            return coded.z, coded.log_q, coded.log_p

        parameters = (*code.parameters(), *encoder.parameters())
        assert torch.autograd.gradcheck(outcome, parameters)

    def test_interpolation_follows_a_geodesic(self):
        code, _ = module()
        start, end = torch.randn(2, 2, dtype=DOUBLE)
        with torch.no_grad():
            path = code.metric().geodesic(start, end)
            found = code.interpolate(start, end, torch.linspace(0, 1, len(path), dtype=DOUBLE))
            torch.testing.assert_close(found, path)
            again = code.interpolate(start, end, torch.linspace(0, 1, len(path), dtype=DOUBLE))
        assert torch.equal(found, again)

    @pytest.mark.parametrize("name", ["anchors", "temperature", "floor", "steps", "max_step_size"])
    def test_hyperparameters_not_above_zero_are_refused(self, name):
        for wrong in (0, -1, math.nan, math.inf):
            with pytest.raises(SettingError, match=rf"The {name} .* must be .* above 0"):
                Riemannian(**{name: wrong}).build(2, (3,))
