"""Kernels: how alike two codes are, as a number from 0 to 1."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from attar.checks import positive
from attar.errors import SettingError
from attar.parts import Part

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Kernel(Part):
    """How alike two codes are, mean over several scales.

    Attributes
    ----------
    scales : tuple of float
        Squared widths of the kernel. The unit is 2 d, the mean squared distance of two standard
        normal codes of d numbers.
    """

    scales: tuple[float, ...]

    @abstractmethod
    def of(self, share: Tensor) -> Tensor:
        """Return the likeness for squared distances in units of a scale: (...) -> (...)."""

    def similarity(self, codes: Tensor, others: Tensor) -> Tensor:
        """Return how alike codes (n, d) are to others (m, d): (n, m)."""
        squares = torch.cdist(codes, others, compute_mode="donot_use_mm_for_euclid_dist").square()
        unit = squares / (2 * codes.shape[1])
        return torch.stack([self.of(unit / scale) for scale in self.scales]).mean(0)

    def check(self) -> None:
        """Refuse scales that are none.

        Raises
        ------
        SettingError
            If there is no scale, or one that is not above 0.
        """
        if not self.scales:
            raise SettingError(f"The scales of {self!r} must be one at least.")
        for scale in self.scales:
            positive(f"Each of the scales of {self!r}", scale)


@dataclass(frozen=True)
class InverseMultiquadratic(Kernel, name="inverse-multiquadratic"):
    """k(x, y) = s / (s + |x - y|²), with tails that are felt from far away."""

    scales: tuple[float, ...] = SCALES

    def of(self, share: Tensor) -> Tensor:
        """Return 1 / (1 + share)."""
        return 1 / (1 + share)


@dataclass(frozen=True)
class GaussianKernel(Kernel, name="gaussian"):
    """k(x, y) = exp(-|x - y|² / s)."""

    scales: tuple[float, ...] = SCALES

    def of(self, share: Tensor) -> Tensor:
        """Return exp(-share)."""
        return (-share).exp()
