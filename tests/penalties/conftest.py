import pytest
import torch
from torch import nn

from attar.likelihoods import FixedGaussian
from attar.model import Model
from attar.records import Batch, Coded, Trace

DOUBLE = torch.float64


@pytest.fixture
def model_of():
    """A function that makes a model in double precision, with random weights."""

    def make(network, code, size=3, cells=5, likelihood=None):
        model = Model(
            network.encoder((cells,), code.width(size)),
            code.build(size),
            network.decoder(size, (cells,)),
            (likelihood or FixedGaussian()).build(),
        ).double()
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
        return model

    return make


@pytest.fixture
def penalty_of():
    """A function that makes a penalty's term and its value at a model's trace of rows."""

    def make(penalty, model, x):
        term = penalty.build(model, model.encode(x).shape[1], x.shape[1:])
        if term.critic is not None:
            term.critic.double()
        return term, term.value(model(Batch(x, x), inputs_require_grad=term.inputs_require_grad))

    return make


@pytest.fixture
def trace_of():
    """A function that makes a trace of codes (n, d) and their moments alone."""

    def make(z, moments=None):
        x = torch.zeros(len(z), 2, dtype=z.dtype)
        coded = Coded(z[None], torch.zeros(1, len(z)), moments=moments)
        return Trace(Batch(x, x), x, z, coded, x[None], lambda parameters, target: -parameters)

    return make


@pytest.fixture
def near():
    """A check that the mean of samples is right within four standard errors."""

    def check(samples, expected, share=0.05):
        error = samples.std().item() / len(samples) ** 0.5
        assert samples.mean().item() == pytest.approx(expected, abs=4 * error)
        if expected:
            assert error < share * abs(expected)

    return check
