import pytest
import torch
from torch import nn

from attar.codes import Gaussian, Ordered, Point
from attar.corruptions import GaussianNoise, Masking, Patches, SaltAndPepper
from attar.likelihoods import Bernoulli, LearnedGaussian
from attar.likelihoods import FixedGaussian
from attar.model import Model
from attar.networks import Bag, Conv, Mlp
from attar.objective import Objective
from attar.recipe import Recipe
from attar.records import Batch


def model_of(code, size=3, shape=(2, 4)):
    network = Mlp((6,), "tanh")
    encoder, decoder = network.encoder(shape, code.width(size)), network.decoder(size, shape)
    return Model(encoder, code.build(size), decoder, Bernoulli().build())


def test_a_trace_is_encoder_code_and_decoder_one_after_the_other():
    model, x = model_of(Gaussian()), torch.rand(5, 2, 4)
    noise = torch.randn(7, 5, 3)
    trace = model(Batch(x, x), noise)
    features = model.encoder(x)
    mean, log_variance = features[:, :3], features[:, 3:]
    z = mean + (log_variance / 2).exp() * noise
    parameters = torch.stack([model.decoder(draw) for draw in z])
    torch.testing.assert_close(trace.features, features)
    torch.testing.assert_close(trace.coded.z, z)
    torch.testing.assert_close(trace.parameters, parameters)
    expected = nn.functional.binary_cross_entropy_with_logits(
        parameters, x.expand(7, 5, 2, 4), reduction="none"
    )
    torch.testing.assert_close(trace.log_likelihood, -expected.sum((2, 3)))


def test_without_noise_each_pass_makes_one_fresh_draw():
    model, x = model_of(Gaussian()).eval(), torch.rand(5, 2, 4)
    first, second = (model(Batch(x, x)).coded.z for _ in range(2))
    assert first.shape == (1, 5, 3)
    assert not torch.equal(first, second)


def test_encoding_and_decoding_are_without_chance():
    model, x = model_of(Gaussian()).eval(), torch.rand(5, 2, 4)
    z = model.encode(x)
    assert torch.equal(model.encode(x), z)
    assert torch.equal(z, model(Batch(x, x), torch.zeros(1, 1, 3)).coded.z[0])
    assert torch.equal(model.decode(z), model.decoder(z).sigmoid())


def test_inputs_learn_only_where_it_is_asked_for():
    model, x = model_of(Point()), torch.rand(5, 2, 4)
    assert not model(Batch(x, x)).inputs.requires_grad
    trace = model(Batch(x, x), inputs_require_grad=True)
    (slope,) = torch.autograd.grad(trace.coded.z.sum(), trace.inputs)
    assert slope.ne(0).all()
    assert not x.requires_grad


CODES = [Point(), Gaussian(), Ordered()]
DAMAGE = [None, GaussianNoise(0.5), Masking(0.3), SaltAndPepper(0.4)]


def with_missing(code=Point(), corruption=None, network=Mlp((6,), "tanh"), shape=(2, 4)):  # noqa: B008
    recipe = Recipe(code, corruption)
    return recipe.build(shape, 3, network, LearnedGaussian(), gaps=True)


def behind_the_mask(n=5, shape=(2, 4)):
    """The same known cells twice, with other things where nothing is known."""
    observed = torch.rand(n, *shape) < 0.6
    x = torch.rand(n, *shape)
    # What noise is added to, and which value is the largest, must be the same.
    garbage = torch.where(observed, x, x.flip(0).clamp(0.1, 0.9))
    clean = torch.where(observed, x, 0.0)
    return Batch(clean, clean, observed), Batch(garbage, garbage, observed)


@pytest.mark.parametrize("corruption", [None, GaussianNoise(0.5), Masking(0.3)], ids=repr)
@pytest.mark.parametrize("code", CODES, ids=repr)
def test_what_stands_where_nothing_is_known_has_no_influence(code, corruption):
    objective: Objective = with_missing(code, corruption)
    model, outcomes = objective.model, []
    for batch in behind_the_mask():
        torch.manual_seed(1)
        model.zero_grad()
        trace = model(batch)
        objective.backward(trace)
        gradients = [parameter.grad.clone() for parameter in model.parameters()]
        codes = model.encode(batch.values, batch.observed)
        outcomes.append([objective.loss(trace), trace.log_likelihood, codes, *gradients])
    for one, other in zip(*outcomes, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("corruption", DAMAGE, ids=repr)
def test_the_encoder_sees_zeros_and_the_mask_behind_them(corruption):
    model, seen = with_missing(corruption=corruption).model.train(), []
    model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    batch, _ = behind_the_mask()
    trace = model(batch)
    (inputs,) = seen
    assert inputs.shape == (5, 4, 4)
    assert torch.equal(inputs[:, 2:], batch.observed.float())
    assert torch.equal(inputs[:, :2], torch.where(batch.observed, trace.inputs, 0.0))


def test_rows_without_a_mask_are_wholly_known():
    model, x = with_missing().model.eval(), torch.rand(5, 2, 4)
    known = torch.ones(5, 2, 4, dtype=torch.bool)
    assert torch.equal(model.encode(x), model.encode(x, known))
    assert torch.equal(model(Batch(x, x)).features, model(Batch(x, x, known)).features)


def test_a_zero_and_a_missing_cell_are_not_the_same():
    model = with_missing().model.eval()
    zeros = torch.zeros(1, 2, 4)
    known = torch.ones(1, 2, 4, dtype=torch.bool)
    gone = known.clone()
    gone[0, 1, 2] = False
    assert not torch.equal(model.encode(zeros, known), model.encode(zeros, gone))


def test_images_have_a_mask_for_each_channel():
    model = with_missing(network=Conv(), shape=(3, 8, 8)).model.eval()
    first, second = behind_the_mask(4, (3, 8, 8))
    with torch.no_grad():
        torch.testing.assert_close(
            model.encode(first.values, first.observed), model.encode(second.values, second.observed)
        )


def test_the_decoder_sees_what_the_code_shows():
    code = Ordered(learnt=5)
    network = Mlp((6,), "tanh")
    model = Recipe(code).build((2, 4), 3, network, Bernoulli()).model.eval()
    x = torch.rand(7, 2, 4)
    features = model.encoder(x)
    assert features.shape == (7, 5)
    z = model.encode(x)
    assert torch.equal(z, features[:, :3])
    padded = torch.cat([z, torch.zeros(7, 2)], 1)
    assert torch.equal(model.code.shown(z), padded)
    assert torch.equal(model.decode(z), model.decoder(padded).sigmoid())
    assert torch.equal(model(Batch(x, x)).parameters[0], model.decoder(padded))


@pytest.mark.parametrize("corruption", [GaussianNoise(0.5), Masking(0.3), SaltAndPepper(0.4)])
def test_sparse_rows_are_damaged_as_dense_ones(corruption):
    recipe = Recipe(Point(), corruption)
    model = recipe.build((9,), 3, Bag((6,)), Bernoulli()).model.train()
    x = torch.rand(5, 9) * (torch.rand(5, 9) < 0.4)
    inputs = []
    for values in (x, x.to_sparse()):
        torch.manual_seed(1)
        inputs.append(model(Batch(values, x)).inputs)
    assert torch.equal(*inputs)


def test_sparse_rows_have_a_slope_too():
    model = Recipe(Point()).build((9,), 3, Bag((6,)), Bernoulli()).model
    x = torch.rand(5, 9) * (torch.rand(5, 9) < 0.4)
    slopes = []
    for values in (x, x.to_sparse()):
        trace = model(Batch(values, x), inputs_require_grad=True)
        slopes.append(torch.autograd.grad(trace.coded.z.sum(), trace.inputs)[0])
    torch.testing.assert_close(*slopes)
    torch.testing.assert_close(model.encode(x.to_sparse()), model.encode(x))


def test_what_a_corruption_asks_for_alone_is_in_the_loss_and_unseen_by_the_encoder():
    recipe = Recipe(corruption=Patches(0.5, size=1))
    model = recipe.build((1, 4, 4), 2, Mlp((8,)), FixedGaussian(), gaps=True).model.train()
    x = 1 + torch.rand(6, 1, 4, 4)
    trace = model(Batch(x, x))
    hidden = trace.inputs == 0
    assert torch.equal(trace.batch.observed, hidden)
    assert hidden.flatten(1).sum(1).tolist() == [8] * 6
    cells = FixedGaussian().build().log_prob(trace.parameters, x)
    expected = (cells * hidden).flatten(2).sum(-1)
    torch.testing.assert_close(trace.log_likelihood, expected)
    told = torch.cat([x * ~hidden, (~hidden).float()], dim=1)
    torch.testing.assert_close(trace.features, model.encoder(told))
    assert model.eval()(Batch(x, x)).batch.observed is None
