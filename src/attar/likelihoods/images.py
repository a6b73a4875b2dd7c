"""Likelihoods of images: logistic mixture and MS-SSIM."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from attar.errors import SettingError
from attar.likelihoods.base import Likelihood, LikelihoodModule, Shape, image_shape

# A quarter of the distance of two levels of 8 bits: narrower only makes gradients steeper.
LEAST_SCALE = 1e-3
# Of values from 0 to 1, wider logistics leave all levels but the extreme ones as good as nothing.
LARGEST_LOG_SCALE = 10.0


@dataclass(frozen=True)
class LogisticMixture(Likelihood, name="logistic-mixture"):
    """A mixture of discretized logistics for each cell of an image with few distinct values.

    P(x) = Σ_k π_k (σ((x + w/2 - m_k) / s_k) - σ((x - w/2 - m_k) / s_k)) with w the distance of
    two levels; the lowest level takes all below it and the highest all above, so that the levels
    have all of the probability. The decoder gives π_k, m_k and s_k for each channel of each pixel:
    channels are independent of each other given the code. While the decoder gives nothing, the
    components lie evenly spread between 0 and 1, each as wide as their distance. Log-scales above
    10 count as 10.

    Parameters
    ----------
    components : int
        The number of logistics in each cell.
    levels : int
        The number of distinct values, evenly spread from 0 to 1.

    References
    ----------
    Salimans, Karpathy, Chen and Kingma, "PixelCNN++: improving the PixelCNN with discretized
    logistic mixture likelihood and other modifications", ICLR 2017.
    """

    needs = frozenset({"unit-interval"})

    components: int = 10
    levels: int = 256

    def build(self) -> LikelihoodModule:
        """Return the module; there must be a component and two levels."""
        if self.components < 1 or self.levels < 2:
            raise SettingError(f"{self!r} needs at least one component and two levels.")
        return LogisticMixtureModule(self.components, self.levels)

    def parameters(self, shape: Shape) -> Shape:
        """Return (3 · components · channels, height, width): logits, means, log-scales."""
        channels, height, width = image_shape(self, shape)
        return 3 * self.components * channels, height, width


class LogisticMixtureModule(LikelihoodModule):
    """A mixture of discretized logistics."""

    def __init__(self, components: int, levels: int) -> None:
        super().__init__()
        self.components, self.step = components, 1 / (levels - 1)

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return log Σ π_k P_k(x)."""
        logits, means, scales = self._parted(parameters)
        x = target.unsqueeze(-4)
        z, half = (x - means) / scales, self.step / 2 / scales
        lowest, highest = x < self.step / 2, x > 1 - self.step / 2
        # The difference of two sigmoids, rearranged so that nothing cancels.
        below = functional.logsigmoid(half + z).masked_fill(highest, 0)
        above = functional.logsigmoid(half - z).masked_fill(lowest, 0)
        within = torch.log(-torch.expm1(-2 * half)).masked_fill(lowest | highest, 0)
        return torch.logsumexp(logits.log_softmax(-4) + below + above + within, -4)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return Σ π_k E[min(max(X_k, 0), 1)], the mean before it is rounded to a level.

        What a logistic has below 0 and above 1 is the extreme levels', so that its own middle may
        lie far outside.
        """
        logits, means, scales = self._parted(parameters)
        # Of what is cut off at 0 and 1 the mean is the integral of P(X > x) between them.
        integrals = functional.softplus(means / scales) - functional.softplus((means - 1) / scales)
        # Very wide or far logistics leave little but rounding of a difference.
        return (logits.softmax(-4) * (scales * integrals).clamp(0, 1)).sum(-4)

    def _parted(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, means and scales: (..., components, channels, height, width)."""
        *lead, _, height, width = parameters.shape
        parts = parameters.reshape(*lead, 3, self.components, -1, height, width)
        logits, shifts, log_scales = parts.unbind(-5)
        order = torch.arange(self.components, dtype=shifts.dtype, device=shifts.device)
        means = shifts + ((order + 0.5) / self.components)[:, None, None, None]
        scales = log_scales.clamp_max(LARGEST_LOG_SCALE).exp() / self.components
        return logits, means, LEAST_SCALE + scales


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
