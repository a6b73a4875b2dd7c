import numpy as np
import pytest
import torch
from scipy import ndimage

from attar import SettingError
from attar.corruptions import Distortion, SwapNoise
from attar.records import Batch

NONE = Distortion(shift=0.0, rotation=0.0, scale=0.0, shear=0.0, bend=0.0)
# Smooth, so that bilinear interpolation is exact up to a little.
AXIS = torch.linspace(-1 + 1 / 32, 1 - 1 / 32, 32)
BLOB = torch.exp(-8 * ((AXIS[:, None] - 0.1) ** 2 + (AXIS[None] + 0.2) ** 2))


def centres(images):
    """Return the centre of mass (x, y) of each image, from -1 to 1."""
    mass = images.sum((-2, -1))
    across, down = (
        (images * AXIS).sum((-2, -1)) / mass,
        (images * AXIS[:, None]).sum((-2, -1)) / mass,
    )
    return torch.stack([across, down], -1)[:, 0]


def distorted(count=400, **settings):
    return NONE.replace(**settings).build()(BLOB.expand(count, 1, 32, 32)).values


def test_without_any_distortion_images_stay():
    images = torch.rand(5, 3, 7, 12)
    torch.testing.assert_close(NONE.build()(images).values, images)


def test_shifts_are_even_up_to_the_largest():
    moved = (centres(distorted(shift=0.1)) - centres(BLOB[None, None])) / 2
    assert moved.abs().max() <= 0.105
    assert moved.std(0).numpy() == pytest.approx(0.1 / 3**0.5, rel=0.1)


def test_a_rotation_is_about_the_middle():
    x, y = centres(BLOB[None, None])[0]
    found = centres(distorted(rotation=90.0))
    torch.testing.assert_close(found.norm(dim=1), torch.hypot(x, y).expand(400), atol=0.02, rtol=0)
    angles = torch.atan2(found[:, 1], found[:, 0]) - torch.atan2(y, x)
    angles = torch.rad2deg(torch.remainder(angles + torch.pi, 2 * torch.pi) - torch.pi)
    assert angles.abs().max() <= 92
    assert angles.std().item() == pytest.approx(180 / 12**0.5, rel=0.1)


def test_scales_multiply_areas():
    areas = distorted(scale=0.3).sum((1, 2, 3)) / BLOB.sum()
    assert areas.log().abs().max() <= 0.65
    assert areas.log().std().item() == pytest.approx((2 * 0.3**2 / 3) ** 0.5, rel=0.15)


def test_a_shear_moves_rows_and_keeps_areas():
    images = distorted(shear=0.5)
    assert (images.sum((1, 2, 3)) / BLOB.sum()).numpy() == pytest.approx(1, abs=0.05)
    moved = centres(images) - centres(BLOB[None, None])
    assert moved[:, 0].std() > 0.02
    assert moved[:, 1].abs().max() < 0.01


def test_bends_are_those_of_cubic_interpolation():
    module = NONE.replace(bend=0.2, grid=5).build()
    torch.manual_seed(0)
    bent = module(BLOB[None, None]).values[0, 0]
    torch.manual_seed(0)
    torch.rand(6, 1)
    noise = 0.2 * torch.randn(1, 2, 5, 5)
    across, down = torch.nn.functional.interpolate(noise, (32, 32), mode="bicubic")[0].numpy()
    axis = AXIS.numpy()
    places = np.stack([axis[:, None] + down, axis[None] + across])
    pixels = (places + 1) * 16 - 0.5
    expected = ndimage.map_coordinates(BLOB.numpy(), pixels, order=1, mode="nearest")
    np.testing.assert_allclose(bent.numpy(), expected, atol=1e-5)


def test_beyond_the_edges_pixels_are_those_at_the_edges():
    images = torch.full((50, 1, 8, 8), 0.7)
    torch.testing.assert_close(Distortion().build()(images).values, images)


def test_each_image_is_distorted_by_itself():
    one, other = Distortion().build()(BLOB.expand(2, 1, 32, 32)).values
    assert (one - other).abs().max() > 0.05


def test_rows_that_are_no_images_are_refused():
    with pytest.raises(SettingError, match="'distortion' is for images"):
        Distortion().build()(torch.rand(2, 8))


@pytest.mark.parametrize("field", ["shift", "rotation", "scale", "shear", "bend"])
def test_negative_distortions_are_refused(field):
    with pytest.raises(SettingError, match=f"{field} of .* must be 0 or"):
        Distortion(**{field: -1.0}).build()


def test_a_grid_of_one_point_is_refused():
    with pytest.raises(SettingError, match="at least 2 points"):
        Distortion(grid=1).build()


def test_swapped_columns_have_values_of_other_rows():
    rows = torch.arange(6000.0).reshape(2000, 3)
    batch = SwapNoise(0.25).build().corrupted(Batch.of(rows))
    changed = batch.values != rows
    assert changed.float().mean(0).numpy() == pytest.approx(0.25, abs=0.04)
    # A value stays in its column, and columns are swapped by themselves.
    assert torch.equal(batch.values % 3, rows % 3)
    pairs = torch.corrcoef(changed.float().T)
    assert (pairs - torch.eye(3)).abs().max() < 0.1
    assert torch.equal(batch.target, rows)


def test_a_category_is_swapped_as_a_whole_and_missing_values_with_their_mask():
    hot = torch.eye(4)[torch.arange(1000) % 4]
    rows = torch.cat([hot, torch.arange(1000.0)[:, None]], 1)
    rows[::2, 4] = float("nan")
    batch = SwapNoise(0.5, widths=(4, 1)).build().corrupted(Batch.of(rows))
    assert torch.equal(batch.values[:, :4].sum(1), torch.ones(1000))
    number, visible = batch.values[:, 4], batch.visible[:, 4]
    assert torch.equal(number[~visible], torch.zeros(int((~visible).sum())))
    assert (number[visible] % 2 == 1).all()
    assert 0.4 < visible.float().mean() < 0.6
    assert torch.equal(batch.observed[:, 4], torch.arange(1000) % 2 == 1)


def test_without_a_share_nothing_is_swapped():
    rows = torch.randn(50, 4)
    assert torch.equal(SwapNoise(0.0).build().corrupted(Batch.of(rows)).values, rows)


def test_widths_of_other_rows_are_refused():
    with pytest.raises(SettingError, match="add up to 5, but a row has 4"):
        SwapNoise(widths=(4, 1)).build().corrupted(Batch.of(torch.randn(9, 4)))
