"""Finite scalar and lookup-free quantization."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from attar.codes import FiniteScalar, LookupFree
from attar.errors import SettingError

DOUBLE = torch.float64


class TestFiniteScalar:
    def test_the_codes_are_exactly_the_grid_and_all_are_used(self):
        code = FiniteScalar((4, 3, 2)).build(3).double().eval()
        grid = [[-0.75, -0.25, 0.25, 0.75], [-2 / 3, 0, 2 / 3], [-0.5, 0.5]]
        truth = torch.tensor(list(itertools.product(*grid)), dtype=DOUBLE)
        codes = code.vectors(torch.arange(24)[:, None])
        assert len({tuple(row) for row in codes.tolist()}) == 24
        assert (codes[:, None] - truth).abs().amax(-1).min(1).values.max() < 1e-12
        reached = code.point(3 * torch.randn(5000, 3, dtype=DOUBLE))
        assert torch.equal(reached.unique(dim=0), codes.unique(dim=0))

    def test_levels_are_the_nearest_to_the_bounded_features(self):
        code, features = FiniteScalar().build(8).double().eval(), torch.randn(50, 8, dtype=DOUBLE)
        bounded = torch.tanh(math.sqrt(2 / math.pi) * features)
        found = code.point(features)
        for i in range(8):
            levels = (8, 5, 5, 5)[i % 4]
            grid = (2 * torch.arange(levels, dtype=DOUBLE) + 1 - levels) / levels
            nearest = (bounded[:, i, None] - grid).abs().argmin(-1)
            torch.testing.assert_close(found[:, i], grid[nearest])

    def test_standard_normal_features_use_all_levels_about_evenly(self):
        z = FiniteScalar((5,)).build(1).eval().point(torch.randn(20_000, 1))
        shares = z.unique(return_counts=True)[1] / 20_000
        assert shares.tolist() == pytest.approx([0.2] * 5, abs=0.02)

    def test_the_gradient_is_that_of_the_bounded_features(self):
        code = FiniteScalar().build(8).double().train()
        features = torch.randn(9, 8, dtype=DOUBLE, requires_grad=True)
        weights = torch.randn(9, 8, dtype=DOUBLE)
        (code(features).z[0] * weights).sum().backward()
        scale = math.sqrt(2 / math.pi)
        slope = scale * (1 - torch.tanh(scale * features.detach()).square())
        torch.testing.assert_close(features.grad, weights * slope)

    def test_the_evenness_weighs_the_divergence_from_standard_normals(self):
        code = FiniteScalar(evenness=0.5).build(4).double().train()
        features = 2 * torch.randn(40, 4, dtype=DOUBLE) + 1
        q = torch.distributions.Normal(features.mean(0), features.std(0, correction=0))
        truth = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum()
        torch.testing.assert_close(code(features).auxiliary_loss, (0.5 * truth).expand(1, 40))
        assert FiniteScalar().build(4).double().train()(features).auxiliary_loss is None

    def test_saturated_features_have_the_outermost_level(self):
        code = FiniteScalar((4,)).build(1).eval()
        assert code.point(torch.tensor([[-1e9], [1e9]])).tolist() == [[-0.75], [0.75]]

    def test_levels_out_of_range_are_refused(self):
        for levels in ((5, 1), (4.5, 4)):
            with pytest.raises(SettingError, match="at least 2 levels"):
                FiniteScalar(levels).build(4)
        with pytest.raises(SettingError, match="1 dimension or more"):
            FiniteScalar(()).build(4)
        with pytest.raises(SettingError, match=r"evenness .* 0 or a number above"):
            FiniteScalar(evenness=-1.0).build(4)


class TestLookupFree:
    def test_codes_are_signs_and_symbols_their_bits(self):
        code = LookupFree(dim=4).build(8).eval()
        features = torch.tensor([[0.1, -2.0, 3.0, -0.5, -1.0, -1.0, -1.0, 9.0]])
        assert code.point(features).tolist() == [[1, -1, 1, -1, -1, -1, -1, 1]]
        assert code.symbols(features).tolist() == [[0b0101, 0b1000]]

    def test_the_entropies_are_those_of_a_softmax_over_all_symbols(self):
        code = LookupFree(dim=3).build(6).double()
        features = torch.randn(7, 6, dtype=DOUBLE)
        signs = np.array(list(itertools.product([-1, 1], repeat=3)))
        rows, batch = code.entropies(features)
        for position, part in enumerate(features.reshape(7, 2, 3).numpy().swapaxes(0, 1)):
            weights = np.exp(-np.square(part[:, None] - signs).sum(-1))
            p = weights / weights.sum(-1, keepdims=True)
            np.testing.assert_allclose(rows[:, position], entropy(p, axis=-1))
            np.testing.assert_allclose(batch[position], entropy(p.mean(0)))

    def test_the_entropy_of_a_row_is_the_sum_over_its_bits(self):
        features = torch.randn(7, 5, dtype=DOUBLE)
        rows, _ = LookupFree(dim=5).build(5).double().entropies(features)
        bits = torch.distributions.Bernoulli(logits=4 * features).entropy().sum(-1)
        torch.testing.assert_close(rows[:, 0], bits)

    def test_the_auxiliary_loss_rewards_certain_rows_and_many_symbols(self):
        code = LookupFree(dim=2, entropy=0.7, commitment=0.3).build(4).double().train()
        features = torch.randn(7, 4, dtype=DOUBLE)
        rows, batch = code.entropies(features)
        signs = torch.where(features >= 0, 1.0, -1.0)
        truth = 0.7 * (rows.sum(-1) - batch.sum()) + 0.3 * (features - signs).square().sum(-1)
        torch.testing.assert_close(code(features).auxiliary_loss[0], truth)

    def test_the_gradient_goes_straight_through(self):
        code, features = LookupFree().build(16).train(), torch.randn(9, 16, requires_grad=True)
        weights = torch.randn(9, 16)
        (code(features).z[0] * weights).sum().backward()
        torch.testing.assert_close(features.grad, weights)

    def test_settings_out_of_range_are_refused(self):
        for wrong, wanted in (
            (LookupFree(dim=32), "a dim of 16 at most"),
            (LookupFree(dim=0), "1 dimension or more"),
            (LookupFree(entropy=-1.0), "entropy .* 0 or a number above"),
            (LookupFree(commitment=-1.0), "commitment .* 0 or a number above"),
        ):
            with pytest.raises(SettingError, match=wanted):
                wrong.build(32)
