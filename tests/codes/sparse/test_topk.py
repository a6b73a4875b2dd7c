"""Sparse codes that keep the largest units."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal

import attar
from attar import Recipe, SettingError
from attar.codes import BatchTopK, Matryoshka, TopK
from attar.codes.sparse.topk import AUXILIARY_WEIGHT, NEWEST, PATIENCE
from attar.likelihoods import FixedGaussian
from attar.networks import Linear
from attar.records import Batch

DOUBLE = torch.float64


def with_idle(code, units):
    code.idle[units] = 2 * PATIENCE * len(code.idle) / code.k
    return code


@pytest.fixture(scope="module")
def dictionary():
    generator = np.random.default_rng(0)
    features = generator.standard_normal((48, 32))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    active = generator.random((4000, 48)) < 0.04
    rows = (active * generator.uniform(0.5, 1.5, active.shape)) @ features
    return features, rows.astype(np.float32)


class TestTopK:
    @given(st.integers(1, 6), st.integers(0, 1000))
    def test_exactly_the_k_largest_units_are_kept_and_rectified(self, k, seed):
        features = torch.randn(9, 6, generator=torch.Generator().manual_seed(seed))
        code = TopK(k).build(6).eval()
        for row, z in zip(features.numpy(), code.point(features).numpy(), strict=True):
            kept = np.argsort(row)[-k:]
            expected = np.zeros(6, np.float32)
            expected[kept] = np.maximum(row[kept], 0)
            assert np.array_equal(z, expected)

    def test_code_and_nearest_valid_code_are_the_point(self):
        features, code = torch.randn(9, 6), TopK(2).build(6).eval()
        assert torch.equal(code(features, torch.randn(3, 1, 6)).z, code.point(features)[None])
        assert torch.equal(code.constrain(features), code.point(features))
        assert torch.equal(code(features).rate, torch.zeros(1, 9))

    def test_only_the_kept_units_get_a_gradient(self):
        features = torch.tensor([[3.0, 1.0, 2.0, -1.0]], requires_grad=True)
        TopK(2).build(4).point(features).sum().backward()
        assert features.grad.tolist() == [[1.0, 0.0, 1.0, 0.0]]

    @pytest.mark.parametrize("seed", range(10))
    @pytest.mark.parametrize("handicap", [0.9, 30.0, 1000.0])
    def test_a_dead_unit_is_chosen_in_its_row_of_largest_score_after_an_epoch(self, seed, handicap):
        features = torch.rand(50, 8, generator=torch.Generator().manual_seed(seed))
        features[:, 5] -= 1 + handicap
        code = TopK(2).build(8)
        for part in features.split(10):
            assert not code.point(part)[:, 5].any()
        code.on_epoch()
        best = (features[:, 5] - features.topk(2).values[:, 1]).argmax()
        chosen = code.point(features)[:, 5] > 0
        assert chosen[best]
        assert chosen.sum() <= 3

    def test_of_several_dead_units_each_is_chosen_within_a_few_epochs(self):
        features = torch.rand(50, 8)
        features[:, 4:] -= torch.tensor([3.0, 1000.0, 30.0, 30.0])
        code, chosen = TopK(2).build(8), torch.zeros(8, dtype=torch.bool)
        for _ in range(6):
            chosen |= (code.point(features) > 0).any(0)
            code.on_epoch()
        assert chosen.all()

    def test_units_that_are_kept_but_negative_are_dead_too(self):
        features = -torch.rand(50, 4) - 1
        code = TopK(4).build(4)
        assert not code.point(features).any()
        code.on_epoch()
        assert (code.point(features) > 0).any(0).all()

    def test_active_units_are_unchanged_after_an_epoch(self):
        code = TopK(2).build(4)
        code.point(torch.eye(4) + torch.eye(4).roll(1, 0))
        code.on_epoch()
        assert torch.equal(code.bias, torch.zeros(4))

    def test_each_epoch_counts_from_zero(self):
        code = TopK(1).build(2)
        code.point(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        code.on_epoch()
        code.point(torch.tensor([[1.0, 0.0], [1.0, 0.5]]))
        code.on_epoch()
        torch.testing.assert_close(code.bias, torch.tensor([0.0, 0.5]), rtol=0, atol=2e-5)

    def test_rows_outside_training_are_not_counted(self):
        code = TopK(1).build(2).eval()
        before = {name: tensor.clone() for name, tensor in code.state_dict().items()}
        code.point(torch.randn(5, 2))
        for name, tensor in code.state_dict().items():
            assert torch.equal(tensor, before[name])

    def test_k_must_suit_the_code_size(self):
        for k in (0, 5):
            with pytest.raises(SettingError, match="choose k between 1 and 4"):
                TopK(k).build(4)

    def test_the_smallest_code_has_twice_as_many_units(self):
        assert TopK(5).least_size == 10


class TestBatchTopK:
    @given(st.integers(1, 6), st.integers(0, 1000))
    def test_exactly_the_largest_units_of_the_batch_are_kept_and_rectified(self, k, seed):
        features = torch.randn(9, 6, generator=torch.Generator().manual_seed(seed))
        z = BatchTopK(k).build(6).point(features)
        flat = features.numpy().ravel()
        kept = np.argsort(flat)[-9 * k :]
        expected = np.zeros_like(flat)
        expected[kept] = np.maximum(flat[kept], 0)
        assert np.array_equal(z.numpy().ravel(), expected)

    def test_the_threshold_keeps_k_units_a_row_in_the_mean_of_the_training_rows(self):
        features = torch.randn(200, 30) + torch.linspace(-1, 1, 30)
        code = BatchTopK(4).build(30)
        chosen = code.point(features)
        z = code.eval().point(features)
        assert torch.equal(z, chosen)
        assert (z > 0).sum() == 4 * 200

    def test_over_many_batches_the_threshold_keeps_about_k_units_a_row(self):
        features = torch.randn(4000, 30) + torch.linspace(-1, 1, 30)
        code = BatchTopK(4).build(30)
        for batch in features.split(40):
            code.point(batch)
        active = (code.eval().point(features) > 0).sum(1).float().mean()
        assert active.item() == pytest.approx(4, rel=0.03)

    def test_the_threshold_is_a_running_mean_of_the_smallest_that_were_kept(self):
        code, thresholds = BatchTopK(1).build(2), torch.rand(60) + 1
        for threshold in thresholds:
            code.point(torch.stack([threshold, threshold - 1])[None])
        expected = 0.0
        for n, threshold in enumerate(thresholds.tolist(), 1):
            expected += (threshold - expected) * max(1 / n, NEWEST)
        assert code.threshold.item() == pytest.approx(expected, rel=1e-5)

    def test_a_row_does_not_depend_on_its_neighbours_outside_training(self):
        code = BatchTopK(2).build(6)
        code.point(torch.randn(50, 6))
        code.eval()
        features = torch.randn(20, 6)
        alone = torch.cat([code.point(row[None]) for row in features])
        assert torch.equal(code.point(features), alone)

    def test_the_nearest_valid_code_has_nothing_below_the_threshold(self):
        code = BatchTopK(1).build(3)
        code.point(torch.tensor([[0.5, 0.2, 0.1]]))
        code.eval()
        z = torch.tensor([[0.5, 0.49, -2.0], [0.7, 3.0, 0.0]])
        valid = code.constrain(z)
        assert torch.equal(valid, torch.tensor([[0.5, 0.0, 0.0], [0.7, 3.0, 0.0]]))
        assert torch.equal(code.constrain(valid), valid)

    def test_only_the_kept_units_get_a_gradient(self):
        features = torch.tensor([[3.0, 2.0, -1.0], [1.0, 0.5, 2.5]], requires_grad=True)
        BatchTopK(1).build(3).point(features).sum().backward()
        assert features.grad.tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]

    def test_a_dead_unit_is_chosen_in_its_row_of_largest_score_after_an_epoch(self):
        features = torch.rand(50, 8)
        features[:, 5] -= 30
        code = BatchTopK(2).build(8)
        smallest = code.point(features)[features > 0].unique()[1]
        assert not code.point(features)[:, 5].any()
        code.on_epoch()
        chosen = code.point(features)[:, 5]
        assert chosen.argmax() == features[:, 5].argmax()
        assert chosen.max().item() == pytest.approx(smallest.item(), abs=1e-4)

    @pytest.mark.parametrize("k", [0, 5, 2.5])
    def test_k_must_suit_the_code_size(self, k):
        with pytest.raises(SettingError, match="choose k between 1 and 4"):
            BatchTopK(k).build(4)

    def test_the_smallest_code_has_twice_as_many_units(self):
        assert BatchTopK(5).least_size == 10


class TestMatryoshka:
    def test_each_sample_in_training_keeps_the_first_units_of_the_whole_code(self):
        features = torch.randn(10, 16)
        coded = Matryoshka(3, levels=5).build(16)(features)
        whole = BatchTopK(3).build(16).point(features)
        assert coded.z.shape == (5, 10, 16)
        for z, size in zip(coded.z, (16, 8, 4, 2, 1), strict=True):
            assert torch.equal(z[:, :size], whole[:, :size])
            assert not z[:, size:].any()
        assert torch.equal(coded.rate, torch.zeros(5, 10))

    def test_the_log_likelihood_is_the_mean_over_the_nested_dictionaries(self):
        objective = Recipe(Matryoshka(2, levels=3)).build((5,), 8, Linear(), FixedGaussian())
        x = torch.randn(7, 5)
        trace = objective.model(Batch(x, x))
        layer, z = objective.model.decoder[0], trace.coded.z[0]
        expected = [
            Normal(z[:, :size] @ layer.weight[:, :size].T + layer.bias, 1.0).log_prob(x).sum(1)
            for size in (2, 4, 8)
        ]
        distortion = objective.terms(trace)["distortion"]
        torch.testing.assert_close(distortion, -torch.stack(expected).mean())

    def test_outside_training_there_is_only_the_whole_code(self):
        code, features = Matryoshka(2).build(8), torch.randn(9, 8)
        code(features)
        code.eval()
        z = code.point(features)
        assert torch.equal(code(features).z, z[None])
        assert torch.equal(code(features, torch.randn(3, 1, 8)).z, torch.stack([z, z, z]))
        assert torch.equal(code.constrain(z), z)

    def test_dead_units_are_revived_as_in_the_inner_code(self):
        features = torch.rand(50, 8)
        features[:, 5] -= 30
        code = Matryoshka(2).build(8)
        assert not code.point(features)[:, 5].any()
        code.on_epoch()
        assert code.point(features)[:, 5].argmax() == features[:, 5].argmax()

    @pytest.mark.parametrize("levels", [0, 5, 1.5])
    def test_the_levels_must_suit_the_code_size(self, levels):
        with pytest.raises(SettingError, match="choose levels between 1 and 4"):
            Matryoshka(2, levels).build(8)

    def test_k_must_suit_the_code_size(self):
        with pytest.raises(SettingError, match="choose k between 1 and 4"):
            Matryoshka(5).build(4)

    def test_the_smallest_code_has_twice_the_active_units_and_every_level(self):
        assert Matryoshka(5, levels=3).least_size == 10
        assert Matryoshka(2, levels=6).least_size == 32


class TestIdleUnits:
    def test_idle_units_are_active_where_they_help_most_of_the_worst_reconstructed_rows(self):
        scores, log_p, gradient = torch.randn(50, 20), torch.randn(50), torch.randn(50, 20)
        idle = [3, 7, 8]
        found = with_idle(TopK(4).build(20), idle).idle_codes(scores, log_p, gradient)
        expected = torch.zeros(50, 20)
        # Half as many rows as an average unit: 5 for each of three units.
        worst = log_p.argsort()[:15]
        for unit in idle:
            best = worst[gradient[worst, unit].argsort(descending=True)[:5]]
            expected[best, unit] = (scores[best, unit] - scores[:, unit].mean()).clamp_min(0)
        torch.testing.assert_close(found, expected)

    def test_a_single_row_has_no_idle_units(self):
        code = with_idle(TopK(2).build(8), [1])
        assert not code.idle_codes(torch.randn(1, 8), torch.zeros(1), torch.ones(1, 8)).any()

    def test_without_idle_units_their_codes_are_zero(self):
        code = TopK(2).build(8)
        assert not code.idle_codes(torch.rand(5, 8), torch.rand(5), torch.ones(5, 8)).any()

    def test_a_unit_is_idle_once_it_has_been_inactive_for_long(self):
        code, rows = TopK(1).build(4), (torch.rand(12, 4).sort(0).values, -torch.arange(12.0))

        def idle():
            # The row of largest score is reconstructed worst, and has the largest gradient.
            return code.idle_codes(*rows, rows[0])

        row = torch.tensor([[3.0, 2.0, 1.0, 1.0]])
        # 8 times the 4 rows in which it would be active once, were all units equal.
        for _ in range(8 * 4):
            code.point(row)
        assert not idle().any()
        code.point(row)
        assert idle().any(0).tolist() == [False, True, True, True]
        code.point(torch.tensor([[0.0, 0.0, 1.0, 0.0]]))
        assert idle().any(0).tolist() == [False, True, False, True]

    def test_the_auxiliary_loss_is_the_residual_of_code_and_idle_units(self):
        weight, row = torch.randn(8, 3, dtype=DOUBLE), torch.randn(32, 3, dtype=DOUBLE)
        features = torch.randn(32, 8, dtype=DOUBLE)
        features[:, 5] -= 100
        features.requires_grad_()

        def log_likelihood(z):
            return -(row - z @ weight).square().sum(-1)

        for part in (TopK(2), BatchTopK(2)):
            code = with_idle(part.build(8).double(), [5])
            auxiliary_loss = code(features, None, log_likelihood).auxiliary_loss
            left = (row - code.point(features) @ weight).detach()
            log_p, gradient = -left.square().sum(-1), 2 * left @ weight.T
            idle = code.idle_codes(features, log_p, gradient).detach()[:, 5:6]
            residual = left - idle * weight[5]
            torch.testing.assert_close(
                auxiliary_loss, AUXILIARY_WEIGHT * residual.square().sum(-1)[None]
            )
            (gradient,) = torch.autograd.grad(auxiliary_loss.sum(), features)
            active = idle[:, 0] > 0
            assert active.any()
            expected = torch.where(active, -2 * AUXILIARY_WEIGHT * (residual @ weight[5]), 0.0)
            # The mean over rows has a gradient too, so that all scores together have none.
            torch.testing.assert_close(gradient[:, 5], expected - expected.mean())
            assert not gradient[:, [0, 1, 2, 3, 4, 6, 7]].any()

    def test_there_is_no_auxiliary_loss_outside_training(self):
        features = torch.randn(6, 8)
        for part in (TopK(2), BatchTopK(2)):
            assert part.build(8).eval()(features, None, lambda z: z.sum(-1)).auxiliary_loss is None
            assert part.build(8)(features).auxiliary_loss is None


class TestDictionary:
    @pytest.mark.parametrize("code", [TopK(3), BatchTopK(3), Matryoshka(2, levels=3)])
    def test_the_dictionary_is_recovered_and_every_unit_is_active(self, code, dictionary):
        features, rows = dictionary
        ae = attar.Autoencoder(
            attar.Recipe(code),
            48,
            network="linear",
            likelihood="gaussian",
            scaling="none",
            epochs=20,
            batch_size=100,
            learning_rate=0.01,
            validation_fraction=0,
            random_state=0,
            verbose=False,
        ).fit(rows)
        assert (ae.transform(rows) > 0).any(0).all()
        columns = ae.model_.decoder[0].weight.detach().numpy()
        cosines = features @ (columns / np.linalg.norm(columns, axis=0))
        assert cosines.max(1).mean() > 0.9
