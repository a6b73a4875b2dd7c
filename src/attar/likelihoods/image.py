"""What likelihoods of images have in common."""

from __future__ import annotations

from attar.errors import SettingError
from attar.likelihoods.likelihood import Likelihood, Shape


def image_shape(likelihood: Likelihood, shape: Shape) -> tuple[int, int, int]:
    """Return channels, height and width of a prepared row.

    Raises
    ------
    SettingError
        If the rows are no images.
    """
    if len(shape) != 3:
        raise SettingError(
            f"The likelihood {likelihood.name!r} needs images (channels, height, width), but a row "
            f"of this data has shape {shape}: use 'gaussian' or 'bernoulli'."
        )
    channels, height, width = shape
    return channels, height, width
