"""Sampling around known codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from attar.codes import CodeModule
from attar.sampling.sampler import Draw, Sampler


@dataclass(frozen=True)
class KernelDensity(Sampler, name="kernel-density"):
    """A gaussian around a known code, each as likely as the others.

    Its covariance is that of all codes times (bandwidth · m^(-1 / (d + 4)))², Scott's rule for m
    codes of d numbers.

    Parameters
    ----------
    bandwidth : float
        In units of Scott's rule; 0 draws known codes themselves.

    References
    ----------
    Scott, "Multivariate density estimation", Wiley 1992.
    """

    bandwidth: float = 1.0

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the draws; a single code gives itself."""
        bandwidth = self.not_negative("bandwidth")
        m, d = codes.shape
        rows = codes.double()
        centred = (rows - rows.mean(0)) / max(1, m - 1) ** 0.5
        # A root of the covariance, which may have directions without any variance.
        _, scales, axes = torch.linalg.svd(centred, full_matrices=False)
        root = bandwidth * m ** (-1 / (d + 4)) * scales[:, None] * axes

        def draw(n: int, chance: Generator) -> Tensor:
            which = torch.randint(m, (n,), generator=chance)
            noise = torch.randn(n, len(root), dtype=root.dtype, generator=chance)
            drawn: Tensor = rows[which] + noise @ root
            return drawn.to(codes.dtype)

        return draw
