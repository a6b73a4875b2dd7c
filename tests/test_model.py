import torch
from torch import nn

from attar.codes import Gaussian, Point
from attar.likelihoods import Bernoulli
from attar.model import Model
from attar.networks import Mlp
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
    trace = model(Batch(x, x), inputs_learn=True)
    (slope,) = torch.autograd.grad(trace.coded.z.sum(), trace.inputs)
    assert slope.ne(0).all()
    assert not x.requires_grad
