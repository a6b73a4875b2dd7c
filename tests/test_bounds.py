import copy
import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from attar.bounds import Capacity, Combined, Elbo, ImportanceWeighted, Multiple, Partial
from attar.codes import Code, Contextual, Gaussian, NoCode, Point
from attar.errors import SettingError
from attar.likelihoods import Bernoulli, FixedGaussian, LearnedGaussian
from attar.networks import Linear, Mlp
from attar.penalties import CodeNorm
from attar.priors import Mixture, NormalizingFlow, Vamp
from attar.recipe import Recipe
from attar.records import Batch, Coded

DOUBLE = torch.float64
K, B = 12, 5
DENSE = [
    code()
    for code in Code.members.values()
    if "density" in code.provides and code not in (NoCode, Contextual)
]
DENSE += [Gaussian(prior=prior) for prior in (Mixture(3), Vamp(3), NormalizingFlow())]


@pytest.fixture
def draws():
    z = torch.zeros(K, B, 2, dtype=DOUBLE)
    rate, log_q, log_p, log_likelihood = (torch.randn(K, B, dtype=DOUBLE) for _ in range(4))
    return log_likelihood, Coded(z, rate, log_q, log_p)


def value(bound, draws, beta=1.0, share=1.0):
    return sum(bound.terms(*draws, beta, share).values()).item()


def log_mean(logs, axis):
    return logs.exp().mean(axis).log()


def test_the_evidence_bound_is_distortion_and_weighted_rate(draws):
    log_likelihood, coded = draws
    expected = (-log_likelihood + 3 * coded.rate).mean().item()
    assert value(Elbo(), draws, beta=3.0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("share", "target"), [(0.0, 0.0), (0.375, 10.0), (0.75, 20.0), (1, 20.0)])
def test_the_target_of_the_rate_grows_to_the_capacity(draws, share, target):
    log_likelihood, coded = draws
    expected = -log_likelihood.mean() + 5 * abs(coded.rate.mean() - target)
    assert value(Capacity(20.0), draws, 5.0, share) == pytest.approx(expected.item(), rel=1e-12)


def test_weighted_bounds_are_their_formulas(draws):
    log_likelihood, coded = draws
    logs = log_likelihood + coded.log_p - coded.log_q
    whole = -log_mean(logs, 0).mean().item()
    grouped = -log_mean(logs.reshape(3, 4, B), 1).mean().item()
    both = -(0.3 * logs.mean(0) + 0.7 * log_mean(logs, 0)).mean().item()
    assert value(ImportanceWeighted(K), draws) == pytest.approx(whole, rel=1e-12)
    assert value(Multiple(3, 4), draws) == pytest.approx(grouped, rel=1e-12)
    assert value(Combined(0.3, K), draws) == pytest.approx(both, rel=1e-12)
    assert value(Partial(3, 4), draws) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(
    "bound",
    [ImportanceWeighted(1), Multiple(K, 1), Combined(1.0, K), Combined(0.3, 1), Partial(1, 1)],
    ids=repr,
)
def test_without_importance_weights_any_bound_is_the_elbo(draws, bound):
    log_likelihood, coded = draws
    first = slice(bound.draws)
    log_q, log_p = coded.log_q[first], coded.log_p[first]
    given = log_likelihood[first], Coded(coded.z[first], log_q - log_p, log_q, log_p)
    assert value(bound, given, 3.0) == pytest.approx(value(Elbo(), given, 3.0), rel=1e-12)


def objective_of(bound, likelihood, code=Gaussian()):  # noqa: B008
    recipe = Recipe(code, bound=bound)
    objective = recipe.build((6,), code.nearest_size(2), Mlp((5,), "tanh"), likelihood)
    objective.model.double()
    return objective


def gradients(objective, trace):
    for weight in objective.model.parameters():
        weight.grad = None
    objective.backward(trace)
    return {n: w.grad.clone() for n, w in objective.model.named_parameters()}


@pytest.mark.parametrize("likelihood", [Bernoulli(), FixedGaussian(0.3)], ids=lambda p: p.name)
@pytest.mark.parametrize(
    "bound",
    [Elbo(), Capacity(), ImportanceWeighted(7), Multiple(3, 4), Combined(0.3, 7), Partial(3, 4)],
    ids=lambda part: part.name,
)
def test_the_closed_form_gradient_is_that_of_autograd(bound, likelihood):
    objective = objective_of(bound, likelihood)
    x = torch.rand(4, 6, dtype=DOUBLE)
    noise = torch.randn(bound.draws, 4, 2, dtype=DOUBLE)
    found = gradients(objective, objective.model(Batch(x, x), noise))
    derived = copy.deepcopy(objective.model)
    derived.likelihood.gradient = lambda parameters, target: None
    objective.model = derived
    expected = gradients(objective, derived(Batch(x, x), noise))
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("beta", [1.0, 0.3])
@pytest.mark.parametrize("likelihood", [Bernoulli(), LearnedGaussian()], ids=lambda p: p.name)
@pytest.mark.parametrize("code", DENSE, ids=lambda code: repr(code).partition("(")[0])
def test_decoder_and_prior_learn_from_one_bound_and_all_else_from_many(code, likelihood, beta):
    objective = objective_of(Partial(3, 4), likelihood, code)
    objective.beta, model = beta, objective.model.train()
    x = torch.rand(4, 6, dtype=DOUBLE)
    model.on_data(Batch(x, x))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    noise = torch.randn(12, 4, model.noise_size, dtype=DOUBLE)
    state = copy.deepcopy(model.state_dict())

    def trained_by(bound):
        model.load_state_dict(state)
        objective.bound = bound
        torch.manual_seed(1)
        return gradients(objective, model(Batch(x, x), noise))

    partial, whole, many = map(trained_by, [Partial(3, 4), ImportanceWeighted(12), Multiple(3, 4)])
    for name, gradient in partial.items():
        one = name.startswith(("decoder", "likelihood", "code.prior"))
        torch.testing.assert_close(gradient, (whole if one else many)[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("variance", [0.3, 1e-5])
def test_a_penalty_has_its_own_gradient_beside_any_bound(variance):
    objective = objective_of(Partial(3, 4), FixedGaussian(variance))
    x, noise = torch.rand(4, 6, dtype=DOUBLE), torch.randn(12, 4, 2, dtype=DOUBLE)
    without = gradients(objective, objective.model(Batch(x, x), noise))
    penalty = objective.penalties["norm"] = CodeNorm(1e6).build(objective.model, 2, (6,))
    trace = objective.model(Batch(x, x), noise)
    value = penalty.weight * penalty.value(trace) / 6
    weights = dict(objective.model.encoder.named_parameters(prefix="encoder"))
    own = torch.autograd.grad(value, list(weights.values()), retain_graph=True)
    both = gradients(objective, trace)
    for name, gradient in zip(weights, own, strict=True):
        assert gradient.any()
        torch.testing.assert_close(both[name] - without[name], gradient, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("variance", [1e-5, 1e-7])
def test_the_encoder_learns_from_each_bound_where_draws_differ_by_orders_of_magnitude(variance):
    x, noise = torch.rand(4, 6), torch.randn(12, 4, 2)
    objective = objective_of(Partial(3, 4), FixedGaussian(variance))
    objective.model.float()
    found = []
    for bound in (Partial(3, 4), Multiple(3, 4)):
        objective.bound = bound
        trace = objective.model(Batch(x, x), noise)
        found.append(gradients(objective, trace))
    # The best draw of a group may weigh nothing beside that of another.
    best = trace.log_likelihood.reshape(3, 4, 4).amax(1)
    assert (best.amax(0) - best.amin(0)).max() > 200
    partial, many = found
    for name in (name for name in partial if name.startswith("encoder")):
        error = (partial[name] - many[name]).norm() / many[name].norm()
        assert error < 1e-4


def test_the_importance_weighted_bound_rises_to_the_true_likelihood_of_a_linear_model():
    objective = Recipe(Gaussian()).build((4,), 2, Linear(), FixedGaussian(0.5))
    model = objective.model.double()
    x = torch.randn(200, 4, dtype=DOUBLE)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.zero_()  # the posterior is the prior: crude, but wide enough
        weight, bias = model.decoder[0].weight, model.decoder[0].bias
        marginal = MultivariateNormal(bias, weight @ weight.T + 0.5 * torch.eye(4, dtype=DOUBLE))
        truth = marginal.log_prob(x).mean().item()
        bounds = []
        for k in (1, 3, 10, 4096):
            trace = model(Batch(x, x), torch.randn(k, 200, 2, dtype=DOUBLE))
            terms = ImportanceWeighted(k).terms(trace.log_likelihood, trace.coded, 1.0, 1.0)
            bounds.append(-sum(terms.values()).item())
    assert bounds == sorted(bounds)
    assert bounds[0] < truth - 0.1
    assert bounds[-1] == pytest.approx(truth, abs=0.01)
    assert bounds[-1] < truth + 0.01


@pytest.mark.parametrize("bound", [ImportanceWeighted(0), Multiple(2, 0), Partial(True, 2)])
def test_the_number_of_draws_is_a_positive_integer(bound):
    with pytest.raises(SettingError, match="an integer above 0"):
        _ = bound.draws


@pytest.mark.parametrize("nats", [-1.0, math.nan, math.inf])
def test_a_capacity_is_not_negative(nats):
    with pytest.raises(SettingError, match=r"nats of .* must be 0 or a number above"):
        _ = Capacity(nats).draws


def test_a_share_lies_between_0_and_1():
    with pytest.raises(SettingError, match="between 0 and 1"):
        _ = Combined(1.5, 3).draws


def test_a_bound_that_weighs_draws_needs_a_code():
    with pytest.raises(SettingError, match=r"bound 'iwae' needs a code with a density.*'none'"):
        Recipe(NoCode(), bound=ImportanceWeighted()).check()


def test_a_bound_that_weighs_draws_needs_a_density():
    wrong = Recipe(Point(), bound=ImportanceWeighted(3))
    with pytest.raises(SettingError, match=r"bound 'iwae' needs a code with a density.*'point'"):
        wrong.build((8,), 2, Linear(), Bernoulli())


def test_one_draw_makes_the_importance_weighted_bound_the_plain_one():
    objective = objective_of(ImportanceWeighted(1), Bernoulli())
    x, noise = torch.rand(4, 6, dtype=DOUBLE), torch.randn(1, 4, 2, dtype=DOUBLE)
    trace = objective.model(Batch(x, x), noise)
    assert trace.coded.log_q is not None
    sampled = -(trace.log_likelihood + trace.coded.log_p - trace.coded.log_q).mean()
    assert objective.loss(trace).item() == pytest.approx(sampled.item(), rel=1e-12)
    assert math.isfinite(sampled.item())
