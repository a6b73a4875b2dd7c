"""A Gaussian whose mean and scale are outputs of the decoder."""

import numpy as np
import torch
from scipy.stats import norm

from attar.likelihoods import HeteroscedasticGaussian

SHAPE = (3, 4, 5)


def test_densities_and_draws_are_those_of_normal_numbers():
    torch.manual_seed(0)
    module = HeteroscedasticGaussian().build()
    assert HeteroscedasticGaussian().parameters(SHAPE) == (6, 4, 5)
    parameters, target = torch.randn(2, 7, 6, 4, 5), torch.randn(7, *SHAPE)
    mean, scale = parameters[:, :, :3], 0.36 * parameters[:, :, 3:].exp()
    expected = norm(mean.numpy(), scale.numpy()).logpdf(target.numpy())
    found = module.log_prob(parameters, target).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(module.mean(parameters), mean)
    draws = torch.stack([module.sample(parameters) for _ in range(20)])
    draws = (draws - mean) / scale
    assert abs(draws.mean().item()) < 0.03
    assert abs(draws.std().item() - 1) < 0.03
