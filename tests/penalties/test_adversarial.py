"""Adversarial penalties."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from attar import SettingError
from attar.codes import Gaussian, Point
from attar.conditions import Joined
from attar.likelihoods import Bernoulli
from attar.networks import Linear, Mlp
from attar.penalties import Adversarial, DensityRatio, LearnedSimilarity, sum_of
from attar.penalties.adversarial import (
    PermutedCritic,
    PriorCritic,
    discriminator_loss,
    frozen,
    generator_loss,
    permuted,
    r1_penalty,
)
from attar.priors import Mixture, StandardNormal
from attar.recipe import Recipe
from attar.records import Batch

DOUBLE = torch.float64
EVERY = [DensityRatio(), Adversarial(), LearnedSimilarity()]


def objective_of(penalty, prior=None, shape=(5,)):
    recipe = Recipe(Gaussian(prior=prior or StandardNormal()), penalties=(penalty,))
    objective = recipe.build(shape, 3, Mlp((6,), "tanh"), Bernoulli())
    objective.model.double()
    for critic in objective.critics.values():
        critic.double()
    return objective, objective.penalties[penalty.name]


def flat(rows):
    x = torch.rand(rows, 5, dtype=DOUBLE)
    return Batch(x, x)


@pytest.mark.parametrize("penalty", EVERY, ids=lambda part: part.name)
class TestEveryCritic:
    def test_the_gradients_of_model_and_critic_are_separate(self, penalty):
        objective, term = objective_of(penalty, Mixture(4))
        trace = objective.model(flat(8))
        value = term.value(trace)
        value.backward(retain_graph=True)
        assert all(weight.grad is None for weight in term.critic.parameters())
        assert any(weight.grad is not None for weight in objective.model.parameters())
        objective.model.zero_grad()
        term.critic.loss(trace).backward()
        assert all(weight.grad.any() for weight in term.critic.parameters())
        assert all(weight.grad is None for weight in objective.model.parameters())

    def test_the_critic_has_no_weights_of_the_model(self, penalty):
        objective, term = objective_of(penalty, Mixture(4))
        model_weights = {id(weight) for weight in objective.model.parameters()}
        assert model_weights.isdisjoint(id(weight) for weight in term.critic.parameters())

    def test_a_single_row_gives_finite_gradients(self, penalty):
        objective, term = objective_of(penalty)
        trace = objective.model(flat(1))
        torch.autograd.backward([term.value(trace) + term.critic.loss(trace)])
        weights = [*objective.model.parameters(), *term.critic.parameters()]
        assert all(weight.grad is None or weight.grad.isfinite().all() for weight in weights)

    def test_the_critic_learns_to_discriminate(self, penalty):
        objective, term = objective_of(penalty)
        with torch.no_grad():
            for weight in objective.model.parameters():
                nn.init.normal_(weight, std=0.8)
        trace, optimizer = objective.model(flat(64)), torch.optim.Adam(term.critic.parameters())
        before = term.critic.loss(trace).item()
        for group in optimizer.param_groups:
            group["lr"] = 0.01
        for _ in range(60):
            optimizer.zero_grad()
            term.critic.loss(trace).backward()
            optimizer.step()
        assert term.critic.loss(trace).item() < before


@pytest.mark.parametrize("penalty", [Adversarial(), LearnedSimilarity()], ids=lambda p: p.name)
def test_the_gradient_penalty_is_the_squared_gradient_at_real_rows(penalty):
    objective, term = objective_of(penalty.replace(gradient_penalty=0.7))
    trace, critic, losses = objective.model(flat(8)), term.critic, []
    for weight in (0.7, 0.0):
        torch.manual_seed(3)
        critic.gradient_penalty = weight
        losses.append(critic.loss(trace))
    torch.manual_seed(3)
    real, logits = trace.batch.target, critic
    if penalty.name == "adversarial":
        real, logits = torch.randn(8, 3).double(), critic.network
    rows = real.clone().requires_grad_()
    (slope,) = torch.autograd.grad(logits(rows).sum(), rows)
    expected = 0.7 * slope.square().sum(1).mean()
    torch.testing.assert_close(losses[0] - losses[1], expected)


class TestParts:
    def test_the_losses_are_cross_entropies(self):
        real, fake = torch.randn(2, 7, 1, dtype=DOUBLE)
        expected = -(real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean())
        torch.testing.assert_close(discriminator_loss(real, fake), expected)
        torch.testing.assert_close(generator_loss(fake), -fake.sigmoid().log().mean())

    def test_r1_is_the_squared_gradient(self):
        rows = torch.randn(7, 3, dtype=DOUBLE, requires_grad=True)
        layer = nn.Linear(3, 1).double()
        found = r1_penalty(layer(rows).sin(), rows)
        slope = layer(rows).cos() * layer.weight
        torch.testing.assert_close(found, slope.square().sum(1).mean())

    def test_a_frozen_critic_has_the_same_output_and_gradient_of_rows(self):
        rows = torch.randn(7, 3, dtype=DOUBLE, requires_grad=True)
        network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
        outputs = network(rows), frozen(network, rows)
        assert torch.equal(*outputs)
        assert torch.equal(*(torch.autograd.grad(y.sum(), rows)[0] for y in outputs))

    @pytest.mark.parametrize(
        "penalty",
        [
            Adversarial(gradient_penalty=-1.0),
            LearnedSimilarity(gradient_penalty=math.inf),
            LearnedSimilarity(adversarial=-0.1),
        ],
        ids=repr,
    )
    def test_a_negative_weight_is_refused(self, penalty):
        with pytest.raises(
            SettingError, match=r"(gradient_penalty|adversarial) of .* must be 0 or a number"
        ):
            objective_of(penalty)


class LogRatio(nn.Module):
    """The optimal critic of a normal with correlation r: log q(z) / (q(z₁) q(z₂))."""

    def __init__(self, r):
        super().__init__()
        self.r = r
        self.scale = nn.Parameter(torch.ones(1, dtype=DOUBLE))
        self.offset = nn.Parameter(torch.zeros(1, dtype=DOUBLE))

    def forward(self, z):
        r, (a, b) = self.r, z.unbind(1)
        quadratic = (r**2 * (a**2 + b**2) - 2 * r * a * b) / (2 * (1 - r**2))
        ratio = -0.5 * math.log(1 - r**2) - quadratic
        return (self.scale * ratio + self.offset)[:, None]


def correlated(n, r):
    a, b = torch.randn(2, n, dtype=DOUBLE)
    return torch.stack([a, r * a + (1 - r**2) ** 0.5 * b], 1)


class TestDensityRatio:
    def test_permuting_keeps_the_marginals_and_removes_the_correlation(self):
        z = correlated(4000, 0.9)
        mixed = permuted(z)
        assert torch.equal(mixed.sort(0).values, z.sort(0).values)
        assert abs(torch.corrcoef(mixed.T)[0, 1].item()) < 4 / 4000**0.5

    @pytest.mark.parametrize("r", [0.0, 0.5, -0.8])
    def test_with_the_optimal_critic_it_is_the_total_correlation(self, r, model_of, trace_of, near):
        term = DensityRatio().build(model_of(Linear(), Gaussian()), 2, (5,))
        term.critic.network = LogRatio(r)
        values = torch.stack([term.value(trace_of(correlated(500, r))) for _ in range(100)])
        near(values.detach(), -0.5 * math.log(1 - r**2))

    def test_the_log_ratio_is_the_optimal_critic(self, trace_of, near):
        critic = PermutedCritic(LogRatio(0.7))
        slopes = []
        for _ in range(100):
            critic.zero_grad()
            critic.loss(trace_of(correlated(500, 0.7))).backward()
            slopes.append(torch.cat([weight.grad for weight in critic.parameters()]))
        for slope in torch.stack(slopes).T:
            near(slope, 0.0)


class TestAdversarial:
    def test_of_a_constant_critic_it_is_log_2(self, model_of, trace_of):
        model = model_of(Linear(), Point(prior=StandardNormal()))
        term = Adversarial().build(model, 3, (5,))
        for weight in term.critic.double().parameters():
            nn.init.zeros_(weight)
        trace = trace_of(torch.randn(9, 3, dtype=DOUBLE))
        assert term.value(trace).item() == pytest.approx(math.log(2), rel=1e-12)
        assert term.critic.loss(trace).item() == pytest.approx(2 * math.log(2), rel=1e-12)

    def test_the_optimal_critic_of_two_normals_has_no_gradient(self, trace_of, near):
        # log N(z; 0, 1) / N(z; 1, 1) = 1/2 - z.
        layer = nn.Linear(1, 1).double()
        nn.init.constant_(layer.weight, -1.0)
        nn.init.constant_(layer.bias, 0.5)
        critic, slopes = PriorCritic(layer, torch.randn_like, gradient_penalty=0.0), []
        for _ in range(100):
            critic.zero_grad()
            critic.loss(trace_of(torch.randn(500, 1, dtype=DOUBLE) + 1)).backward()
            slopes.append(torch.cat([layer.weight.grad[0], layer.bias.grad]))
        for slope in torch.stack(slopes).T:
            near(slope, 0.0)

    def test_adversarial_training_matches_codes_and_prior(self):
        recipe = Recipe(Point(prior=StandardNormal()), penalties=(Adversarial(),))
        objective = recipe.build((2,), 2, Linear(), Bernoulli())
        term, encoder = objective.penalties["adversarial"], objective.model.encoder
        weights = (encoder.parameters(), term.critic.parameters())
        players = [torch.optim.Adam(each, 0.01, betas=(0.5, 0.9)) for each in weights]

        def rows(n):
            return torch.randn(n, 2) @ torch.tensor([[1.5, 0.5], [0.0, 0.8]]) + 1

        for step in range(400):
            x = rows(128)
            trace = objective.model(Batch(x, x))
            for player, loss in zip(players, (term.value, term.critic.loss), strict=True):
                player.param_groups[0]["lr"] = 0.01 * (1 - step / 400)
                player.zero_grad()
                loss(trace).backward()
                player.step()
        z = encoder(rows(4000))
        torch.testing.assert_close(z.mean(0), torch.zeros(2), rtol=0, atol=0.15)
        torch.testing.assert_close(torch.cov(z.T), torch.eye(2), rtol=0, atol=0.15)


class TestLearnedSimilarity:
    def test_it_is_the_feature_distance_and_minus_log_d(self):
        objective, term = objective_of(LearnedSimilarity())
        batch, model, critic = flat(8), objective.model, term.critic
        trace = model(batch)
        torch.manual_seed(3)
        value = term.value(trace)
        torch.manual_seed(3)
        new = torch.randn(8, 3).double()
        fake = torch.cat([model.decode(z) for z in (trace.coded.z[0], new)])
        reconstructed = model.likelihood.mean(trace.parameters[0])
        distance = (critic.body(batch.target) - critic.body(reconstructed)).square().sum() / 8 / 2
        adversarial = -critic(fake).sigmoid().log().mean()
        torch.testing.assert_close(value, distance + adversarial)

    def test_the_adversarial_term_has_no_gradient_for_the_encoder(self):
        gradients = {}
        for share in (0.0, 1.0):
            torch.manual_seed(1)
            objective, term = objective_of(LearnedSimilarity(adversarial=share))
            term.value(objective.model(flat(8))).backward()
            model = objective.model
            gradients[share] = [
                torch.cat([weight.grad.flatten() for weight in part.parameters()])
                for part in (model.encoder, model.decoder)
            ]
        torch.testing.assert_close(gradients[0.0][0], gradients[1.0][0])
        assert not torch.allclose(gradients[0.0][1], gradients[1.0][1])

    def test_missing_cells_have_no_effect_on_either_loss(self):
        objective, term = objective_of(LearnedSimilarity())
        x, observed = torch.rand(8, 5, dtype=DOUBLE), torch.rand(8, 5) < 0.5
        x = x * observed
        losses = []
        for bias in (0.0, 9.0):
            last = [m for m in objective.model.decoder.modules() if isinstance(m, nn.Linear)][-1]
            with torch.no_grad():
                last.bias[0] = bias
            hidden = observed.clone()
            hidden[:, 0] = False
            batch = Batch(x * hidden, x * hidden, hidden)
            torch.manual_seed(3)
            trace = objective.model(batch)
            losses.append(sum_of([term.value(trace), term.critic.loss(trace)]))
        assert torch.equal(*losses)

    def test_cells_outside_the_mask_have_no_effect_on_either_loss(self):
        objective, term = objective_of(LearnedSimilarity())
        x, observed = torch.rand(8, 5, dtype=DOUBLE), torch.rand(8, 5) < 0.5
        trace = objective.model(Batch(x, x))
        losses = []
        for target in (x, torch.where(observed, x, 9.0)):
            other = replace(trace, batch=Batch(x, target, observed))
            torch.manual_seed(3)
            losses.append(sum_of([term.value(other), term.critic.loss(other)]))
        assert torch.equal(*losses)

    def test_a_critic_without_features_is_refused(self):
        with pytest.raises(SettingError, match=r"width of .* must be an integer above 0"):
            objective_of(LearnedSimilarity(width=0))

    def test_the_critic_of_images_is_convolutional(self):
        _, term = objective_of(LearnedSimilarity(), shape=(2, 7, 6))
        assert any(isinstance(layer, nn.Conv2d) for layer in term.critic.modules())
        _, term = objective_of(LearnedSimilarity(network=Mlp((5,))), shape=(2, 7, 6))
        assert not any(isinstance(layer, nn.Conv2d) for layer in term.critic.modules())

    def test_prior_samples_are_decoded_with_the_rows_condition(self):
        recipe = Recipe(Gaussian(), penalties=(LearnedSimilarity(),), condition=Joined())
        objective = recipe.build((5,), 3, Mlp((6,)), Bernoulli(), condition_size=2)
        term, inputs = objective.penalties["learned-similarity"], []
        objective.model.decoder.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
        x, condition = torch.rand(8, 5), torch.rand(8, 2)
        trace = objective.model(Batch(x, x, condition=condition))
        term.value(trace)
        assert len(inputs) == 3
        assert all(torch.equal(each[:, 3:], condition) for each in inputs)
