import math

import pytest
import torch
from torch.distributions import Independent, Normal

from attar.codes import Flowed, InverseAutoregressive, Planar
from attar.priors import Mixture, StandardNormal

DOUBLE = torch.float64
CODES = [Flowed(), Flowed(flow=InverseAutoregressive(widths=(8,))), Flowed(prior=Mixture(3))]
ids = {"argvalues": CODES, "ids": lambda code: f"{code.flow.name}-{code.prior.name}"}


def built(code, rows=1):
    """Return a code's module for two numbers, and features, one of each row."""
    return code.build(2).double(), torch.randn(rows, code.width(2), dtype=DOUBLE)


@pytest.mark.parametrize("code", **ids)
def test_the_mean_weight_of_prior_over_posterior_is_one(code):
    module, features = built(code)
    features[:, 2:4] += 1
    coded = module(features, torch.randn(40_000, 1, 2, dtype=DOUBLE))
    ratio = (coded.log_p - coded.log_q).exp()
    assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / math.sqrt(40_000))


@pytest.mark.parametrize("code", **ids)
def test_the_rate_is_log_q_over_p_and_its_mean_is_positive(code):
    module, features = built(code, 4)
    coded = module(features, torch.randn(5000, 1, 2, dtype=DOUBLE))
    assert torch.equal(coded.rate, coded.log_q - coded.log_p)
    torch.testing.assert_close(coded.log_p, module.prior.log_prob(coded.z))
    assert (coded.rate.mean(0) > 0).all()


@pytest.mark.parametrize("code", **ids)
def test_the_posteriors_density_is_the_gaussians_over_the_determinant(code):
    module, features = built(code)
    mean, log_variance, context = features.split([2, 2, features.shape[1] - 4], -1)
    gaussian = Independent(Normal(mean[0], (log_variance[0] / 2).exp()), 1)
    noise = torch.randn(5, 1, 2, dtype=DOUBLE)
    coded = module(features, noise)
    for k in range(5):
        start = mean[0] + (log_variance[0] / 2).exp() * noise[k, 0]

        def flow(z):
            return module.flow(z[None, None], context)[0][0, 0]

        slopes = torch.autograd.functional.jacobian(flow, start)
        expected = gaussian.log_prob(start) - slopes.det().abs().log()
        assert coded.log_q[k, 0].item() == pytest.approx(expected.item(), abs=1e-10)
        torch.testing.assert_close(coded.z[k, 0], flow(start))


@pytest.mark.parametrize("code", **ids)
def test_the_point_is_where_no_noise_goes(code):
    module, features = built(code, 4)
    drawn = module(features, torch.zeros(1, 1, 2, dtype=DOUBLE)).z[0]
    assert torch.equal(module.point(features), drawn)
    assert torch.equal(module.constrain(drawn), drawn)


@pytest.mark.parametrize("code", **ids)
def test_one_draw_may_serve_all_rows(code):
    module, features = built(code, 4)
    noise = torch.randn(5, 1, 2, dtype=DOUBLE)
    shared, each = (module(features, n) for n in (noise, noise.expand(5, 4, 2)))
    for name in ("z", "rate", "log_q", "log_p"):
        torch.testing.assert_close(getattr(shared, name), getattr(each, name))


def test_a_flow_fits_a_posterior_that_no_gaussian_is():
    """Two modes: the evidence bound of a gaussian lacks log 2 at least, a flow's lacks less."""

    def lacking(steps):
        torch.manual_seed(1)
        code = Flowed(flow=Planar(steps))
        module = code.build(1).double()
        features = (0.1 * torch.randn(1, code.width(1), dtype=DOUBLE)).requires_grad_()
        adam = torch.optim.Adam([features], 0.03)
        for _ in range(250):
            coded = module(features, torch.randn(128, 1, 1, dtype=DOUBLE))
            modes = [Normal(mode, 0.3).log_prob(coded.z[..., 0]) for mode in (-1.5, 1.5)]
            loss = (coded.log_q - torch.stack(modes).logsumexp(0) + math.log(2)).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        return loss.item()

    assert lacking(8) < 0.3 < math.log(2) - 0.05


def test_the_code_offers_a_density_but_no_moments():
    assert Flowed().provides == {"density"}
    assert Flowed().prior == StandardNormal()
    assert Flowed(flow=Planar(3)).width(5) == 10 + 3 * 11
