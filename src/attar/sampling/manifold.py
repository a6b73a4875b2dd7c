"""A sampler on the manifold of a Riemannian code."""

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
    """The uniform distribution on the learned manifold, by Hamiltonian Monte Carlo.

    p(z) ∝ √det G⁻¹(z). Each code is the last state of a chain of its own, which starts at an anchor
    of the metric and stays within two temperatures of the nearest one.

    Parameters
    ----------
    steps : int
        The number of proposals of each chain.
    leapfrog_steps : int
        The number of leapfrog steps of a proposal.
    step_size : float
        The size of a leapfrog step, in temperatures over √d.

    Examples
    --------
    >>> from attar.codes import Riemannian
    >>> code = Riemannian(anchors=1, temperature=1.5).build(2, (1,))
    >>> code.attach(lambda values: torch.zeros(1, 7))
    >>> draw = Manifold(steps=5).fit(code, torch.zeros(1, 2))
    >>> bool((draw(100, torch.Generator()).norm(dim=1) <= 2 * 1.5).all())
    True

    References
    ----------
    Chadebec and Allassonnière, "A geometric perspective on variational autoencoders", NeurIPS
    2022. Neal, "MCMC using Hamiltonian dynamics", Handbook of Markov Chain Monte Carlo, 2011.
    """

    steps: int = 50
    leapfrog_steps: int = 5
    step_size: float = 0.4

    needs = frozenset({"metric"})

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the chains' last states; the code must have a metric."""
        self.positive_integer("steps")
        self.positive_integer("leapfrog_steps")
        self.positive("step_size")
        if not isinstance(code, RiemannianModule):
            raise SettingError(
                f"The sampler 'manifold' needs a code with a metric, and {type(code).__name__} has "
                f"none: use the code 'riemannian', or the sampler 'mixture'."
            )
        with torch.no_grad():
            metric = code.metric().to("cpu")
        return lambda n, generator: self._last_states(metric, n, generator)

    @torch.no_grad()
    def _last_states(self, metric: Metric, n: int, generator: Generator) -> Tensor:
        """Return the last states of ``n`` chains: (n, d)."""
        starts = torch.randint(len(metric.centres), (n,), generator=generator)
        z = metric.centres[starts]
        size = self.step_size * metric.temperature / z.shape[1] ** 0.5
        log_density = metric.log_volume(z)
        for _ in range(self.steps):
            start = torch.randn(z.shape, dtype=z.dtype, generator=generator)
            proposal, momentum = z, start + size / 2 * metric.log_volume_gradient(z)
            for step in range(self.leapfrog_steps):
                proposal = proposal + size * momentum
                share = 1 if step < self.leapfrog_steps - 1 else 0.5
                momentum = momentum + share * size * metric.log_volume_gradient(proposal)
            proposed_density = metric.log_volume(proposal)
            kinetic = (start.square() - momentum.square()).sum(1) / 2
            log_ratio = proposed_density - log_density + kinetic
            near = torch.cdist(proposal, metric.centres).amin(1) <= 2 * metric.temperature
            uniform = torch.rand(n, dtype=z.dtype, generator=generator)
            accepted = near & (uniform.log() < log_ratio)
            z = torch.where(accepted[:, None], proposal, z)
            log_density = torch.where(accepted, proposed_density, log_density)
        return z
