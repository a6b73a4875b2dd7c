"""The code of coefficients: its rate, the order of its passes, and what it makes of a code."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import laplace

from attar.codes.contextual import KNOTS, QUALITY, Contextual, nats, passes
from attar.errors import SettingError


def module(shape=(1, 12, 16), block=4, seed=0, **settings):
    torch.manual_seed(seed)
    code = Contextual(block=block, hidden=8, **settings)
    grid = -(-shape[1] // block) * -(-shape[2] // block)
    return code.build(grid * shape[0] * block**2 + 1, shape).eval()


def features(of, rows=3, seed=1):
    torch.manual_seed(seed)
    return torch.randn(rows, *of.prior.grid, of.prior.coefficients) * of.prior.scales


@given(st.floats(-30, 30), st.floats(0.05, 50))
def test_the_rate_is_that_of_a_laplace_distribution(x, scale):
    below, above = laplace(scale=scale).cdf([-abs(x) - 0.5, -abs(x) + 0.5])
    expected = -np.log(max(above - below, 1e-6))
    found = nats(torch.tensor(x, dtype=torch.double), torch.tensor(scale, dtype=torch.double))
    assert found.item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(st.integers(1, 4), st.sampled_from([2, 4, 8]), st.integers(1, 11), st.integers(1, 11))
@settings(max_examples=20, deadline=None)
def test_passes_code_each_coefficient_of_each_place_once(channels, block, height, width):
    coefficients = channels * block**2
    times = torch.zeros(height, width, coefficients, dtype=torch.long)
    for one in passes(channels, coefficients):
        times[..., one.first : one.last] += one.places(height, width)[..., None]
    assert (times == 1).all()


def test_first_passes_are_on_wider_grids():
    """Each place has coded neighbours at the spacing of the pass before."""
    means = passes(1, 64)[:5]
    counts = [int(one.places(8, 8).sum()) for one in means]
    assert counts == [4, 4, 8, 16, 32]
    first = means[0].places(8, 8).nonzero().tolist()
    assert first == [[0, 0], [0, 4], [4, 0], [4, 4]]


@torch.no_grad()
def test_codes_are_medians_and_whole_steps_within_half_a_step():
    of = module((2, 9, 14))
    y, quality = features(of), torch.tensor([0.0, 0.4, 1.0])
    known, rate = of.prior.quantized(y, quality)
    steps = of.prior.log_steps(quality)[:, None, None].exp()
    assert (known - y).abs().max() > 0.3 * steps.min()
    assert ((known - y).abs() <= steps * 0.5001).all()
    again, _ = of.prior.quantized(known, quality)
    torch.testing.assert_close(again, known, atol=1e-5, rtol=0)
    assert rate[0] < rate[1] < rate[2]


@torch.no_grad()
def test_a_pass_knows_only_what_was_coded_before():
    of = module((1, 16, 16))
    prior, y = of.prior, features(of, rows=1)
    medians = []
    original = prior.medians

    def recorded(i, state):
        found = original(i, state)
        medians[-1].append(torch.cat(found, -1))
        return found

    prior.medians = recorded
    for changed in (None, *range(0, len(prior.passes), 3)):
        other = y.clone()
        if changed is not None:
            one = prior.passes[changed]
            places = one.places(*prior.grid)[..., None]
            other[..., one.first : one.last] += 5 * places
        medians.append([])
        prior.quantized(other, torch.tensor([0.5]))
        if changed is None:
            continue
        same = [torch.equal(*pair) for pair in zip(medians[0], medians[-1], strict=True)]
        assert all(same[: changed + 1])
        assert not any(same[changed + 1 :])


@torch.no_grad()
def test_steps_are_those_of_the_settings_and_between_them_geometric():
    prior = module(finest=0.01, coarsest=0.16).prior
    steps = prior.log_steps(torch.tensor([0.0, 0.125, 0.5, 1.0])).exp()[:, 0]
    torch.testing.assert_close(steps, torch.tensor([0.16, 0.16 * 2**-0.5, 0.04, 0.01]))
    prior.log_ratios.copy_(torch.randn_like(prior.log_ratios))
    quality = torch.linspace(0, 1, KNOTS)
    ratios = prior.log_steps(quality) - prior.log_step(quality)[:, None]
    torch.testing.assert_close(ratios, prior.log_ratios.reshape(KNOTS, -1))


@torch.no_grad()
def test_the_rate_of_training_is_that_of_noise():
    of = module()
    y, quality = features(of), torch.full((3,), 0.5)
    exact = of.prior.quantized(y, quality)[1]
    assert torch.equal(of.prior.quantized(y, quality)[1], exact)
    of.train()
    torch.manual_seed(3)
    noisy = torch.stack([of.prior.quantized(y, quality)[1] for _ in range(8)])
    assert (noisy.std(0) > 0).all()
    torch.manual_seed(3)
    torch.testing.assert_close(of.prior.quantized(y, quality)[1], noisy[0])
    known = of.prior.quantized(y, quality)[0]
    torch.testing.assert_close(known, of.eval().prior.quantized(y, quality)[0])


def test_gradients_pass_through_rounding_and_reach_all_weights():
    of = module().train()
    y = features(of).requires_grad_()
    coded = of(y.flatten(1))
    (coded.z.square().sum() + coded.rate.sum()).backward()
    assert y.grad.ne(0).all()
    unused = {"state", "update", "context"}
    for name, weight in of.named_parameters():
        last = f".{len(of.prior.passes) - 1}."
        if last in name and name.split(".")[1] in unused:
            continue  # nothing is coded after the last pass
        assert weight.grad is not None, name
        assert weight.grad.any(), name


@torch.no_grad()
def test_codes_hold_their_quality_and_cost_minus_their_log_density():
    of = module()
    y = features(of).flatten(1)
    coded = of(y, noise=torch.zeros(2, 3, 0))
    assert coded.z.shape == (2, 3, y.shape[1] + 1)
    assert (coded.z[..., -1] == QUALITY).all()
    assert torch.equal(coded.z[0], of.point(y))
    torch.testing.assert_close(of.prior.log_prob(coded.z), -coded.rate, rtol=1e-4, atol=1e-3)
    of.train()
    qualities = of(features(of, rows=200).flatten(1)).z[0, :, -1]
    assert 0 <= qualities.min() < 0.05 < 0.95 < qualities.max() <= 1


@torch.no_grad()
def test_the_decoder_gets_coefficients_and_the_mean_log_step():
    of = module(finest=0.01, coarsest=0.16)
    z = torch.randn(3, 193)
    z[:, -1] = torch.tensor([0.0, 0.5, 1.0])
    found = of.decoder_input(z)
    torch.testing.assert_close(found[:, :-1], z[:, :-1])
    torch.testing.assert_close(found[:, -1], torch.tensor([0.16, 0.04, 0.01]).log())


@torch.no_grad()
def test_draws_have_the_frequencies_of_their_distribution():
    of = module((1, 4, 4))
    prior = of.prior
    for output in prior.outputs:
        output.weight.zero_()  # medians of 0 and the scales of all rows
    draws = prior.sample(8_000, torch.Generator().manual_seed(0))
    assert draws.shape == (8_000, 17)
    assert (draws[:, -1] == QUALITY).all()
    step = prior.log_steps(torch.tensor([QUALITY])).exp()[0]
    steps = draws[:, :-1] / step
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    scale = (prior.scales * np.exp(-0.5) / step).numpy()
    for column in (0, 1, 15):
        for k in (0, 1, -2):
            p = np.diff(laplace(scale=scale[column]).cdf([k - 0.5, k + 0.5])).item()
            share = (steps[:, column].round() == k).double().mean().item()
            assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / 8_000)
    torch.testing.assert_close(draws, prior.sample(8_000, torch.Generator().manual_seed(0)))


@torch.no_grad()
def test_the_scales_start_at_those_of_the_data():
    of = module((1, 4, 8))
    y = torch.randn(50, 2, 16) * torch.linspace(0.1, 3, 16)
    of.on_data(y, y.flatten(1))
    torch.testing.assert_close(of.prior.scales, y.flatten(0, 1).std(0))
    torch.testing.assert_close(of.prior.log_scales, of.prior.scales.log())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Contextual().build(10, (9,)), "is of images"),
        (lambda: Contextual().build(64, (1, 8, 8)), "has 65 dimensions .* not 64"),
        (lambda: Contextual(finest=1.0).build(65, (1, 8, 8)), "smaller than the coarsest"),
        (lambda: Contextual(finest=0).build(65, (1, 8, 8)), "finest"),
        (lambda: Contextual(hidden=0).build(65, (1, 8, 8)), "hidden"),
    ],
)
def test_what_is_no_code_of_images_is_refused(make, said):
    with pytest.raises(SettingError, match=said):
        make()
