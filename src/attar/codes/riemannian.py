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
from attar.codes.hamiltonian import Gradient, HamiltonianModule, Kinetics
from attar.priors import Prior, PriorModule, StandardNormal

# Pieces of a geodesic, and iterations of the search for it.
SEGMENTS, ITERATIONS = 16, 60

# Fixed-point iterations for an implicit equation of the leapfrog.
FIXED_POINT_ITERATIONS = 3


@dataclass(frozen=True)
class Metric:
    """The metric tensor G(z), defined by its inverse: G⁻¹(z) = Σ Lᵢ Lᵢᵀ exp(-|z - cᵢ|² / T²) + λ I.

    Parameters
    ----------
    centres : Tensor (n, d)
        cᵢ.
    roots : Tensor (n, d, d)
        Lᵢ, lower triangular.
    temperature : float
        T, the length scale of the anchors.
    floor : float
        λ: the metric is I / λ far from all anchors.

    Examples
    --------
    At the only anchor G⁻¹ = L Lᵀ + λ I:

    >>> import torch
    >>> from attar.codes.riemannian import Metric
    >>> eye = torch.eye(2)
    >>> metric = Metric(torch.zeros(1, 2), eye[None], temperature=1.0, floor=0.25)
    >>> metric.inverse(torch.zeros(2))
    tensor([[1.2500, 0.0000],
            [0.0000, 1.2500]])
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
        """Return the Cholesky factor of G⁻¹ at codes (..., d): (..., d, d)."""
        # Failures become NaN, as raising an error would synchronize with the device.
        root, failed = torch.linalg.cholesky_ex(self.inverse(z))
        valid: Tensor = root.masked_fill(failed[..., None, None] > 0, torch.nan)
        return valid

    def at(self, z: Tensor) -> Tensor:
        """Return G at codes (..., d): (..., d, d)."""
        return torch.cholesky_inverse(self.root(z))

    def log_volume(self, z: Tensor) -> Tensor:
        """Return log √det G⁻¹ at codes (..., d), the log of the uniform density: (...)."""
        return self.root(z).diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def gradient(self, z: Tensor, matrix: Tensor) -> Tensor:
        """Return the gradient of Σ Aᵢⱼ G⁻¹ᵢⱼ at codes (..., d), for a matrix A (..., d, d)."""
        weights = self._weights(z) * (matrix.flatten(-2) @ self._shapes.T)
        weighted = weights @ self.centres - weights.sum(-1, keepdim=True) * z
        return 2 / self.temperature**2 * weighted

    def log_volume_gradient(self, z: Tensor) -> Tensor:
        """Return the gradient of the log-volume at codes (..., d)."""
        return self.gradient(z, self.at(z)) / 2

    def distance(self, z: Tensor, others: Tensor) -> Tensor:
        """Return the lengths of straight lines from codes (n, d) to others (m, d): (n, m).

        They are integrated by the trapezoidal rule.
        """
        differences = others - z[:, None]
        first = torch.einsum("nmi,nij,nmj->nm", differences, self.at(z), differences)
        last = torch.einsum("nmi,mij,nmj->nm", differences, self.at(others), differences)
        return (first.clamp_min(0).sqrt() + last.clamp_min(0).sqrt()) / 2

    def energy(self, path: Tensor) -> Tensor:
        """Return the energy n Σ Δᵀ G Δ of a path of n pieces, with G at midpoints: a scalar."""
        pieces, middle = path.diff(dim=0), (path[1:] + path[:-1]) / 2
        squares = pieces[:, None] @ self.at(middle) @ pieces[..., None]
        return len(pieces) * squares.sum()

    def geodesic(self, start: Tensor, end: Tensor) -> Tensor:
        """Return a path (n, d) of minimal energy from start (d,) to end (d,)."""
        metric = replace(self, centres=self.centres.detach(), roots=self.roots.detach())
        fraction = torch.linspace(0, 1, SEGMENTS + 1, dtype=start.dtype, device=start.device)
        line = torch.lerp(start, end, fraction[:, None]).detach()
        offsets = torch.zeros_like(line[1:-1], requires_grad=True)

        def path() -> Tensor:
            return line + functional.pad(offsets, (0, 0, 1, 1))

        def energy() -> Tensor:
            with torch.enable_grad():
                value = metric.energy(path())
                (offsets.grad,) = torch.autograd.grad(value, offsets)
            return value

        search = torch.optim.LBFGS([offsets], max_iter=ITERATIONS, line_search_fn="strong_wolfe")
        descend: Callable[..., object] = search.step
        descend(energy)
        return path().detach()

    @cached_property
    def _shapes(self) -> Tensor:
        """Return Lᵢ Lᵢᵀ, flattened: (n, d²)."""
        return (self.roots @ self.roots.mT).flatten(1)

    def _weights(self, z: Tensor) -> Tensor:
        """Return exp(-|z - cᵢ|² / T²): (..., n)."""
        squares = z.square().sum(-1, keepdim=True) + self.centres.square().sum(-1)
        return (-(squares - 2 * z @ self.centres.T) / self.temperature**2).exp()


@dataclass(frozen=True)
class Riemannian(Code, name="riemannian"):
    """A Hamiltonian code under a trained metric that is small near the data.

    The metric is G⁻¹(z) = Σ Lᵢ Lᵢᵀ exp(-|z - cᵢ|² / T²) + λ I over some training rows, the anchors,
    whose means cᵢ and triangular Lᵢ are the encoder's. Momenta are sampled from N(0, G). The
    generalized leapfrog solves its implicit equations by three fixed-point iterations, so its
    error in volume is of fourth order in the step size.

    Parameters
    ----------
    anchors : int
        The number of training rows stored, evenly spaced.
    temperature : float
        T, the length scale of the anchors.
    floor : float
        λ, the inverse of the metric far from all anchors.
    steps : int
        The number of leapfrog steps.
    max_step_size : float
        The upper bound of the step size, which is initialized to a fifth of it.
    beta : float
        The weight of the rate; 1 gives the evidence lower bound.
    prior : Prior

    Examples
    --------
    >>> from attar.codes import Riemannian
    >>> Riemannian().width(3)  # 3 means, 3 log-variances, and 6 entries of a triangle
    12

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
    max_step_size: float = 0.1
    beta: float = 1.0
    prior: Prior = field(default_factory=StandardNormal)

    provides = frozenset({"density", "metric"})
    encodes = True

    def width(self, code_size: int) -> int:
        """Return mean and log-variance of each code dimension, and a triangular matrix."""
        return 2 * code_size + code_size * (code_size + 1) // 2

    def noise(self, code_size: int) -> int:
        """Return two normals for each code dimension, for position and momentum."""
        return 2 * code_size

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; all hyperparameters must be above 0."""
        for setting in ("anchors", "steps"):
            self.positive_integer(setting)
        for setting in ("temperature", "floor", "max_step_size"):
            self.positive(setting)
        return RiemannianModule(self, self.prior.build(code_size, shape), code_size, shape)


class RiemannianModule(HamiltonianModule):
    """Stores anchors, and moves samples under their metric."""

    anchors: Tensor

    def __init__(
        self, code: Riemannian, prior: PriorModule, code_size: int, shape: tuple[int, ...]
    ) -> None:
        super().__init__(prior, code_size, code.steps, code.max_step_size, 1)
        self.temperature, self.floor = code.temperature, code.floor
        self.register_buffer("anchors", torch.zeros(code.anchors, *shape))

    def attach(self, encode: Callable[[Tensor], Tensor]) -> None:
        """Keep the encoder, for the anchors."""
        super().attach(encode)
        self.encode = encode

    def on_data(self, values: Tensor, features: Tensor) -> None:
        """Take evenly spaced prepared rows (m, *shape) as anchors."""
        super().on_data(values, features)
        count = len(self.anchors)
        rows = torch.arange(count, device=values.device) * len(values) // count
        chosen = values.index_select(0, rows)
        self.anchors.copy_(chosen.to_dense() if chosen.is_sparse else chosen)

    def metric(self) -> Metric:
        """Return the metric of the encoded anchors."""
        features, d = self.encode(self.anchors), self.code_size
        lower = torch.tril_indices(d, d, device=features.device)
        roots = features.new_zeros(len(features), d, d)
        roots[:, lower[0], lower[1]] = features[:, 2 * d :]
        diagonal = torch.diag_embed(roots.diagonal(dim1=1, dim2=2).exp())
        return Metric(features[:, :d], roots.tril(-1) + diagonal, self.temperature, self.floor)

    def kinetics(self) -> Kinetics:
        """Return the kinetics of the metric."""
        return RiemannianKinetics(self.metric())

    def interpolate(self, start: Tensor, end: Tensor, fraction: Tensor) -> Tensor:
        """Return the codes at fractions (s,) of a geodesic of the metric: (s, d)."""
        path = self.metric().geodesic(start, end)
        position = fraction * (len(path) - 1)
        piece = position.long().clamp(0, len(path) - 2)
        return torch.lerp(path[piece], path[piece + 1], (position - piece)[:, None])

    def distance(self, z: Tensor, others: Tensor) -> Tensor:
        """Return the lengths of straight lines under the metric: (n, m)."""
        return self.metric().distance(z, others)


@dataclass(frozen=True)
class RiemannianKinetics(Kinetics):
    """Momenta from N(0, G(z)): the kinetic energy is ρᵀ G⁻¹ ρ / 2 + log √det G.

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
        self, z: Tensor, momentum: Tensor, force: Tensor, gradient: Gradient, size: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the state after a step of the generalized leapfrog."""
        metric, half = self.metric.at(z), momentum
        for _ in range(FIXED_POINT_ITERATIONS):
            half = momentum + size / 2 * (force + self._kinetic_force(z, metric, half))
        velocity, end = self._velocity(z, half), z
        for _ in range(FIXED_POINT_ITERATIONS):
            end = z + size / 2 * (velocity + self._velocity(end, half))
        force = gradient(end)
        kinetic_force = self._kinetic_force(end, self.metric.at(end), half)
        return end, half + size / 2 * (force + kinetic_force), force

    def _velocity(self, z: Tensor, momentum: Tensor) -> Tensor:
        return (self.metric.inverse(z) @ momentum[..., None])[..., 0]

    def _kinetic_force(self, z: Tensor, metric: Tensor, momentum: Tensor) -> Tensor:
        """Return minus the gradient of the kinetic energy at codes, given the metric there."""
        outer = momentum[..., None] * momentum[..., None, :]
        return self.metric.gradient(z, metric - outer) / 2
