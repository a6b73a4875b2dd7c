"""Codes on a Riemannian manifold with a learned metric."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from attar.codes.base import Code, CodeModule
from attar.codes.hamiltonian import HamiltonianModule, Kinetics, Slope
from attar.priors import Prior, PriorModule, StandardNormal

SEGMENTS, EFFORT = 16, 60


@dataclass(frozen=True)
class Metric:
    """The metric G(z), by its inverse: G⁻¹(z) = Σ Lᵢ Lᵢᵀ exp(-|z - cᵢ|² / T²) + λ I.

    Parameters
    ----------
    centres : Tensor (n, d)
        The anchors' places cᵢ.
    roots : Tensor (n, d, d)
        Lᵢ, triangular.
    temperature : float
        T, how far an anchor reaches.
    floor : float
        λ: the metric is I / λ far away from all anchors.
    """

    centres: Tensor
    roots: Tensor
    temperature: float
    floor: float

    def to(self, device: str) -> Self:
        """Return the metric on a device."""
        return replace(self, centres=self.centres.to(device), roots=self.roots.to(device))

    def inverse(self, z: Tensor) -> Tensor:
        """Return G⁻¹ at codes (..., d): (..., d, d)."""
        bumps = (self._weights(z) @ self._shapes).reshape(*z.shape, z.shape[-1])
        return bumps + self.floor * torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)

    def root(self, z: Tensor) -> Tensor:
        """Return the lower triangle whose square G⁻¹ is at codes (..., d): (..., d, d)."""
        # Whether it failed is told by NaN: nothing waits for the device to hear of it.
        root, failed = torch.linalg.cholesky_ex(self.inverse(z))
        known: Tensor = root.masked_fill(failed[..., None, None] > 0, torch.nan)
        return known

    def at(self, z: Tensor) -> Tensor:
        """Return G at codes (..., d): (..., d, d)."""
        return torch.cholesky_inverse(self.root(z))

    def log_volume(self, z: Tensor) -> Tensor:
        """Return log √det G⁻¹ at codes (..., d), the log of the uniform density: (...)."""
        return self.root(z).diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def slope(self, z: Tensor, matrix: Tensor) -> Tensor:
        """Return the gradient of Σ Aᵢⱼ G⁻¹ᵢⱼ at codes (..., d), for a matrix A (..., d, d)."""
        weights = self._weights(z) * (matrix.flatten(-2) @ self._shapes.T)
        toward = weights @ self.centres - weights.sum(-1, keepdim=True) * z
        return 2 / self.temperature**2 * toward

    def uniform_slope(self, z: Tensor) -> Tensor:
        """Return the gradient of the log-volume at codes (..., d)."""
        return self.slope(z, self.at(z)) / 2

    def length(self, z: Tensor, others: Tensor) -> Tensor:
        """Return how long lines are from codes (n, d) to others (m, d), by the ends': (n, m)."""
        differences = others - z[:, None]
        first = torch.einsum("nmi,nij,nmj->nm", differences, self.at(z), differences)
        last = torch.einsum("nmi,mij,nmj->nm", differences, self.at(others), differences)
        return (first.clamp_min(0).sqrt() + last.clamp_min(0).sqrt()) / 2

    def energy(self, path: Tensor) -> Tensor:
        """Return the energy n Σ Δᵀ G Δ of a path of n pieces, with G in their middle: a scalar."""
        pieces, middle = path.diff(dim=0), (path[1:] + path[:-1]) / 2
        squares = pieces[:, None] @ self.at(middle) @ pieces[..., None]
        return len(pieces) * squares.sum()

    def geodesic(self, start: Tensor, end: Tensor) -> Tensor:
        """Return a path (n, d) of little energy from start (d,) to end (d,), from the line on."""
        still = replace(self, centres=self.centres.detach(), roots=self.roots.detach())
        share = torch.linspace(0, 1, SEGMENTS + 1, dtype=start.dtype, device=start.device)
        line = torch.lerp(start, end, share[:, None]).detach()
        bend = torch.zeros_like(line[1:-1], requires_grad=True)

        def path() -> Tensor:
            return line + functional.pad(bend, (0, 0, 1, 1))

        def energy() -> Tensor:
            with torch.enable_grad():
                value = still.energy(path())
                (bend.grad,) = torch.autograd.grad(value, bend)
            return value

        search = torch.optim.LBFGS([bend], max_iter=EFFORT, line_search_fn="strong_wolfe")
        descend: Callable[..., object] = search.step
        descend(energy)
        return path().detach()

    @cached_property
    def _shapes(self) -> Tensor:
        """Return Lᵢ Lᵢᵀ, each as a row: (n, d²)."""
        return (self.roots @ self.roots.mT).flatten(1)

    def _weights(self, z: Tensor) -> Tensor:
        """Return exp(-|z - cᵢ|² / T²): (..., n)."""
        squares = z.square().sum(-1, keepdim=True) + self.centres.square().sum(-1)
        return (-(squares - 2 * z @ self.centres.T) / self.temperature**2).exp()


# How often an implicit equation of a step is put into itself.
ROUNDS = 3


@dataclass(frozen=True)
class Riemannian(Code, name="riemannian"):
    """A Hamiltonian code under a metric that is learnt: codes move easily where data lie.

    The metric is G⁻¹(z) = Σ Lᵢ Lᵢᵀ exp(-|z - cᵢ|² / T²) + λ I over some rows kept as anchors, whose
    means cᵢ and triangles Lᵢ the encoder gives. Momenta are drawn from N(0, G); the leapfrog's
    implicit equations are put into themselves three times, so volume is kept but for a rest of
    the step size's fourth power.

    Parameters
    ----------
    anchors : int
        How many rows are kept, evenly spread over those seen.
    temperature : float
        T, how far an anchor reaches.
    floor : float
        λ, the inverse of the metric far away from all anchors.
    steps : int
        How many leapfrog steps.
    longest : float
        No step size is larger; it starts at a fifth of it.
    beta : float
        The weight of the rate; 1 gives the evidence lower bound.
    prior : Prior
        Where codes are expected to lie.

    References
    ----------
    Chadebec, Mantoux and Allassonnière, "Geometry-aware Hamiltonian variational auto-encoder",
    2020. Girolami and Calderhead, "Riemann manifold Langevin and Hamiltonian Monte Carlo methods",
    JRSS B 2011.
    """

    anchors: int = 32
    temperature: float = 1.5
    floor: float = 0.01
    steps: int = 3
    longest: float = 0.1
    beta: float = 1.0
    prior: Prior = field(default_factory=StandardNormal)

    provides = frozenset({"density", "metric"})
    encodes = True

    def width(self, code_size: int) -> int:
        """Return mean and log-variance for each code dimension, and a triangle."""
        return 2 * code_size + code_size * (code_size + 1) // 2

    def noise(self, code_size: int) -> int:
        """Return two normals for each code dimension: for the first draw and its momentum."""
        return 2 * code_size

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; all numbers must be above 0."""
        for setting in ("anchors", "steps"):
            self.counted(setting)
        for setting in ("temperature", "floor", "longest"):
            self.positive(setting)
        return RiemannianModule(self, self.prior.build(code_size, shape), code_size, shape)


class RiemannianModule(HamiltonianModule):
    """Keeps anchors, and lets draws move under the metric that they make."""

    anchors: Tensor

    def __init__(
        self, code: Riemannian, prior: PriorModule, code_size: int, shape: tuple[int, ...]
    ) -> None:
        super().__init__(prior, code_size, code.steps, code.longest, 1)
        self.temperature, self.floor = code.temperature, code.floor
        self.register_buffer("anchors", torch.zeros(code.anchors, *shape))

    def attach(self, encode: Callable[[Tensor], Tensor]) -> None:
        """Keep how the model makes features of anchors."""
        super().attach(encode)
        self.encode = encode

    def on_data(self, values: Tensor, features: Tensor) -> None:
        """Take anchors evenly spread over prepared rows (m, *shape)."""
        super().on_data(values, features)
        count = len(self.anchors)
        rows = torch.arange(count, device=values.device) * len(values) // count
        chosen = values.index_select(0, rows)
        self.anchors.copy_(chosen.to_dense() if chosen.is_sparse else chosen)

    def metric(self) -> Metric:
        """Return the metric that encoder and anchors make."""
        features, d = self.encode(self.anchors), self.code_size
        lower = torch.tril_indices(d, d, device=features.device)
        roots = features.new_zeros(len(features), d, d)
        roots[:, lower[0], lower[1]] = features[:, 2 * d :]
        diagonal = torch.diag_embed(roots.diagonal(dim1=1, dim2=2).exp())
        return Metric(features[:, :d], roots.tril(-1) + diagonal, self.temperature, self.floor)

    def kinetics(self) -> Kinetics:
        """Return how momentum works under the metric."""
        return Curved(self.metric())

    def between(self, start: Tensor, end: Tensor, share: Tensor) -> Tensor:
        """Return the codes a share (s,) along a geodesic of the metric: (s, d)."""
        path = self.metric().geodesic(start, end)
        place = share * (len(path) - 1)
        piece = place.long().clamp(0, len(path) - 2)
        return torch.lerp(path[piece], path[piece + 1], (place - piece)[:, None])

    def distance(self, z: Tensor, others: Tensor) -> Tensor:
        """Return the length of straight lines under the metric, by the trapezoidal rule: (n, m)."""
        return self.metric().length(z, others)


@dataclass(frozen=True)
class Curved(Kinetics):
    """Momenta drawn from N(0, G(z)): the kinetic energy is ρᵀ G⁻¹ ρ / 2 + log √det G.

    Parameters
    ----------
    metric : Metric
    """

    metric: Metric

    def momentum(self, z: Tensor, normal: Tensor) -> Tensor:
        """Return C⁻ᵀ ε, where C Cᵀ = G⁻¹."""
        upper = self.metric.root(z).mT
        solved: Tensor = torch.linalg.solve_triangular(upper, normal[..., None], upper=True)
        return solved[..., 0]

    def log_prob(self, z: Tensor, momentum: Tensor) -> Tensor:
        """Return log N(ρ; 0, G(z))."""
        root = self.metric.root(z)
        white = (root.mT @ momentum[..., None])[..., 0]
        volume = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return volume - 0.5 * (white.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))

    def leap(
        self, z: Tensor, momentum: Tensor, pull: Tensor, slope: Slope, size: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return a step of the generalised leapfrog."""
        metric, half = self.metric.at(z), momentum
        for _ in range(ROUNDS):
            half = momentum + size / 2 * (pull + self._force(z, metric, half))
        speed, goal = self._speed(z, half), z
        for _ in range(ROUNDS):
            goal = z + size / 2 * (speed + self._speed(goal, half))
        pull = slope(goal)
        force = self._force(goal, self.metric.at(goal), half)
        return goal, half + size / 2 * (pull + force), pull

    def _speed(self, z: Tensor, momentum: Tensor) -> Tensor:
        return (self.metric.inverse(z) @ momentum[..., None])[..., 0]

    def _force(self, z: Tensor, metric: Tensor, momentum: Tensor) -> Tensor:
        """Return minus the gradient of the kinetic energy at codes where the metric is known."""
        outer = momentum[..., None] * momentum[..., None, :]
        return self.metric.slope(z, metric - outer) / 2
