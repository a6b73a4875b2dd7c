import pytest
import torch

from attar.bounds import Capacity
from attar.codes import Gaussian, Point, SparseL1
from attar.corruptions import Masking
from attar.likelihoods import (
    Bernoulli,
    Categorical,
    Causal,
    Circular,
    Discretized,
    HeteroscedasticGaussian,
    Huber,
    Language,
    LearnedGaussian,
    Levels,
    Likelihood,
    LogisticMixture,
    Mixed,
    StudentT,
)
from attar.networks import Linear, Mlp
from attar.penalties import L1, L2, Contractive
from attar.recipe import Recipe
from attar.recipes import TABLE
from attar.records import Batch

DOUBLE = torch.float64
KINDS = ("ae", "denoising", "sparse-kl", "sparse-l1", "contractive", "ordered", "vae", "beta-vae")
RECIPES = {name: TABLE[name].recipe for name in KINDS} | {
    "penalties": Recipe(SparseL1(0.3), penalties=(L1(0.01), L2(0.1), Contractive(0.2))),
}
COLUMNS = (LearnedGaussian(), Categorical(3), Circular(), Bernoulli(), StudentT(), Categorical(4))
# Likelihoods of rows that are not simply 2 times 6 cells.
SPECIAL = {
    "causal": (Causal((Levels(3), Levels(4)), (3, 3), 4, 1, 5), (2, 4, 3)),
    "categorical": (Categorical(3), (4, 3)),
    "heteroscedastic-gaussian": (HeteroscedasticGaussian(), (2, 2, 3)),
    "language": (Language(262, 6, 0, 8, 2, 1, 0.0, 0.0, 0.0), (6,)),
    "mixed": (Mixed((*COLUMNS, Discretized(0.3))), (13,)),
    "logistic-mixture": (LogisticMixture(3, 5), (2, 2, 3)),
    "ms-ssim": (Likelihood.named("ms-ssim"), (1, 6, 8)),
}
NETWORKS = {"linear": Linear(), "mlp": Mlp((7,), "tanh", shortcut=True)}


def likelihood_and_rows(name, n=5):
    """Return a likelihood, and rows that suit it."""
    likelihood, shape = SPECIAL.get(name, (Likelihood.named(name), (2, 6)))
    batch = rows(n, shape=shape)
    if "counts" in likelihood.needs or name == "language":
        batch = Batch(batch.values, (batch.target * 7).round())
    return likelihood, batch


def objective_of(
    recipe,
    network=NETWORKS["mlp"],
    likelihood=Bernoulli(),  # noqa: B008
    shape=(2, 6),
):
    objective = recipe.build(shape, 9, network, likelihood)
    objective.model.double()
    for parameter in objective.model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return objective


def rows(n=5, observed=None, shape=(2, 6)):
    x = torch.rand(n, *shape, dtype=DOUBLE)
    return Batch(x, x, observed)


def gradients(objective, batch, backward):
    """Return the gradients of all parameters after a pass with a fixed seed."""
    torch.manual_seed(1)
    objective.model.zero_grad(set_to_none=True)
    trace = objective.model(batch, inputs_require_grad=objective.inputs_require_grad)
    backward(trace)
    return {name: p.grad for name, p in objective.model.named_parameters()}


@pytest.mark.parametrize("likelihood", Likelihood.members)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_backward_gives_the_gradient_of_the_loss_in_nats_per_cell(recipe, network, likelihood):
    likelihood, batch = likelihood_and_rows(likelihood)
    shape = tuple(batch.target.shape[1:])
    objective = objective_of(RECIPES[recipe], NETWORKS[network], likelihood, shape)
    if "counts" in likelihood.needs:
        # Outside the clamp of the log-rate the analytical gradient is not zero, unlike autograd's.
        with torch.no_grad():
            for parameter in objective.model.decoder.parameters():
                parameter.mul_(0.1)
    found = gradients(objective, batch, objective.backward)
    cells = batch.target[0].numel()
    expected = gradients(objective, batch, lambda t: (objective.loss(t) / cells).backward())
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)


CELLWISE = [Bernoulli(), LearnedGaussian(), Huber(), StudentT(), Discretized(0.3)]


@pytest.mark.parametrize("likelihood", CELLWISE, ids=repr)
def test_missing_cells_have_no_gradient(likelihood):
    objective = objective_of(RECIPES["vae"], likelihood=likelihood)
    batch = rows(observed=torch.rand(5, 2, 6) < 0.5)
    found = gradients(objective, batch, objective.backward)
    expected = gradients(objective, batch, lambda t: (objective.loss(t) / 12).backward())
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)
    filled = torch.where(batch.observed, batch.target, 0.5)
    other = gradients(objective, Batch(batch.values, filled, batch.observed), objective.backward)
    torch.testing.assert_close(found, other, rtol=1e-12, atol=1e-15)


def test_missing_segments_have_no_gradient():
    likelihood, batch = likelihood_and_rows("mixed")
    objective = objective_of(RECIPES["vae"], likelihood=likelihood, shape=(13,))
    sizes = torch.tensor([column.cells for column in likelihood.columns])
    observed = (torch.rand(5, len(sizes)) < 0.5).repeat_interleave(sizes, 1)
    batch = Batch(batch.values, batch.target, observed)
    found = gradients(objective, batch, objective.backward)
    expected = gradients(objective, batch, lambda t: (objective.loss(t) / 13).backward())
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)
    filled = torch.where(observed, batch.target, torch.rand(5, 13, dtype=DOUBLE))
    other = gradients(objective, Batch(batch.values, filled, observed), objective.backward)
    torch.testing.assert_close(found, other, rtol=1e-12, atol=1e-15)


def test_backward_is_the_mean_over_several_samples():
    objective, batch = objective_of(RECIPES["vae"]), rows()
    noise, found = torch.randn(4, 5, 9, dtype=DOUBLE), []
    for run in (objective.backward, lambda t: (objective.loss(t) / 12).backward()):
        objective.model.zero_grad()
        run(objective.model(batch, noise))
        found.append([p.grad for p in objective.model.parameters()])
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("likelihood", Likelihood.members)
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_gradient_is_the_finite_difference_in_any_direction(recipe, likelihood):
    likelihood, batch = likelihood_and_rows(likelihood, 3)
    shape = tuple(batch.target.shape[1:])
    objective = objective_of(RECIPES[recipe], Mlp((7,), "tanh"), likelihood, shape)
    # Probabilities far from 0 and 1, where they are clamped.
    for parameter in objective.model.decoder.parameters():
        if parameter.ndim > 1:
            torch.nn.init.uniform_(parameter, 0.01, 0.03)
        else:
            torch.nn.init.constant_(parameter, 0.4)
    step = 1e-5
    found = gradients(objective, batch, objective.backward)
    parameters = dict(objective.model.named_parameters())
    directions = {name: torch.randn_like(p) for name, p in parameters.items()}

    def loss_after(share):
        moved = {name: p + share * directions[name] for name, p in parameters.items()}
        before = {name: p.detach().clone() for name, p in parameters.items()}
        with torch.no_grad():
            for name, p in parameters.items():
                p.copy_(moved[name])
        torch.manual_seed(1)
        trace = objective.model(batch, inputs_require_grad=objective.inputs_require_grad)
        value = objective.loss(trace).item()
        with torch.no_grad():
            for name, p in parameters.items():
                p.copy_(before[name])
        return value

    slope = (loss_after(step) - loss_after(-step)) / (2 * step)
    cells = batch.target[0].numel()
    expected = cells * sum((found[name] * directions[name]).sum().item() for name in parameters)
    assert expected == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_the_loss_is_the_sum_of_its_named_terms():
    objective = objective_of(RECIPES["penalties"])
    trace = objective.model(rows(), inputs_require_grad=True)
    torch.manual_seed(2)
    terms = objective.terms(trace)
    assert list(terms) == ["distortion", "rate", "l1", "l2", "contractive"]
    assert terms["distortion"].item() == pytest.approx(-trace.log_likelihood.mean().item())
    assert terms["rate"].item() == pytest.approx(0.3 * trace.coded.rate.mean().item())
    weights = [p for p in objective.model.parameters() if p.ndim > 1]
    assert terms["l1"].item() == pytest.approx(0.01 * sum(w.abs().sum().item() for w in weights))
    torch.manual_seed(2)
    assert objective.loss(trace).item() == pytest.approx(sum(t.item() for t in terms.values()))


def test_a_code_with_beta_0_has_no_rate_in_its_loss():
    objective = objective_of(RECIPES["ae"])
    assert list(objective.terms(objective.model(rows()))) == ["distortion"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("recipe", RECIPES)
def test_measuring_is_deterministic_and_changes_nothing(recipe, training):
    network = Mlp((7,), "tanh", dropout=0.5)
    objective = objective_of(RECIPES[recipe], network)
    objective.model.train(training)
    batches = [rows(4), rows(3)]
    generator = torch.get_rng_state()
    state = {name: t.clone() for name, t in objective.model.state_dict().items()}
    first = objective.measure(batches)
    torch.randn(3)
    assert objective.measure(batches) == first
    torch.set_rng_state(generator)
    objective.measure(batches)
    assert torch.equal(torch.get_rng_state(), generator)
    assert objective.model.training is training
    assert all(p.grad is None for p in objective.model.parameters())
    for name, tensor in objective.model.state_dict().items():
        assert torch.equal(tensor, state[name])


def test_measured_metrics_are_means_over_all_rows():
    objective = objective_of(Recipe(SparseL1(0.3), None, (L2(7.0),)))
    batches = [rows(4), rows(2)]
    whole = Batch(*(torch.cat([b.target for b in batches]),) * 2)
    metrics = objective.measure(batches)
    trace = objective.model.eval()(whole)
    assert metrics["distortion"] == pytest.approx(-trace.log_likelihood.mean().item(), rel=1e-12)
    assert metrics["rate"] == pytest.approx(trace.coded.rate.mean().item(), rel=1e-12)
    assert metrics["loss"] == pytest.approx(metrics["distortion"] + 0.3 * metrics["rate"])


def test_the_measured_loss_is_that_of_inputs_corrupted_in_the_same_way_each_time():
    objective, batch = objective_of(Recipe(Point(), Masking(0.5))), rows(6)
    before = torch.get_rng_state()
    metrics = objective.measure([batch])
    assert objective.measure([batch]) == metrics
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(0)
    trace = objective.model.eval()(objective.model.corrupted(batch))
    assert (trace.inputs == 0).any()
    assert metrics["loss"] == pytest.approx(-trace.log_likelihood.mean().item(), rel=1e-12)


def test_the_measured_loss_of_a_random_code_is_near_its_mean_over_many_samples():
    objective, batch = objective_of(Recipe(Gaussian(beta=2.0))), rows(600)
    metrics = objective.measure([batch])
    trace = objective.model.eval()(batch, torch.randn(50, 600, 9, dtype=DOUBLE))
    likelihood = trace.log_likelihood.detach()
    error = likelihood.std(0).mean().item() / 600**0.5
    assert metrics["distortion"] == pytest.approx(-likelihood.mean().item(), abs=4 * error)
    assert metrics["rate"] == pytest.approx(trace.coded.rate[0].mean().item(), rel=1e-12)


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_a_bound_is_measured_as_at_the_end_of_training(progress):
    objective = objective_of(Recipe(Gaussian(beta=2.0), bound=Capacity(7.0)))
    objective.progress = progress
    metrics = objective.measure([rows(4)])
    expected = metrics["distortion"] + 2 * abs(metrics["rate"] - 7)
    assert metrics["loss"] == pytest.approx(expected, rel=1e-12)
