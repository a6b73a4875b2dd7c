import numpy as np
import pytest
import torch
from scipy import stats

from attar.codes import Gaussian, Point, Riemannian
from attar.errors import SettingError
from attar.sampling import Manifold


class FittedEstimator:
    """A Riemannian code whose encoder puts two anchors where it is told to."""

    @staticmethod
    def code(centres, log_roots, **settings):
        n, d = centres.shape
        code = Riemannian(anchors=n, **settings).build(d, (1,))
        lower = torch.tril_indices(d, d)
        triangle = torch.zeros(n, d, d) + torch.diag_embed(log_roots)
        features = torch.cat([centres, torch.zeros(n, d), triangle[:, lower[0], lower[1]]], 1)
        code.attach(lambda _: features)
        return code


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_in_one_dimension_draws_follow_the_root_of_the_inverse_metric():
    centres, logs = torch.tensor([[-1.0], [1.2]]), torch.tensor([[0.5], [-0.3]])
    code = FittedEstimator.code(centres, logs, temperature=0.8, floor=0.05)
    drawn = Manifold(steps=60).fit(code, centres)(4000, generator(0))[:, 0].numpy()
    grid = np.linspace(-2.6, 2.8, 20_001)
    bumps = sum(np.exp(2 * a - ((grid - c) / 0.8) ** 2) for c, a in ((-1.0, 0.5), (1.2, -0.3)))
    share = np.cumsum(np.sqrt(bumps + 0.05))
    share /= share[-1]
    assert drawn.min() >= -2.6
    assert drawn.max() <= 2.8
    assert stats.kstest(drawn, lambda z: np.interp(z, grid, share)).pvalue > 0.01


def test_in_two_dimensions_draws_around_one_anchor_lie_as_far_out_as_they_should():
    centres, logs = torch.tensor([[0.4, -0.7]]), torch.zeros(1, 2)
    code = FittedEstimator.code(centres, logs, temperature=1.5, floor=0.02)
    drawn = Manifold().fit(code, centres)(4000, generator(1))
    apart = (drawn - centres).double()
    grid = np.linspace(0, 3, 20_001)
    # √det G⁻¹ is exp(-r² / T²) + λ in the plane, and circles are as long as r.
    share = np.cumsum(grid * (np.exp(-((grid / 1.5) ** 2)) + 0.02))
    share /= share[-1]
    radius = apart.norm(dim=1).numpy()
    assert stats.kstest(radius, lambda r: np.interp(r, grid, share)).pvalue > 0.01
    turn = torch.atan2(apart[:, 1], apart[:, 0]).numpy()
    assert stats.kstest(turn, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01


def test_draws_depend_on_the_generator_alone():
    centres = torch.randn(6, 3)
    draw = Manifold(steps=5).fit(FittedEstimator.code(centres, torch.zeros(6, 3)), centres)
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


@pytest.mark.parametrize("name", ["steps", "leaps", "size"])
def test_chains_that_go_nowhere_are_refused(name):
    with pytest.raises(SettingError, match=rf"The {name} of .* above 0"):
        Manifold(**{name: 0}).fit(Point().build(2), torch.zeros(3, 2))
