"""A sampler that walks over the manifold that a Riemannian code has learnt."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from attar.codes import CodeModule
from attar.codes.riemannian import Metric, RiemannianModule
from attar.errors import SettingError
from attar.sampling.base import Draw, Sampler


@dataclass(frozen=True)
class Manifold(Sampler, name="manifold"):
    """Codes spread evenly over the learnt manifold: p(z) ∝ √det G⁻¹(z), by Hamiltonian Monte Carlo.

    Each code is the end of a chain of its own, that starts at an anchor and never goes farther
    than two temperatures from the nearest one: beyond, nothing was learnt.

    Parameters
    ----------
    steps : int
        How many proposals each chain accepts or refuses.
    leaps : int
        How many leapfrog steps lead to a proposal.
    size : float
        How long a leap is, in temperatures over √d.

    References
    ----------
    Chadebec and Allassonnière, "A geometric perspective on variational autoencoders", NeurIPS
    2022. Neal, "MCMC using Hamiltonian dynamics", Handbook of Markov Chain Monte Carlo, 2011.
    """

    steps: int = 50
    leaps: int = 5
    size: float = 0.4

    needs = frozenset({"metric"})

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the chains' ends; the code must have a metric."""
        self.positive_integer("steps"), self.positive_integer("leaps"), self.positive("size")
        if not isinstance(code, RiemannianModule):
            raise SettingError(
                f"The sampler 'manifold' needs a code with a metric, and {type(code).__name__} has "
                f"none: use the code 'riemannian', or the sampler 'mixture'."
            )
        with torch.no_grad():
            metric = code.metric().to("cpu")

        def draw(n: int, generator: Generator) -> Tensor:
            return self._walked(metric, n, generator)

        return draw

    @torch.no_grad()
    def _walked(self, metric: Metric, n: int, generator: Generator) -> Tensor:
        """Return where ``n`` chains are in the end: (n, d)."""
        starts = torch.randint(len(metric.centres), (n,), generator=generator)
        z = metric.centres[starts]
        size = self.size * metric.temperature / z.shape[1] ** 0.5
        log_density = metric.log_volume(z)
        for _ in range(self.steps):
            momentum = torch.randn(z.shape, dtype=z.dtype, generator=generator)
            goal, speed = z, momentum + size / 2 * metric.uniform_slope(z)
            for leap in range(self.leaps):
                goal = goal + size * speed
                share = 1 if leap < self.leaps - 1 else 0.5
                speed = speed + share * size * metric.uniform_slope(goal)
            goal_density = metric.log_volume(goal)
            gain = goal_density - log_density + (momentum.square() - speed.square()).sum(1) / 2
            known = torch.cdist(goal, metric.centres).amin(1) <= 2 * metric.temperature
            luck = torch.rand(n, dtype=z.dtype, generator=generator).log()
            accepted = known & (luck < gain)
            z = torch.where(accepted[:, None], goal, z)
            log_density = torch.where(accepted, goal_density, log_density)
        return z
