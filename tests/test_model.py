import copy
import pickle

import pytest
import torch
from torch import nn

from attar.codes import Gaussian, Ordered, Point
from attar.corruptions import GaussianNoise, Masking, Patches, SaltAndPepper
from attar.errors import SettingError
from attar.likelihoods import Bernoulli, FixedGaussian, LearnedGaussian
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


def test_without_noise_each_pass_makes_one_new_sample():
    model, x = model_of(Gaussian()).eval(), torch.rand(5, 2, 4)
    first, second = (model(Batch(x, x)).coded.z for _ in range(2))
    assert first.shape == (1, 5, 3)
    assert not torch.equal(first, second)


def test_encoding_and_decoding_are_deterministic():
    model, x = model_of(Gaussian()).eval(), torch.rand(5, 2, 4)
    z = model.encode(x)
    assert torch.equal(model.encode(x), z)
    assert torch.equal(z, model(Batch(x, x), torch.zeros(1, 1, 3)).coded.z[0])
    assert torch.equal(model.decode(z), model.decoder(z).sigmoid())


def test_an_error_of_a_module_is_quoted():
    encoder = nn.Sequential(nn.Linear(16, 3), nn.BatchNorm1d(3))
    model = Model(encoder, Point().build(3), nn.Linear(3, 16), FixedGaussian().build())
    x = torch.zeros(1, 16)
    with pytest.raises(
        SettingError, match=r"The encoder fails on a batch of shape \(1, 16\): Exp.* batch_size"
    ):
        model.train()(Batch(x, x))
    with pytest.raises(SettingError, match=r"The decoder fails on a batch of shape \(2, 4\): mat1"):
        model.decode(torch.zeros(2, 4))


def test_inputs_require_a_gradient_only_on_request():
    model, x = model_of(Point()), torch.rand(5, 2, 4)
    assert not model(Batch(x, x)).inputs.requires_grad
    trace = model(Batch(x, x), inputs_require_grad=True)
    (gradient,) = torch.autograd.grad(trace.coded.z.sum(), trace.inputs)
    assert gradient.ne(0).all()
    assert not x.requires_grad


CODES = [Point(), Gaussian(), Ordered()]
CORRUPTIONS = [None, GaussianNoise(0.5), Masking(0.3), SaltAndPepper(0.4)]


def with_missing(code=Point(), corruption=None, network=Mlp((6,), "tanh"), shape=(2, 4)):  # noqa: B008
    recipe = Recipe(code, corruption)
    return recipe.build(shape, 3, network, LearnedGaussian(), missing=True)


def behind_the_mask(n=5, shape=(2, 4)):
    """Return two batches with equal observed cells and different missing ones."""
    observed = torch.rand(n, *shape) < 0.6
    x = torch.rand(n, *shape)
    # Neither the noise nor the largest value may depend on them.
    garbage = torch.where(observed, x, x.flip(0).clamp(0.1, 0.9))
    clean = torch.where(observed, x, 0.0)
    return Batch(clean, clean, observed), Batch(garbage, garbage, observed)


@pytest.mark.parametrize("corruption", [None, GaussianNoise(0.5), Masking(0.3)], ids=repr)
@pytest.mark.parametrize("code", CODES, ids=repr)
def test_the_values_of_missing_cells_have_no_effect(code, corruption):
    objective: Objective = with_missing(code, corruption)
    model, outcomes = objective.model, []
    for batch in behind_the_mask():
        torch.manual_seed(1)
        model.zero_grad()
        trace = model(model.corrupted(batch))
        objective.backward(trace)
        gradients = [parameter.grad.clone() for parameter in model.parameters()]
        codes = model.encode(batch.values, batch.observed)
        outcomes.append([objective.loss(trace), trace.log_likelihood, codes, *gradients])
    for one, other in zip(*outcomes, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=repr)
def test_the_encoder_gets_zeros_and_the_mask(corruption):
    model, calls = with_missing(corruption=corruption).model.train(), []
    model.encoder.register_forward_pre_hook(lambda _, args: calls.append(args[0]))
    batch, _ = behind_the_mask()
    trace = model(model.corrupted(batch))
    (inputs,) = calls
    assert inputs.shape == (5, 4, 4)
    assert torch.equal(inputs[:, 2:], batch.observed.float())
    assert torch.equal(inputs[:, :2], torch.where(batch.observed, trace.inputs, 0.0))


def test_rows_without_a_mask_are_complete():
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


def test_the_decoder_gets_the_codes_decoder_input():
    code = Ordered(trained_size=5)
    network = Mlp((6,), "tanh")
    model = Recipe(code).build((2, 4), 3, network, Bernoulli()).model.eval()
    x = torch.rand(7, 2, 4)
    features = model.encoder(x)
    assert features.shape == (7, 5)
    z = model.encode(x)
    assert torch.equal(z, features[:, :3])
    padded = torch.cat([z, torch.zeros(7, 2)], 1)
    assert torch.equal(model.code.decoder_input(z), padded)
    assert torch.equal(model.decode(z), model.decoder(padded).sigmoid())
    assert torch.equal(model(Batch(x, x)).parameters[0], model.decoder(padded))


@pytest.mark.parametrize("corruption", [GaussianNoise(0.5), Masking(0.3), SaltAndPepper(0.4)])
def test_sparse_rows_are_corrupted_as_dense_ones(corruption):
    recipe = Recipe(Point(), corruption)
    model = recipe.build((9,), 3, Bag((6,)), Bernoulli()).model.train()
    x = torch.rand(5, 9) * (torch.rand(5, 9) < 0.4)
    inputs = []
    for values in (x, x.to_sparse()):
        torch.manual_seed(1)
        inputs.append(model.corrupted(Batch(values, x)).values)
    assert torch.equal(*inputs)


def test_sparse_rows_have_a_gradient_too():
    model = Recipe(Point()).build((9,), 3, Bag((6,)), Bernoulli()).model
    x = torch.rand(5, 9) * (torch.rand(5, 9) < 0.4)
    gradients = []
    for values in (x, x.to_sparse()):
        trace = model(Batch(values, x), inputs_require_grad=True)
        gradients.append(torch.autograd.grad(trace.coded.z.sum(), trace.inputs)[0])
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(model.encode(x.to_sparse()), model.encode(x))


def test_a_masked_autoencoder_has_a_loss_on_cells_that_its_encoder_does_not_see():
    recipe = Recipe(corruption=Patches(0.5, size=1))
    model = recipe.build((1, 4, 4), 2, Mlp((8,)), FixedGaussian(), missing=True).model.train()
    x = 1 + torch.rand(6, 1, 4, 4)
    trace = model(model.corrupted(Batch(x, x)))
    hidden = trace.inputs == 0
    assert torch.equal(trace.batch.observed, hidden)
    assert hidden.flatten(1).sum(1).tolist() == [8] * 6
    cells = FixedGaussian().build().log_prob(trace.parameters, x)
    expected = (cells * hidden).flatten(2).sum(-1)
    torch.testing.assert_close(trace.log_likelihood, expected)
    inputs = torch.cat([x * ~hidden, (~hidden).float()], dim=1)
    torch.testing.assert_close(trace.features, model.encoder(inputs))
    assert model.eval()(Batch(x, x)).batch.observed is None


def test_the_copy_in_double_precision_follows_the_weights_and_the_mode():
    model, x = model_of(Gaussian()).eval(), torch.rand(5, 2, 4)
    double = model.in_double()
    before = double.encode(x.double())
    torch.testing.assert_close(before.float(), model.encode(x))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    assert model.in_double() is double
    assert not double.training
    assert not torch.allclose(double.encode(x.double()), before)
    torch.testing.assert_close(double.encode(x.double()).float(), model.encode(x))
    assert {weight.dtype for weight in double.parameters()} == {torch.float64}
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert model.train().in_double().training


def test_the_copy_in_double_precision_follows_a_replaced_module():
    model, x = model_of(Point()).eval(), torch.rand(5, 2, 4)
    model.in_double()
    model.encoder = nn.Sequential(nn.Flatten(), nn.Linear(8, 3))
    torch.testing.assert_close(model.in_double().encode(x.double()).float(), model.encode(x))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_neither_copies_nor_pickles_hold_the_copy_in_double_precision(copied):
    model, x = model_of(Point()).eval(), torch.rand(5, 2, 4)
    size = len(pickle.dumps(model))
    double = model.in_double()
    assert len(pickle.dumps(model)) == size
    assert list(model.state_dict()) == list(copied(model).state_dict())
    other = copied(model)
    with torch.no_grad():
        for weight in other.parameters():
            weight.zero_()
    assert other.in_double() is not double
    assert other.in_double().encode(x.double()).eq(0).all()
    torch.testing.assert_close(model.in_double().encode(x.double()).float(), model.encode(x))
