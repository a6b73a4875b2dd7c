import pytest
import torch

from attar.codes import (
    Flowed,
    Gaussian,
    Hamiltonian,
    InverseAutoregressive,
    Ladder,
    Ordered,
    Poincare,
    Point,
    Riemannian,
    Sphere,
)
from attar.networks import Linear
from attar.priors import Mixture, NormalizingFlow, Vamp

SIZE, SHAPE = 6, (5,)
CODES = [
    Point(),
    Ordered(),
    Gaussian(),
    Gaussian(prior=Mixture(3)),
    Gaussian(prior=NormalizingFlow(widths=(8,))),
    Gaussian(prior=Vamp(3)),
    Flowed(),
    Flowed(flow=InverseAutoregressive(widths=(8,))),
    Ladder(hidden=8),
    Sphere(),
    Poincare(),
    Hamiltonian(),
    Riemannian(anchors=4),
]
ids = {"ids": lambda code: f"{code.name}-{code.flow.name}" if code.name == "flowed" else code.name}


def built(code, device="cpu"):
    """Return a code's module with an encoder of rows, and that encoder."""
    module = code.build(SIZE, SHAPE).to(device)
    encoder = Linear().encoder(SHAPE, code.width(SIZE)).to(device)
    module.attach(encoder)
    rows = torch.randn(9, *SHAPE).to(device)
    module.on_data(rows, encoder(rows))
    return module, encoder


def log_likelihood(z):
    return -z.square().sum(-1)


@pytest.mark.parametrize("code", CODES, **ids)
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4, 1e6])
def test_rows_far_from_the_training_data_have_finite_codes_rates_and_gradients(code, scale):
    module, encoder = built(code)
    features = encoder(scale * torch.randn(4, *SHAPE))
    coded = module(features, torch.randn(3, 1, code.noise(SIZE)), log_likelihood)
    for found in (
        coded.z,
        coded.rate,
        coded.log_q,
        coded.log_p,
        module.point(features, log_likelihood),
    ):
        assert found is None or found.isfinite().all()
    (coded.z.sum() + coded.rate.sum()).backward()
    assert all(w.grad is None or w.grad.isfinite().all() for w in encoder.parameters())


# Automatic precision, which Hamilton's equations switch off, does not know this device.
@pytest.mark.parametrize("code", CODES[:-2], **ids)
def test_all_tensors_are_on_the_device_of_the_features(code):
    module, _ = built(code, "meta")
    features = torch.empty(4, code.width(SIZE), device="meta", requires_grad=True)
    for noise in (None, torch.empty(3, 1, code.noise(SIZE), device="meta")):
        coded = module(features, noise)
        assert coded.z.is_meta
        assert coded.rate.is_meta
        (coded.z.sum() + coded.rate.sum()).backward()
    z = module.point(features)
    for found in (z, module.decoder_input(z), module.constrain(z), module.distance(z, z)):
        assert found.is_meta
