"""Likelihoods of images: logistic mixture and MS-SSIM."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

from attar.errors import SettingError
from attar.likelihoods.base import Likelihood, LikelihoodModule, Shape, image_shape
from attar.likelihoods.discrete import log_interval, logistic

# A quarter of an 8-bit step: narrower logistics only make gradients steeper.
LEAST_SCALE = 1e-3
# Values lie in [0, 1]: wider logistics leave almost no probability but on the extreme levels.
LARGEST_LOG_SCALE = 10.0


@dataclass(frozen=True)
class LogisticMixture(Likelihood, name="logistic-mixture"):
    r"""A mixture of discretized logistics for each cell of an image with few distinct values.

    .. math:: P(x) = \sum_k π_k \left(σ\left(\frac{x + w/2 - m_k}{s_k}\right)
        - σ\left(\frac{x - w/2 - m_k}{s_k}\right)\right)

    with w the distance of two levels; the lowest level takes all below it and the highest all
    above, so that P sums to 1. The decoder gives π_k, m_k and s_k for each channel of each pixel:
    channels are independent given the code. For decoder outputs of zero, the components are evenly
    spaced in [0, 1], with their distance as scale. Log-scales are clipped at 10.

    Parameters
    ----------
    components : int
        The number of logistics in each cell.
    levels : int
        The number of distinct values, evenly spaced from 0 to 1.

    Examples
    --------
    >>> import torch
    >>> from attar.likelihoods import LogisticMixture
    >>> likelihood = LogisticMixture(components=3, levels=5)
    >>> parameters = torch.randn(1, 1, *likelihood.parameters((1, 1, 1)))
    >>> x = torch.linspace(0, 1, 5).reshape(5, 1, 1, 1)
    >>> print(f"{likelihood.build().log_prob(parameters, x).exp().sum().item():.4f}")
    1.0000

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
        logits, means, scales = self._split(parameters)
        x = target.unsqueeze(-4)
        z, half = (x - means) / scales, self.step / 2 / scales
        lowest, highest = x < self.step / 2, x > 1 - self.step / 2
        within = log_interval(z, half, lowest, highest)
        return torch.logsumexp(logits.log_softmax(-4) + within, -4)

    def cdf(self, parameters: Tensor, values: Tensor) -> Tensor:
        """Return Σ π_k σ((x - m_k) / s_k)."""
        logits, means, scales = self._split(parameters)
        parts = (part.unbind(-4) for part in (logits.softmax(-4), means, scales))
        # One after the other: a tensor of all components is many times larger than their sum.
        terms = (
            (values - mean).div_(scale).sigmoid_().mul_(weight)
            for weight, mean, scale in zip(*parts, strict=True)
        )
        below: Tensor = reduce(torch.add, terms)
        return below

    def mean(self, parameters: Tensor) -> Tensor:
        """Return Σ π_k E[min(max(X_k, 0), 1)], the mean before rounding to a level.

        The tails below 0 and above 1 belong to the extreme levels: m_k itself may lie far outside.
        """
        logits, means, scales = self._split(parameters)
        # The mean of a variable clipped to [0, 1] is the integral of P(X > x) over it.
        integrals = functional.softplus(means / scales) - functional.softplus((means - 1) / scales)
        # For very wide or far logistics the difference is mostly rounding error.
        return (logits.softmax(-4) * (scales * integrals).clamp(0, 1)).sum(-4)

    def sample(self, parameters: Tensor) -> Tensor:
        """Return the level nearest to a draw of a component that was drawn."""
        logits, means, scales = self._split(parameters)
        noise = -torch.empty_like(logits).exponential_().log()
        component = (logits + noise).argmax(-4, keepdim=True)
        mean, scale = means.gather(-4, component), scales.gather(-4, component)
        value = (mean + scale * logistic(mean)).squeeze(-4).clamp(0, 1)
        return (value / self.step).round() * self.step

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, means and scales: (..., components, channels, height, width)."""
        *lead, _, height, width = parameters.shape
        parts = parameters.reshape(*lead, 3, self.components, -1, height, width)
        logits, shifts, log_scales = parts.unbind(-5)
        order = torch.arange(self.components, dtype=shifts.dtype, device=shifts.device)
        means = shifts + ((order + 0.5) / self.components)[:, None, None, None]
        scales = log_scales.clamp_max(LARGEST_LOG_SCALE).exp() / self.components
        return logits, means, LEAST_SCALE + scales


# As published: the weights of the scales, the window's side and standard deviation, and the
# constants that stabilize the quotients of luminance and of contrast.
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SIDE, DEVIATION = 11, 1.5
C1, C2 = 0.01**2, 0.03**2


@dataclass(frozen=True)
class MultiScaleSimilarity(Likelihood, name="ms-ssim"):
    r"""Minus a perceptual distance of images, for a decoder that gives the image m.

    .. math:: α (1 - \text{MS-SSIM}) + (1 - α) \, \mathrm{mean} |x - m|

    .. math:: \text{MS-SSIM} = l_M^{w_M} \prod_j c_j^{w_j}

    .. math:: l = \frac{2μν + C_1}{μ^2 + ν^2 + C_1}, \quad
        c = \frac{2σ_{xm} + C_2}{σ_x^2 + σ_m^2 + C_2}

    with means and (co)variances under a Gaussian window, averaged over the image at 1, 1/2, 1/4 ...
    of its size, then over the channels. The first term is split evenly among the cells of a row,
    which together have cells · (1 - MS-SSIM). It is not a density: it gives no likelihood of a row.

    Images with a side below 20 have a smaller window. Of the five scales, those that the window
    fits in are used, with weights normalized to sum to one. All cells must be observed.

    Parameters
    ----------
    share : float
        α. MS-SSIM alone is insensitive to uniform shifts of brightness; Zhao et al. use 0.84.

    Examples
    --------
    >>> import torch
    >>> from attar.likelihoods import MultiScaleSimilarity
    >>> module, x = MultiScaleSimilarity().build(), torch.rand(1, 1, 8, 8)
    >>> print(f"{module.log_prob(x[None], x).abs().max().item():.4f}")
    0.0000
    >>> bool((module.log_prob(1 - x[None], x) < 0).all())
    True

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
    """Minus the perceptual distance of images."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return α (MS-SSIM - 1) - (1 - α) |x - m| of each cell."""
        similarity = ms_ssim(parameters, target).mean(-1)
        dissimilar = self.share * (1 - similarity[..., None, None, None])
        return -dissimilar - (1 - self.share) * (target - parameters).abs()

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the image, clipped to [0, 1]."""
        return parameters.clamp(0, 1)

    def sample(self, parameters: Tensor) -> Tensor:
        """Return the image: a distance has no density to draw from."""
        return self.mean(parameters)


def ms_ssim(one: Tensor, other: Tensor) -> Tensor:
    """Return the similarity of images with values from 0 to 1: (..., C, H, W) -> (..., C)."""
    size = min(one.shape[-2:])
    side = window_side(size)
    deviation = DEVIATION * side / SIDE
    weights = WEIGHTS[: scales(size, side)]
    logs = torch.zeros_like(one[..., 0, 0])
    for weight in weights[:-1]:
        _, contrast = luminance_and_contrast(one, other, side, deviation)
        logs = logs + weight * log_with_tangent(contrast.mean((-2, -1)))
        one, other = halved(one), halved(other)
    luminance, contrast = luminance_and_contrast(one, other, side, deviation)
    logs = logs + weights[-1] * log_with_tangent((luminance * contrast).mean((-2, -1)))
    return (logs / sum(weights)).exp()


def luminance_and_contrast(
    one: Tensor, other: Tensor, side: int, deviation: float = DEVIATION
) -> tuple[Tensor, Tensor]:
    """Return the similarity of luminance and of contrast at each place of the Gaussian window.

    Their product is the structural similarity of Wang, Bovik, Sheikh and Simoncelli (2004).
    """
    rows, columns = (gaussian_window(size, side, deviation).to(one) for size in one.shape[-2:])

    def blurred(images: Tensor) -> Tensor:
        # Two matrix products: many times faster than convolutions of one channel.
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
    """Return the odd side of the window: about half of the image's, at most 11."""
    side = min(SIDE, size // 2 + 1)
    return side - 1 + side % 2


def scales(size: int, side: int) -> int:
    """Return the number of scales whose images the window fits in."""
    return sum(size >> scale >= side for scale in range(len(WEIGHTS)))


def halved(images: Tensor) -> Tensor:
    """Return images of half the size."""
    pooled = functional.avg_pool2d(images.flatten(0, -4), 2)
    return pooled.reshape(*images.shape[:-2], *pooled.shape[-2:])


def log_with_tangent(x: Tensor, threshold: float = 0.01) -> Tensor:
    """Return the logarithm, continued by its tangent below a threshold.

    The similarity of opposed structures is negative: it has no logarithm, and clipped no gradient.
    """
    above = x.clamp_min(threshold)
    return above.log() + (x - above) / threshold
