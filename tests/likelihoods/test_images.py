import itertools
import json

import numpy as np
import pytest
import torch
from scipy import integrate, ndimage, special, stats
from torch.autograd import gradcheck

from attar import SettingError
from attar.likelihoods import LogisticMixture, MultiScaleSimilarity
from attar.likelihoods.images import ms_ssim, window_side
from attar.networks import Conv
from attar.parts import Part

DOUBLE = torch.float64
GENERATOR = np.random.default_rng(0)


# A mixture of logistics


def mixture(components, levels, shape, spread=1.0):
    part = LogisticMixture(components, levels)
    return part.build(), spread * torch.randn(2, 3, *part.parameters(shape), dtype=DOUBLE)


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
@pytest.mark.parametrize("components", [1, 4])
@pytest.mark.parametrize("spread", [0.0, 1.0, 6.0])
def test_the_levels_have_all_of_the_probability(components, levels, spread):
    module, a = mixture(components, levels, (3, 2, 2), spread)
    total = 0
    for level in range(levels):
        x = torch.full((3, 3, 2, 2), level / (levels - 1), dtype=torch.float32).to(DOUBLE)
        total = total + module.log_prob(a, x).exp()
    torch.testing.assert_close(total, torch.ones(2, 3, 3, 2, 2, dtype=DOUBLE), rtol=0, atol=1e-5)


def test_a_mixture_is_that_of_differences_of_scipys_distribution():
    components, levels, shape = 3, 9, (2, 4, 5)
    module, a = mixture(components, levels, shape)
    x = torch.randint(levels, (3, *shape)).to(DOUBLE) / (levels - 1)
    logits, shifts, log_scales = np.moveaxis(a.numpy().reshape(2, 3, 3, 3, *shape), 2, 0)
    middles = np.array([1, 3, 5])[:, None, None, None] / 6
    scales = 1e-3 + np.exp(log_scales) / components
    edges = (np.arange(levels + 1) - 0.5) / (levels - 1)
    edges[0], edges[-1] = -np.inf, np.inf
    level = np.rint(x.numpy() * (levels - 1)).astype(int)[None, :, None]
    below, above = edges[level], edges[level + 1]
    cdf = stats.logistic(shifts + middles, scales).cdf
    shares = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    expected = np.log((shares * (cdf(above) - cdf(below))).sum(2))
    np.testing.assert_allclose(module.log_prob(a, x).numpy(), expected, rtol=1e-9, atol=1e-9)


def test_the_distribution_function_is_the_sum_of_the_probabilities_below():
    module, a = mixture(3, 9, (2, 4, 5))
    levels = torch.arange(9, dtype=DOUBLE).reshape(9, 1, 1, 1, 1).expand(9, 1, 2, 4, 5) / 8
    p = torch.stack([module.log_prob(a, x.expand(3, 2, 4, 5)).exp() for x in levels])
    below = [module.cdf(a, x.expand(3, 2, 4, 5)) for x in levels + 1 / 16]
    torch.testing.assert_close(torch.stack(below)[:-1], p.cumsum(0)[:-1])


def test_the_mean_is_that_of_logistics_clipped_at_0_and_1():
    module, a = mixture(2, 256, (1, 1, 2), spread=2.0)
    logits, shifts, log_scales = np.moveaxis(a.numpy().reshape(2, 3, 3, 2, 1, 1, 2), 2, 0)
    means = shifts + np.array([1, 3])[:, None, None, None] / 4
    scales, shares = 1e-3 + np.exp(log_scales) / 2, special.softmax(logits, 2)

    def clipped(mean, scale):
        above = stats.logistic(mean, scale).sf
        around = [x for x in (mean - scale, mean, mean + scale) if 0 < x < 1]
        return integrate.quad(above, 0, 1, points=around, epsabs=1e-13)[0]

    expected = (shares * np.vectorize(clipped)(means, scales)).sum(2)
    np.testing.assert_allclose(module.mean(a).numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(module.mean(a[0]).numpy(), expected[0], rtol=1e-9)


def test_the_mean_is_that_of_the_levels_but_for_their_rounding():
    module, a = mixture(3, 256, (1, 2, 2), spread=2.0)
    levels = torch.arange(256, dtype=DOUBLE) / 255
    p = torch.stack([module.log_prob(a, x.expand(3, 1, 2, 2)).exp() for x in levels], -1)
    torch.testing.assert_close(module.mean(a), (p * levels).sum(-1), rtol=0, atol=0.5 / 255)


def test_a_decoder_that_gives_nothing_yet_finds_all_levels_likely():
    part = LogisticMixture()
    a, x = torch.zeros(1, 256, 30, 1, 1), torch.arange(256).reshape(256, 1, 1, 1) / 255
    p = part.build().log_prob(a, x).exp()
    assert p.min() > 1 / 1024
    torch.testing.assert_close(p, p.flip(1))
    torch.testing.assert_close(part.build().mean(a), torch.full((1, 256, 1, 1, 1), 0.5))


@pytest.mark.parametrize(
    ("which", "value"),
    [*itertools.product([0, 1, 2], [-1e6, -40.0, 0.0, 40.0]), (2, 89.0), (2, 1e6), (2, -1e30)],
)
def test_extreme_mixtures_leave_all_finite(which, value):
    part = LogisticMixture(2, 256)
    a = torch.zeros(1, 256, 3, 2, 1, 1)
    a[:, :, which, 0] = value
    a = a.reshape(1, 256, 6, 1, 1).requires_grad_()
    cells = part.build().log_prob(a, torch.arange(256).reshape(256, 1, 1, 1) / 255)
    cells.sum().backward()
    assert cells.isfinite().all()
    assert a.grad.isfinite().all()


def test_gradients_of_a_mixture_are_those_of_finite_differences():
    module, a = mixture(2, 5, (1, 1, 1))
    x = torch.tensor([0.0, 0.5, 1.0], dtype=DOUBLE).reshape(3, 1, 1, 1)
    assert gradcheck(lambda a: module.log_prob(a, x), (a.requires_grad_(),))


def test_a_decoder_makes_the_parameters_of_a_mixture():
    part = LogisticMixture(5, 17)
    decoder = Conv().decoder(4, part.parameters((3, 8, 8)))
    cells = part.build().log_prob(decoder(torch.randn(2, 4))[None], torch.rand(2, 3, 8, 8))
    assert part.parameters((3, 8, 8)) == (45, 8, 8)
    assert cells.shape == (1, 2, 3, 8, 8)


@pytest.mark.parametrize("part", [LogisticMixture(0), LogisticMixture(levels=1)])
def test_a_mixture_of_nothing_is_refused(part):
    with pytest.raises(SettingError, match="at least one component and two levels"):
        part.build()


# Structural similarity


def ssim_by_hand(one, other, weights=(1.0,), side=11, deviation=1.5):
    """Wang's similarity of two grey images, with SciPy's own filter, cut to where it fits."""
    half = side // 2
    terms = []
    for scale, _ in enumerate(weights):
        if scale:
            one, other = (
                (i[::2, ::2] + i[1::2, ::2] + i[::2, 1::2] + i[1::2, 1::2]) / 4
                for i in (one, other)
            )

        def blur(image):
            filtered = ndimage.gaussian_filter(image, deviation, truncate=half / deviation)
            return filtered[half : len(image) - half, half : image.shape[1] - half]

        means = blur(one), blur(other)
        variances = blur(one * one) - means[0] ** 2, blur(other * other) - means[1] ** 2
        covariance = blur(one * other) - means[0] * means[1]
        light = (2 * means[0] * means[1] + 1e-4) / (means[0] ** 2 + means[1] ** 2 + 1e-4)
        contrast = (2 * covariance + 9e-4) / (variances[0] + variances[1] + 9e-4)
        last = scale == len(weights) - 1
        terms.append((light * contrast if last else contrast).mean())
    return float(np.prod([t ** (w / sum(weights)) for t, w in zip(terms, weights, strict=True)]))


def pair(*shape):
    image = ndimage.gaussian_filter(GENERATOR.random(shape), [0] * (len(shape) - 2) + [2, 2])
    image = (image - image.min()) / (image.max() - image.min())
    return image, (image + 0.2 * GENERATOR.normal(size=shape)).clip(0, 1)


PUBLISHED = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@pytest.mark.parametrize(
    ("size", "scales", "side"),
    [
        ((8, 8), 1, 5),
        ((5, 9), 1, 3),
        ((16, 21), 1, 9),
        ((20, 20), 1, 11),
        ((28, 28), 2, 11),
        ((96, 64), 3, 11),
        ((176, 176), 5, 11),
    ],
)
def test_similarity_is_wangs(size, scales, side):
    one, other = pair(*size)
    expected = ssim_by_hand(one, other, PUBLISHED[:scales], side, 1.5 * side / 11)
    found = ms_ssim(torch.from_numpy(one)[None, None], torch.from_numpy(other)[None, None])
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_the_row_has_minus_its_cells_times_the_dissimilarity():
    one, other = pair(4, 3, 8, 8)
    a = torch.from_numpy(np.stack([other, one]))
    cells = MultiScaleSimilarity().build().log_prob(a, torch.from_numpy(one))
    assert cells.shape == (2, 4, 3, 8, 8)
    for row in range(4):
        channels = [ssim_by_hand(one[row, c], other[row, c], (1,), 5, 7.5 / 11) for c in range(3)]
        expected = -3 * 64 * (1 - np.mean(channels))
        assert cells[0, row].sum().item() == pytest.approx(expected, rel=1e-9)
    torch.testing.assert_close(cells[1], torch.zeros(4, 3, 8, 8, dtype=DOUBLE))


def test_the_rest_of_the_share_is_absolute_error():
    one, other = (torch.from_numpy(image) for image in pair(2, 1, 12, 12))
    error = -(one - other).abs()[None]
    none, all_of_it, mixed = (
        MultiScaleSimilarity(share).build().log_prob(other[None], one) for share in (0.0, 1.0, 0.84)
    )
    torch.testing.assert_close(none, error)
    torch.testing.assert_close(mixed, 0.84 * all_of_it + 0.16 * error)


def test_the_image_is_clipped_where_no_pixel_can_be():
    a = torch.tensor([-0.5, 0.0, 0.3, 1.0, 1.7]).reshape(1, 1, 1, 1, 5)
    mean = MultiScaleSimilarity().build().mean(a)
    assert torch.equal(mean.flatten(), torch.tensor([0.0, 0.0, 0.3, 1.0, 1.0]))


def test_more_noise_is_less_similar():
    one, _ = pair(1, 1, 32, 32)
    x, noise = torch.from_numpy(one), torch.randn(1, 1, 32, 32, dtype=DOUBLE)
    found = [ms_ssim(x + s * noise, x).item() for s in (0.0, 0.05, 0.1, 0.2, 0.4)]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(1)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8, 28])
def test_any_image_of_any_size_leaves_all_finite(size):
    x = torch.rand(1, 1, size, size)
    for a in (torch.zeros_like(x), 1 - x, x.clone(), 1e4 * torch.ones_like(x), -x):
        leaf = a[None].requires_grad_()
        cells = MultiScaleSimilarity().build().log_prob(leaf, x)
        cells.sum().backward()
        assert cells.isfinite().all()
        assert leaf.grad.isfinite().all()
        assert (cells <= 1e-6).all()


def test_gradients_of_similarity_are_those_of_finite_differences():
    one, other = (torch.from_numpy(image) for image in pair(2, 1, 6, 7))
    module = MultiScaleSimilarity(0.7).build()
    for start in (other, 1 - one):
        assert gradcheck(lambda a: module.log_prob(a, one), (start[None].requires_grad_(),))


def test_optimization_recovers_an_image_from_its_negative():
    one, _ = pair(1, 1, 16, 16)
    x = torch.from_numpy(one)
    a = (1 - x)[None].requires_grad_()
    optimizer = torch.optim.Adam([a], 0.03)
    module = MultiScaleSimilarity(0.84).build()
    for _ in range(400):
        optimizer.zero_grad()
        (-module.log_prob(a, x).mean()).backward()
        optimizer.step()
    assert ms_ssim(a.detach()[0], x).item() > 0.99


@pytest.mark.parametrize("size", range(1, 40))
def test_the_window_is_odd_and_fits(size):
    side = window_side(size)
    assert side % 2 == 1
    assert side <= min(size, 11)
    assert (side == 11) == (size >= 20)


@pytest.mark.parametrize("part", [LogisticMixture(), MultiScaleSimilarity()])
@pytest.mark.parametrize("shape", [(64,), (8, 8), (1, 1, 8, 8)])
def test_rows_that_are_no_images_are_refused(part, shape):
    with pytest.raises(SettingError, match=rf"'{part.name}' needs images .* has shape"):
        part.parameters(shape)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(SettingError, match="between 0 and 1"):
        MultiScaleSimilarity(share).build()


@pytest.mark.parametrize("part", [LogisticMixture(3, 17), MultiScaleSimilarity(0.5)])
def test_likelihoods_of_images_survive_json(part):
    assert Part.from_json(json.loads(json.dumps(part.to_json()))) == part
    assert "unit-interval" in part.needs
    assert ("complete" in part.needs) == isinstance(part, MultiScaleSimilarity)


def test_draws_of_a_logistic_mixture_have_its_probabilities():
    likelihood, levels = LogisticMixture(components=2, levels=5), torch.linspace(0, 1, 5)
    torch.manual_seed(3)
    parameters = torch.randn(1, *likelihood.parameters((1, 1, 1))).double()
    module = likelihood.build().double()
    target = levels.double().reshape(5, 1, 1, 1)
    expected = module.log_prob(parameters[None], target).exp().flatten()
    drawn = module.sample(parameters.expand(20_000, -1, -1, -1)).flatten()
    shares = torch.bincount((4 * drawn).round().long(), minlength=5) / 20_000
    assert bool(((shares - expected).abs() < 3 * (expected * (1 - expected) / 20_000).sqrt()).all())
