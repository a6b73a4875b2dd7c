"""How alike images look: structural similarity at several scales."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from attar.likelihoods.image import image_shape
from attar.likelihoods.likelihood import Likelihood, LikelihoodModule, Shape

# As published: how much each scale counts, the window's side and deviation, and what keeps the
# quotients of luminance and of contrast steady.
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SIDE, DEVIATION = 11, 1.5
C1, C2 = 0.01**2, 0.03**2


@dataclass(frozen=True)
class MultiScaleSimilarity(Likelihood, name="ms-ssim"):
    """Minus the dissimilarity of images as people see it; the decoder gives the image.

    α (1 - MS-SSIM) + (1 - α) mean |x - m|, with

    MS-SSIM = l_M^w_M · Π_j c_j^w_j,  l = (2μν + C₁) / (μ² + ν² + C₁),
    c = (2σ_xm + C₂) / (σ_x² + σ_m² + C₂),

    means and (co)variances under a gaussian window and averaged over the image, at scales of 1,
    1/2, 1/4 ... of its size, then averaged over the channels. Each cell gets the same share of the
    first term, so that a row has cells · (1 - MS-SSIM).

    It is no density: no likelihood of a row can be told from it.

    Images with a side below 20 get a smaller window, and as many of the five scales are taken as
    the window fits in; their weights are scaled up to the sum of one. All cells must be known.

    Parameters
    ----------
    share : float
        α. Similarity alone hardly sees a small shift of brightness; 0.84 of it, with absolute
        error for the rest, was found to look best.

    References
    ----------
    Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment",
    Asilomar 2003. Zhao, Gallo, Frosio and Kautz, "Loss functions for image restoration with neural
    networks", IEEE Transactions on Computational Imaging 2017.
    """

    density = False
    needs = frozenset({"unit-interval", "complete"})

    share: float = 1.0

    def build(self) -> LikelihoodModule:
        """Return the module; the share must lie between 0 and 1."""
        return MultiScaleSimilarityModule(self.fraction("share"))

    def parameters(self, shape: Shape) -> Shape:
        """Return the shape of the image."""
        return image_shape(self, shape)


class MultiScaleSimilarityModule(LikelihoodModule):
    """The dissimilarity of images."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return each cell's share of α (MS-SSIM - 1), less (1 - α) |x - m|."""
        similarity = ms_ssim(parameters, target).mean(-1)
        dissimilar = self.share * (1 - similarity[..., None, None, None])
        return -dissimilar - (1 - self.share) * (target - parameters).abs()

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the image, cut off at 0 and 1."""
        return parameters.clamp(0, 1)


def ms_ssim(one: Tensor, other: Tensor) -> Tensor:
    """Return the similarity of images with values from 0 to 1: (..., C, H, W) -> (..., C)."""
    size = min(one.shape[-2:])
    side = window_side(size)
    deviation = DEVIATION * side / SIDE
    weights = WEIGHTS[: scales(size, side)]
    logs = torch.zeros_like(one[..., 0, 0])
    for weight in weights[:-1]:
        _, contrast = luminance_and_contrast(one, other, side, deviation)
        logs = logs + weight * bent_log(contrast.mean((-2, -1)))
        one, other = halved(one), halved(other)
    luminance, contrast = luminance_and_contrast(one, other, side, deviation)
    logs = logs + weights[-1] * bent_log((luminance * contrast).mean((-2, -1)))
    return (logs / sum(weights)).exp()


def luminance_and_contrast(
    one: Tensor, other: Tensor, side: int, deviation: float = DEVIATION
) -> tuple[Tensor, Tensor]:
    """Return how alike luminance and contrast are under each place of the gaussian window.

    Their product is the structural similarity of Wang, Bovik, Sheikh and Simoncelli (2004).
    """
    rows, columns = (gaussian_window(size, side, deviation).to(one) for size in one.shape[-2:])

    def blurred(images: Tensor) -> Tensor:
        # As two products with a matrix: many times faster than convolutions of one channel.
        return rows @ (images @ columns.T)

    mean, other_mean, cross = blurred(one), blurred(other), blurred(one * other)
    variance = (blurred(one.square()) - mean.square()).clamp_min(0)
    other_variance = (blurred(other.square()) - other_mean.square()).clamp_min(0)
    means = mean * other_mean
    luminance = (2 * means + C1) / (mean.square() + other_mean.square() + C1)
    contrast = (2 * (cross - means) + C2) / (variance + other_variance + C2)
    return luminance, contrast


def gaussian_window(size: int, side: int, deviation: float) -> Tensor:
    """Return the matrix (size - side + 1, size) that averages under a window at each place."""
    centres = torch.arange(size - side + 1) + side // 2
    offsets = torch.arange(size) - centres[:, None]
    bell = torch.exp(-0.5 * (offsets.double() / deviation).square())
    bell = bell.masked_fill(offsets.abs() > side // 2, 0)
    return bell / bell.sum(-1, keepdim=True)


def window_side(size: int) -> int:
    """Return the odd side of the window for images of a size: about half of it, at most 11."""
    side = min(SIDE, size // 2 + 1)
    return side - 1 + side % 2


def scales(size: int, side: int) -> int:
    """Return at how many scales a window fits into images of a size."""
    return sum(size >> scale >= side for scale in range(len(WEIGHTS)))


def halved(images: Tensor) -> Tensor:
    """Return images of half the size."""
    pooled = functional.avg_pool2d(images.flatten(0, -4), 2)
    return pooled.reshape(*images.shape[:-2], *pooled.shape[-2:])


def bent_log(x: Tensor, bend: float = 0.01) -> Tensor:
    """Return the logarithm, below the bend its tangent.

    Structures may be opposed, and their similarity negative: a power of it is none, and a bound
    would stop learning.
    """
    above = x.clamp_min(bend)
    return above.log() + (x - above) / bend
