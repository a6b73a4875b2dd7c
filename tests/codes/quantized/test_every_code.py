"""The properties of all discrete codes, and of relaxed ones."""

import math
from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar.codes import Code, SymbolModule
from attar.errors import SettingError
from attar.likelihoods import Bernoulli
from attar.networks import Mlp
from attar.objective import Objective
from attar.recipes import Recipe
from attar.records import Batch

NAMES = [name for name, code in sorted(Code.members.items()) if "symbols" in code.provides]
RANDOM = ["bernoulli", "gumbel"]
FIXED = [name for name in NAMES if name not in RANDOM]
DOUBLE = torch.float64


def built(name, size=16, dtype=torch.float32):
    return Code.named(name).build(size).to(dtype).eval()


def features_of(name, n=30, size=16, dtype=torch.float32):
    return torch.randn(n, Code.named(name).width(size), dtype=dtype)


def noise_for(name, draws, n, size=16, dtype=torch.float32):
    return torch.randn(draws, n, Code.named(name).noise(size), dtype=dtype)


def loss_of(code, coded):
    """Return a training loss of the decoder's input, with the auxiliary loss where there is one."""
    loss = code.decoder_input(coded.z[0]).square().sum()
    return loss if coded.auxiliary_loss is None else loss + coded.auxiliary_loss.sum()


@pytest.mark.parametrize("name", NAMES)
class TestEveryCode:
    @pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
    def test_symbols_become_vectors_and_the_same_symbols_again(self, name, dtype):
        code = built(name, dtype=dtype)
        symbols = torch.stack([torch.randint(size, (200,)) for size in code.sizes], -1)
        z = code.vectors(symbols)
        assert z.dtype == dtype
        assert z.shape == (200, 16)
        assert torch.equal(code.symbols(z), symbols)
        assert torch.equal(code.constrain(z), z)

    def test_the_prior_is_uniform_over_symbols(self, name):
        code = built(name)
        z = code.prior.sample(4000, torch.Generator().manual_seed(1))
        symbols = code.symbols(z)
        assert torch.equal(code.constrain(z), z)
        for column, size in zip(symbols.T, code.sizes, strict=True):
            counts = torch.bincount(column, minlength=size).double()
            chi2 = ((counts - 4000 / size).square() / (4000 / size)).sum().item()
            assert chi2 < size - 1 + 5 * math.sqrt(2 * size)
        nats = -sum(math.log(size) for size in code.sizes)
        torch.testing.assert_close(code.prior.log_prob(z), torch.full((4000,), nats))

    def test_points_are_valid_deterministic_codes(self, name):
        code, features = built(name), features_of(name)
        z = code.point(features)
        assert torch.equal(code.point(features), z)
        assert torch.equal(code.constrain(z), z)
        assert torch.equal(code.point(features[3:4]), z[3:4])

    def test_the_nearest_valid_code_of_a_neighbour_is_the_code(self, name):
        code = built(name)
        z = code.prior.sample(50)
        assert torch.equal(code.constrain(z + 1e-5 * torch.randn_like(z)), z)
        start, end = z[0], z[1]
        between = code.interpolate(start, end, torch.tensor([0.0, 0.4, 1.0]))
        assert torch.equal(between[0], start)
        assert torch.equal(between[2], end)
        assert torch.equal(code.constrain(between), between)

    def test_distance_is_that_of_the_decoders_inputs(self, name):
        code = built(name, dtype=DOUBLE)
        z = code.prior.sample(6)
        x = code.decoder_input(z)
        assert x.shape[1] == Code.named(name).decoder_width(16)
        truth = (x[:, None] - x[None, :3]).square().sum(-1).sqrt()
        torch.testing.assert_close(code.distance(z, z[:3]), truth, rtol=0, atol=1e-6)

    def test_samples_are_valid_codes_with_their_symbols(self, name):
        code, features = built(name), features_of(name)
        coded = code(features, noise_for(name, 4, 30))
        assert coded.z.shape == (4, 30, 16)
        flat = coded.z.flatten(0, 1)
        assert torch.equal(code.constrain(flat), flat)
        assert torch.equal(code.symbols(flat), coded.symbols.flatten(0, 1))
        assert coded.auxiliary_loss is None

    def test_the_loss_out_of_training_has_its_true_gradient(self, name):
        objective = Recipe(Code.named(name)).build((6,), 16, Mlp((5,), "silu"), Bernoulli())
        model = objective.model.double().eval()
        batch = Batch(*2 * (torch.rand(3, 6, dtype=DOUBLE),))
        noise = noise_for(name, 2, 3, dtype=DOUBLE)
        weights = [p for p in model.parameters() if p.requires_grad]

        def loss(*_):
            return objective.loss(model(batch, noise))

        assert torch.autograd.gradcheck(loss, weights, atol=1e-6, fast_mode=True)

    def test_a_copy_has_a_prior_of_its_own(self, name):
        code = built(name)
        copy = deepcopy(code).double()
        assert copy.prior.sample(3).dtype == DOUBLE
        assert code.prior.sample(3).dtype == torch.float32

    def test_is_restored_from_its_tensors_alone(self, name):
        code = built(name)
        code.train()
        code(features_of(name))
        code.on_epoch()
        with torch.device("meta"):
            other = Code.named(name).build(16)
        other.load_state_dict(code.state_dict(), assign=True)
        features = features_of(name)
        assert torch.equal(other.eval().point(features), code.eval().point(features))
        symbols = torch.zeros(2, len(code.sizes), dtype=torch.long)
        assert torch.equal(other.vectors(symbols), code.vectors(symbols))

    def test_features_in_half_precision_have_gradients(self, name):
        code, features = built(name).train(), features_of(name).bfloat16().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            coded = code(features)
        loss_of(code, coded).backward()
        assert features.grad.isfinite().all()
        assert {t.dtype for t in code.state_dict().values()} <= {torch.float32, torch.int64}

    def test_every_feature_has_a_gradient_in_training(self, name):
        code, features = built(name).train(), features_of(name).requires_grad_()
        coded = code(features)
        loss_of(code, coded).backward()
        assert (features.grad != 0).any(0).all()

    def test_a_size_that_does_not_fit_is_refused_with_those_that_do(self, name):
        code = Code.named(name)
        if code.multiple > 1:
            with pytest.raises(SettingError, match=f"choose a code_size of .*{3 * code.multiple}"):
                code.build(3 * code.multiple - 1)
        with pytest.raises(SettingError, match=f"choose a code_size of {code.least_size}"):
            code.build(0)
        assert isinstance(code.build(code.least_size), SymbolModule)

    @given(st.integers(1, 100))
    def test_the_nearest_size_is_the_next_that_fits(self, name, size):
        code = Code.named(name)
        fitting = code.nearest_size(size)
        assert fitting % code.multiple == 0
        assert fitting >= max(size, code.least_size)
        assert fitting < max(size + code.multiple, code.least_size + 1)


@pytest.mark.parametrize("name", FIXED)
class TestDeterministicCodes:
    def test_the_rate_is_that_of_uniform_symbols(self, name):
        code, features = built(name), features_of(name)
        coded = code(features, noise_for(name, 3, 1))
        nats = sum(math.log(size) for size in code.sizes)
        torch.testing.assert_close(coded.rate, torch.full((3, 30), nats))
        torch.testing.assert_close(coded.log_p, -coded.rate)
        assert not coded.log_q.any()
        assert torch.equal(coded.z[0], code.point(features))

    def test_the_bound_of_equal_samples_is_that_of_one(self, name):
        objective = Recipe(Code.named(name)).build((6,), 16, Mlp((5,), "silu"), Bernoulli())
        assert isinstance(objective, Objective)
        model, batch = objective.model.eval(), Batch(*2 * (torch.rand(3, 6),))
        trace = model(batch, noise_for(name, 5, 3))
        weights = trace.log_likelihood + trace.coded.log_p - trace.coded.log_q
        bound = trace.log_likelihood[0] - trace.coded.rate[0]
        torch.testing.assert_close(weights.logsumexp(0) - math.log(5), bound)


@pytest.mark.parametrize("name", RANDOM)
class TestRelaxedCodes:
    def probabilities(self, name, features):
        if name == "gumbel":
            return features.reshape(len(features), -1, 4).softmax(-1)
        ones = features.sigmoid()
        return torch.stack([1 - ones, ones], -1)

    def test_rate_and_densities_are_those_of_torch(self, name):
        code, features = built(name, dtype=DOUBLE), features_of(name, dtype=DOUBLE)
        coded = code(features, noise_for(name, 5, 30, dtype=DOUBLE))
        q = torch.distributions.Categorical(self.probabilities(name, features))
        p = torch.distributions.Categorical(torch.ones_like(q.probs))
        rate = torch.distributions.kl_divergence(q, p).sum(-1)
        torch.testing.assert_close(coded.rate, rate.expand(5, -1))
        torch.testing.assert_close(coded.log_q, q.log_prob(coded.symbols).sum(-1))
        torch.testing.assert_close(coded.log_p, p.log_prob(coded.symbols).sum(-1))

    def test_samples_have_the_right_frequencies(self, name):
        code, features = built(name, dtype=DOUBLE), features_of(name, n=1, dtype=DOUBLE)
        symbols = code(features, noise_for(name, 20_000, 1, dtype=DOUBLE)).symbols
        for i, truth in enumerate(self.probabilities(name, features)[0]):
            found = torch.bincount(symbols[:, 0, i], minlength=len(truth)) / 20_000
            error = (truth * (1 - truth) / 20_000).sqrt()
            assert ((found - truth).abs() < 4 * error).all()

    def test_the_mean_weight_of_prior_over_posterior_is_one(self, name):
        features = 0.3 * features_of(name, n=1, dtype=DOUBLE)
        coded = built(name, dtype=DOUBLE)(features, noise_for(name, 20_000, 1, dtype=DOUBLE))
        ratio = (coded.log_p - coded.log_q).exp()
        error = ratio.std().item() / math.sqrt(20_000)
        assert ratio.mean().item() == pytest.approx(1, abs=4 * error)

    def test_one_noise_may_serve_all_rows(self, name):
        features, noise = features_of(name), noise_for(name, 5, 1)
        shared, each = (built(name)(features, n) for n in (noise, noise.expand(5, 30, -1)))
        for field in ("z", "rate", "log_q", "log_p", "symbols"):
            assert torch.equal(getattr(shared, field), getattr(each, field))

    def test_the_largest_noise_stays_finite(self, name):
        noise = torch.full((1, 1, Code.named(name).noise(16)), 8.0)
        noise[..., ::2] = -8.0
        coded = built(name).train()(features_of(name), noise)
        assert coded.z.isfinite().all()
        assert coded.log_q.isfinite().all()

    def test_samples_in_training_approach_symbols_at_low_temperatures(self, name):
        code, features, noise = built(name).train(), features_of(name), noise_for(name, 1, 30)
        hard = code.eval()(features, noise).z
        errors = []
        for temperature in (1.0, 0.3, 0.01):
            code.train().temperature.fill_(temperature)
            errors.append((code(features, noise).z - hard).abs().mean().item())
        assert errors[0] > errors[1] > errors[2]
        assert errors[2] < 0.01

    def test_the_temperature_falls_to_its_minimum(self, name):
        code = (
            Code.named(name).replace(temperature=1.0, min_temperature=0.6, annealing=0.7).build(16)
        )
        found = []
        for _ in range(3):
            found.append(code.temperature.item())
            code.on_epoch()
        assert found == pytest.approx([1.0, 0.7, 0.6])

    def test_temperatures_out_of_range_are_refused(self, name):
        for wrong in (
            {"min_temperature": 0.0},
            {"temperature": 0.1},
            {"annealing": 0.0},
            {"annealing": 1.1},
        ):
            with pytest.raises(SettingError, match=r"an? (annealing|min_temp\w+) above 0"):
                Code.named(name).replace(**wrong).build(16)
