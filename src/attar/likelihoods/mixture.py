"""Pixels of a few bits: a mixture of logistics, summed up over each level."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from attar.errors import SettingError
from attar.likelihoods.image import image_shape
from attar.likelihoods.likelihood import Likelihood, LikelihoodModule, Shape

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
