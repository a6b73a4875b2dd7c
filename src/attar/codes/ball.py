"""The hyperbolic code: a point of the Poincaré ball for each row, where trees have room."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.errors import SettingError
from attar.priors import Prior, PriorModule, log_normal, moments
from attar.records import Coded


@dataclass(frozen=True)
class Ball:
    """The Poincaré ball of curvature -c: |x| < 1/√c, with the metric (2 / (1 - c|x|²))² dx².

    Vectors at the origin are as long as the way that they go.

    Parameters
    ----------
    curvature : float
        c.

    References
    ----------
    Ungar, "A gyrovector space approach to hyperbolic geometry", 2008.
    """

    curvature: float

    @property
    def root(self) -> float:
        """√c."""
        return math.sqrt(self.curvature)

    def out(self, vectors: Tensor) -> Tensor:
        """Return where vectors (..., d) lead from the origin: tanh(√c|v|/2) v / (√c|v|)."""
        length = _length(vectors)
        return (self.root * length / 2).tanh() / (self.root * length) * vectors

    def back(self, points: Tensor) -> Tensor:
        """Return the vectors that lead from the origin to points (..., d)."""
        length = _length(points)
        return 2 * (self.root * length).atanh() / (self.root * length) * points

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """Return x ⊕ y, the point that is to x what y is to the origin; -x ⊕ (x ⊕ y) = y."""
        c, product = self.curvature, (x * y).sum(-1, keepdim=True)
        xx, yy = x.square().sum(-1, keepdim=True), y.square().sum(-1, keepdim=True)
        sum_ = (1 + 2 * c * product + c * yy) * x + (1 - c * xx) * y
        return self.inside(sum_ / (1 + 2 * c * product + c**2 * xx * yy))

    def inside(self, points: Tensor) -> Tensor:
        """Return points (..., d), those at the rim or beyond it moved inside."""
        margin = 64 * torch.finfo(points.dtype).eps
        length = self.root * _length(points)
        return torch.where(length < 1 - margin, points, points * ((1 - 2 * margin) / length))

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the length of the way from points (n, d) to others (m, d): (n, m)."""
        distances = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
        x, y = (1 - self.curvature * points.square().sum(-1) for points in (x, y))
        return 2 / self.root * (self.root * distances / (x[:, None] * y).sqrt()).asinh()

    def far(self, first: Tensor, then: Tensor) -> Tensor:
        """Return how far exp₀(first) ⊕ exp₀(then) is from the origin: (..., 1).

        By the law of cosines, cosh r = cosh a cosh b + sinh a sinh b cos θ, which knows the way
        beyond where points are told from the rim.
        """
        tiny = torch.finfo(first.dtype).tiny
        a, b = _length(first), _length(then)
        cosine = ((first / a) * (then / b)).sum(-1, keepdim=True).clamp(-1, 1)
        a, b = -2 * self.root * a, -2 * self.root * b
        # Cosh r as a logarithm, since it overflows.
        parts = 2 * (a.exp() + b.exp()) + a.expm1() * b.expm1() * (1 + cosine)
        log_cosh = (parts / 4).clamp_min(tiny).log() - (a + b) / 2
        tanh = (-(-2 * log_cosh).expm1()).clamp_min(tiny).sqrt()
        return (log_cosh + tanh.log1p()) / self.root

    def log_volume(self, length: Tensor, size: int) -> Tensor:
        """Return how far directions have spread at the end of ways of a length, as a log.

        The log of (sinh(√c r) / (√c r))^(d-1), the volume there over that of flat space.
        """
        length = self.root * length
        return (size - 1) * (length + (-(-2 * length).expm1() / (2 * length)).log())


@dataclass(frozen=True)
class WrappedNormal(Prior, name="wrapped-normal"):
    """A standard normal wrapped around the Poincaré ball, from its origin.

    Densities are for the ball's own volume.

    Parameters
    ----------
    curvature : float
        c > 0, where the ball's curvature is -c.

    References
    ----------
    Nagano, Yamaguchi, Fujita and Koyama, "A wrapped normal distribution on hyperbolic space for
    gradient-based learning", ICML 2019.
    """

    curvature: float = 1.0

    needs = frozenset({"ball"})

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> WrappedNormalModule:
        """Return the module; the curvature must be above 0."""
        return WrappedNormalModule(Ball(self.positive("curvature")), code_size)


class WrappedNormalModule(PriorModule):
    """The wrapped standard normal."""

    def __init__(self, ball: Ball, code_size: int) -> None:
        super().__init__()
        self.ball, self.code_size = ball, code_size

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log N(v; 0, I) - log volume, where v leads to z (..., d): (...)."""
        return self.log_prob_at(_length(self.ball.back(z))[..., 0])

    def log_prob_at(self, length: Tensor) -> Tensor:
        """Return the log-density where ways of a length (...) from the origin end: (...)."""
        normal = -0.5 * (length.square() + self.code_size * math.log(2 * math.pi))
        return normal - self.ball.log_volume(length, self.code_size)

    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return ``n`` points of the ball: (n, code_size)."""
        return self.ball.inside(self.ball.out(torch.randn(n, self.code_size, generator=generator)))


@dataclass(frozen=True)
class Poincare(Code, name="poincare"):
    """A wrapped normal in the Poincaré ball: z = μ ⊕ exp₀(σ ε), with μ = exp₀(features).

    The rate is log q(z|x) - log p(z) at the draw. The decoder sees the vector that leads from the
    origin to z; both it and the features are as long as the way.

    Parameters
    ----------
    beta : float
        The weight of the rate; 1 gives the evidence lower bound.
    prior : WrappedNormal
        Where codes are expected to lie; its curvature is the ball's.

    References
    ----------
    Mathieu, Le Lan, Maddison, Tomioka and Teh, "Continuous hierarchical representations with
    Poincaré variational auto-encoders", NeurIPS 2019. Nagano, Yamaguchi, Fujita and Koyama, "A
    wrapped normal distribution on hyperbolic space for gradient-based learning", ICML 2019.
    """

    beta: float = 1.0
    prior: WrappedNormal = field(default_factory=WrappedNormal)

    provides = frozenset({"density", "ball"})

    def width(self, code_size: int) -> int:
        """Return two features, mean and log-variance, for each code dimension."""
        return 2 * code_size

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; the prior must be of the ball."""
        if not isinstance(self.prior, WrappedNormal):
            raise SettingError(f"The prior of {self!r} must be a WrappedNormal of the ball.")
        return PoincareModule(self.prior.build(code_size, shape))


class PoincareModule(CodeModule):
    """Reads mean and log-variance from the features and draws in the ball."""

    prior: WrappedNormalModule

    def __init__(self, prior: WrappedNormalModule) -> None:
        super().__init__(prior)
        self.ball = prior.ball

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return draws of the posterior, and log q - log p at each."""
        mean, log_variance = moments(features)
        epsilon = torch.randn_like(log_variance)[None] if noise is None else noise
        v = epsilon * (0.5 * log_variance).exp()
        z = self.ball.add(self.point(features), self.ball.out(v))
        length = _length(v)[..., 0]
        log_q = log_normal(epsilon, log_variance) - self.ball.log_volume(length, v.shape[-1])
        far = self.ball.far(mean.double(), v.double())[..., 0]
        log_p = self.prior.log_prob_at(far).to(z.dtype)
        return Coded(z, log_q - log_p, log_q, log_p)

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the posterior's centre: (B, d)."""
        return self.ball.inside(self.ball.out(features.chunk(2, dim=-1)[0]))

    def decoder_input(self, z: Tensor) -> Tensor:
        """Return the vectors that lead from the origin to codes (n, d): (n, d)."""
        return self.ball.back(self.ball.inside(z))

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes (n, d), those at the rim or beyond it moved inside."""
        return self.ball.inside(z)

    def between(self, start: Tensor, end: Tensor, share: Tensor) -> Tensor:
        """Return the points a share (s,) of the shortest way from start to end: (s, d)."""
        # Single precision has no difference of points at the rim.
        first, last = start.double(), end.double()
        way = self.ball.back(self.ball.add(-first, last))
        return self.ball.add(first, self.ball.out(share[:, None] * way)).to(start)

    def distance(self, z: Tensor, others: Tensor) -> Tensor:
        """Return the length of the shortest way from codes (n, d) to others (m, d): (n, m)."""
        return self.ball.distance(z, others)


def _length(vectors: Tensor) -> Tensor:
    """Return the lengths of vectors (..., d), a hair above zero at least: (..., 1)."""
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return length.clamp_min(torch.finfo(vectors.dtype).tiny ** 0.5)
