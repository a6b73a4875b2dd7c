import numpy as np
import pytest
import torch
from scipy import stats

from attar.codes import Gaussian, Point, Riemannian
from attar.errors import SettingError
from attar.sampling import Manifold


def code_of(centres, log_roots, **settings):
    """Return a Riemannian code with anchors at these centres."""
    n, d = centres.shape
    code = Riemannian(anchors=n, **settings).build(d, (1,))
    lower = torch.tril_indices(d, d)
    triangle = torch.zeros(n, d, d) + torch.diag_embed(log_roots)
    features = torch.cat([centres, torch.zeros(n, d), triangle[:, lower[0], lower[1]]], 1)
    code.attach(lambda _: features)
    return code


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_in_one_dimension_samples_follow_the_root_of_the_inverse_metric():
    centres, logs = torch.tensor([[-1.0], [1.2]]), torch.tensor([[0.5], [-0.3]])
    code = code_of(centres, logs, temperature=0.8, floor=0.05)
    drawn = Manifold(steps=60).fit(code, centres)(4000, generator(0))[:, 0].numpy()
    grid = np.linspace(-2.6, 2.8, 20_001)
    bumps = sum(np.exp(2 * a - ((grid - c) / 0.8) ** 2) for c, a in ((-1.0, 0.5), (1.2, -0.3)))
    cdf = np.cumsum(np.sqrt(bumps + 0.05))
    cdf /= cdf[-1]
    assert drawn.min() >= -2.6
    assert drawn.max() <= 2.8
    assert stats.kstest(drawn, lambda z: np.interp(z, grid, cdf)).pvalue > 0.01


def test_in_two_dimensions_radius_and_angle_follow_the_volume_around_an_anchor():
    centres, logs = torch.tensor([[0.4, -0.7]]), torch.zeros(1, 2)
    code = code_of(centres, logs, temperature=1.5, floor=0.02)
    drawn = Manifold().fit(code, centres)(4000, generator(1))
    offset = (drawn - centres).double()
    grid = np.linspace(0, 3, 20_001)
    # √det G⁻¹ is exp(-r² / T²) + λ in the plane, and circles are as long as r.
    cdf = np.cumsum(grid * (np.exp(-((grid / 1.5) ** 2)) + 0.02))
    cdf /= cdf[-1]
    radius = offset.norm(dim=1).numpy()
    assert stats.kstest(radius, lambda r: np.interp(r, grid, cdf)).pvalue > 0.01
    angle = torch.atan2(offset[:, 1], offset[:, 0]).numpy()
    assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01


def test_draws_depend_on_the_generator_alone():
    centres = torch.randn(6, 3)
    draw = Manifold(steps=5).fit(code_of(centres, torch.zeros(6, 3)), centres)
    first = draw(20, generator(3))
    torch.manual_seed(9)
    assert torch.equal(draw(20, generator(3)), first)
    assert not torch.equal(draw(20, generator(4)), first)
    assert first.dtype == torch.float32
    assert not first.requires_grad


@pytest.mark.parametrize("code", [Point(), Gaussian()])
def test_a_code_without_a_metric_is_refused(code):
    with pytest.raises(SettingError, match=r"'manifold' .* metric, and \w+ has none: use"):
        Manifold().fit(code.build(2), torch.zeros(3, 2))


@pytest.mark.parametrize("name", ["steps", "leapfrog_steps", "step_size"])
def test_settings_must_be_above_0(name):
    with pytest.raises(SettingError, match=rf"The {name} of .* above 0"):
        Manifold(**{name: 0}).fit(Point().build(2), torch.zeros(3, 2))
