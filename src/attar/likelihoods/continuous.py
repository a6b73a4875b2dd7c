"""Likelihoods of real values: Gaussian, Student's t, Laplace, Huber and circular."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from attar.errors import SettingError
from attar.likelihoods.base import (
    LEAST_SCALE,
    ColumnLikelihood,
    Likelihood,
    LikelihoodModule,
    LocationModule,
    Shape,
)

# The scale of reconstructions over the step of their quantization: the rate falls by 11 nats of a
# cell while its squared error grows by a squared step, as it does where coefficients are rounded to
# 0 more often than not.
LOG_ROUNDING = math.log(0.36)


@dataclass(frozen=True)
class FixedGaussian(ColumnLikelihood, name="gaussian"):
    r"""A Gaussian of fixed variance around the decoder's output m: mean squared error.

    .. math:: \log p(x) = -\frac{(x - m)^2}{2 v} - \tfrac12 \log 2πv

    Parameters
    ----------
    variance : float
        v, in units of the prepared data.

    Examples
    --------
    >>> import torch
    >>> from attar.likelihoods import FixedGaussian
    >>> m, x = torch.tensor([[0.0]]), torch.tensor([1.0])
    >>> log_prob = FixedGaussian(variance=0.25).build().log_prob(m, x)
    >>> torch.allclose(log_prob, torch.distributions.Normal(0.0, 0.5).log_prob(x))
    True
    """

    variance: float = 1.0

    def build(self) -> LikelihoodModule:
        """Return the module; the variance must be positive."""
        return FixedGaussianModule(self.positive("variance"))


class FixedGaussianModule(LocationModule):
    """A Gaussian of fixed variance."""

    def __init__(self, variance: float) -> None:
        super().__init__()
        self.variance = variance

    def log_density(self, deviation: Tensor) -> Tensor:
        """Return -(r² / v + log 2πv) / 2."""
        return -0.5 * (deviation.square() / self.variance + math.log(2 * math.pi * self.variance))

    def deviations(self, parameters: Tensor) -> Tensor:
        """Return normal numbers of variance v."""
        return torch.randn_like(parameters) * math.sqrt(self.variance)

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return (m - x) / v."""
        return (parameters - target).div_(self.variance)


@dataclass(frozen=True)
class LearnedGaussian(ColumnLikelihood, name="learned-gaussian"):
    """A Gaussian around the decoder's output with one trained variance for all cells.

    In a table, each column has a variance of its own, of at least 0.03².

    Parameters
    ----------
    start : float
        The variance before training, in units of the prepared data.
    weight : float
        Of the log-density of each cell: below 1 it counts less beside others, as cells that encode
        one value together should.

    Examples
    --------
    The variance starts at 1, the standard normal:

    >>> import torch
    >>> from attar.likelihoods import LearnedGaussian
    >>> module = LearnedGaussian().build()
    >>> print(f"{module.log_prob(torch.zeros(1, 1), torch.zeros(1)).item():.4f}")
    -0.9189

    References
    ----------
    Rybkin, Daniilidis and Levine, "Simple and effective VAE training with calibrated decoders",
    ICML 2021.
    """

    start: float = 1.0
    weight: float = 1.0

    def build(self) -> LikelihoodModule:
        """Return the module; the variance and the weight must be positive."""
        return LearnedGaussianModule(self.positive("start"), self.positive("weight"))

    @classmethod
    def build_columns(cls, columns: Sequence[Self]) -> LikelihoodModule:
        """Return the module with a variance for each column."""
        start, weight = columns[0].positive("start"), columns[0].positive("weight")
        return ColumnsGaussianModule(len(columns), start, weight)


class VarianceModule(LocationModule):
    """A Gaussian with trained variances.

    Parameters
    ----------
    weight : float
        Of the log-density.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    @abstractmethod
    def log_variances(self) -> Tensor:
        """Return log v: one, or one for each column."""

    def log_density(self, deviation: Tensor) -> Tensor:
        """Return -(r² / v + log 2πv) / 2, times the weight."""
        log_variance = self.log_variances()
        squares = deviation.square() * (-log_variance).exp()
        return -0.5 * self.weight * (squares + log_variance + math.log(2 * math.pi))

    def deviations(self, parameters: Tensor) -> Tensor:
        """Return normal numbers of variance v."""
        return torch.randn_like(parameters) * (0.5 * self.log_variances()).exp()


class LearnedGaussianModule(VarianceModule):
    """A Gaussian whose one log-variance is ten times a parameter.

    An optimizer moves each parameter by about its step size, whatever the slope: the log-variance
    has a long way to go, and all else depends on it.
    """

    def __init__(self, start: float, weight: float) -> None:
        super().__init__(weight)
        self.tenth = nn.Parameter(torch.full((), math.log(start) / 10))

    def log_variances(self) -> Tensor:
        """Return log v."""
        return 10 * self.tenth


class ColumnsGaussianModule(VarianceModule):
    """A Gaussian with a variance for each column."""

    def __init__(self, columns: int, start: float = 1.0, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.log_variance = nn.Parameter(torch.full((columns,), math.log(start)))

    def log_variances(self) -> Tensor:
        """Return log v, where v is the squared least scale plus the exponential parameter."""
        return (LEAST_SCALE**2 + self.log_variance.exp()).log()


@dataclass(frozen=True)
class HeteroscedasticGaussian(Likelihood, name="heteroscedastic-gaussian"):
    r"""A Gaussian whose mean and scale are outputs of the decoder, for each cell of images.

    .. math:: \log p(x) = -\frac{(x - m)^2}{2 s^2} - \tfrac12 \log 2πs^2

    The decoder's output has m in its first channels and log(s / 0.36) in the others: of a decoder
    that gives the step of its code's quantization s is about the scale of the error.

    Examples
    --------
    >>> import torch
    >>> from attar.likelihoods import HeteroscedasticGaussian
    >>> module = HeteroscedasticGaussian().build()
    >>> parameters = torch.tensor([[[[[0.0]], [[0.0]]]]])
    >>> print(f"{module.log_prob(parameters, torch.zeros(1, 1, 1, 1)).item():.3f}")
    0.103
    """

    def build(self) -> LikelihoodModule:
        """Return the module."""
        return HeteroscedasticModule()

    def parameters(self, shape: Shape) -> Shape:
        """Return twice the channels of images."""
        return 2 * shape[0], *shape[1:]


class HeteroscedasticModule(LikelihoodModule):
    """A Gaussian of given scales."""

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return -((x - m)² / s² + log 2πs²) / 2."""
        mean, log_scale = self._moments(parameters)
        squares = ((target - mean) * (-log_scale).exp()).square()
        return -0.5 * (squares + 2 * log_scale + math.log(2 * math.pi))

    def mean(self, parameters: Tensor) -> Tensor:
        """Return m."""
        return self._moments(parameters)[0]

    def sample(self, parameters: Tensor) -> Tensor:
        """Return normal numbers of mean m and scale s."""
        mean, log_scale = self._moments(parameters)
        return mean + torch.randn_like(mean) * log_scale.exp()

    def _moments(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_ratio = parameters.chunk(2, -3)
        return mean, log_ratio + LOG_ROUNDING


@dataclass(frozen=True)
class StudentT(ColumnLikelihood, name="student-t"):
    r"""Student's t around the decoder's output with a trained scale; for heavy tails.

    .. math:: \log p(x) = \log \frac{Γ((ν + 1) / 2)}{Γ(ν / 2)} - \tfrac12 \log νπs^2
        - \tfrac{ν + 1}{2} \log(1 + z^2 / ν)

    with :math:`z = (x - m) / s`. The loss of outliers grows with the logarithm of their distance,
    and their gradient vanishes.

    Parameters
    ----------
    freedom : float
        ν, the degrees of freedom: 1 is the Cauchy distribution, and ν → ∞ the Gaussian.

    Examples
    --------
    >>> import torch
    >>> from attar.likelihoods import StudentT
    >>> module = StudentT(freedom=4.0).build()
    >>> m = torch.tensor([[-1.0], [-1000.0]], requires_grad=True)
    >>> module.log_prob(m[None], torch.zeros(2, 1)).sum().backward()
    >>> [round(value, 3) for value in m.grad.flatten().tolist()]
    [0.954, 0.005]

    References
    ----------
    Lange, Little and Taylor, "Robust statistical modeling using the t distribution", JASA 1989.
    """

    freedom: float = 4.0

    def build(self) -> LikelihoodModule:
        """Return the module, with one scale for all cells; the freedom must be positive."""
        return self.build_columns([self])

    @classmethod
    def build_columns(cls, columns: Sequence[Self]) -> LikelihoodModule:
        """Return the module, with a scale for each column."""
        return StudentTModule(columns[0].positive("freedom"), len(columns))


class StudentTModule(LocationModule):
    """Student's t with trained scales."""

    def __init__(self, freedom: float, columns: int) -> None:
        super().__init__()
        self.freedom = freedom
        self.log_scale = nn.Parameter(torch.zeros(columns))
        gammas = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
        self.log_peak = gammas - math.log(freedom * math.pi) / 2

    def log_density(self, deviation: Tensor) -> Tensor:
        """Return log Γ((ν+1)/2)/Γ(ν/2)√νπ - log s - (ν + 1)/2 log(1 + z²/ν)."""
        scale = LEAST_SCALE + self.log_scale.exp()
        squares = (deviation / scale).square()
        tail = (self.freedom + 1) / 2 * torch.log1p(squares / self.freedom)
        return self.log_peak - scale.log() - tail

    def deviations(self, parameters: Tensor) -> Tensor:
        """Return a normal number over the root of a gamma-distributed precision, times s."""
        half = torch.full_like(parameters, self.freedom / 2)
        precision = torch.distributions.Gamma(half, half).sample()
        scale = LEAST_SCALE + self.log_scale.exp()
        return torch.randn_like(parameters) * precision.rsqrt() * scale


@dataclass(frozen=True)
class Laplace(ColumnLikelihood, name="laplace"):
    r"""A Laplace distribution around the decoder's output: mean absolute error.

    .. math:: \log p(x) = -\frac{|x - m|}{b} - \log 2b

    Parameters
    ----------
    scale : float
        b, in units of the prepared data.

    Examples
    --------
    >>> import torch
    >>> from attar.likelihoods import Laplace
    >>> Laplace(scale=0.5).build().log_prob(torch.tensor([[3.0]]), torch.tensor([1.0])).item()
    -4.0
    """

    scale: float = 1.0

    def build(self) -> LikelihoodModule:
        """Return the module; the scale must be positive."""
        return LaplaceModule(self.positive("scale"))


class LaplaceModule(LocationModule):
    """A Laplace distribution of fixed scale."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def log_density(self, deviation: Tensor) -> Tensor:
        """Return -|r| / b - log 2b."""
        return -deviation.abs() / self.scale - math.log(2 * self.scale)

    def deviations(self, parameters: Tensor) -> Tensor:
        """Return exponential numbers of either sign."""
        return self.scale * _signed(torch.empty_like(parameters).exponential_())

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return sign(m - x) / b."""
        return (parameters - target).sign_().div_(self.scale)


@dataclass(frozen=True)
class Huber(ColumnLikelihood, name="huber"):
    r"""Gaussian near the decoder's output and Laplace far from it.

    .. math:: \log p(x) = -h(x - m) - \log\left(
        \sqrt{2π} \, \mathrm{erf} \tfrac{δ}{\sqrt 2} + \tfrac{2}{δ} e^{-δ^2/2}\right)

    with :math:`h(r) = r^2/2` up to :math:`|r| = δ` and :math:`δ|r| - δ^2/2` beyond.

    Parameters
    ----------
    delta : float
        δ, in units of the prepared data.

    Examples
    --------
    >>> import torch
    >>> from attar.likelihoods import Huber
    >>> m, x = torch.tensor([[0.5, 9.0]]), torch.zeros(2)
    >>> Huber(delta=1.0).build().gradient(m, x).tolist()
    [[0.5, 1.0]]

    References
    ----------
    Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 1964.
    """

    delta: float = 1.0

    def build(self) -> LikelihoodModule:
        """Return the module; delta must be positive."""
        return HuberModule(self.positive("delta"))


class HuberModule(LocationModule):
    """Huber's distribution."""

    def __init__(self, delta: float) -> None:
        super().__init__()
        self.delta = delta
        body = math.sqrt(2 * math.pi) * math.erf(delta / math.sqrt(2))
        normalizer = body + 2 / delta * math.exp(-(delta**2) / 2)
        self.log_normalizer, self.near = math.log(normalizer), body / normalizer

    def log_density(self, deviation: Tensor) -> Tensor:
        """Return -h(r) - log Z."""
        distance = deviation.abs()
        near = distance.clamp_max(self.delta)
        return -near * (distance - 0.5 * near) - self.log_normalizer

    def deviations(self, parameters: Tensor) -> Tensor:
        """Return normal numbers within ±δ, and as often as it is likely exponential ones beyond."""
        uniform = torch.rand_like(parameters) * math.erf(self.delta / math.sqrt(2))
        body = math.sqrt(2) * torch.erfinv(uniform)
        tail = self.delta + torch.empty_like(parameters).exponential_(self.delta)
        return _signed(body.where(torch.rand_like(parameters) < self.near, tail))

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return m - x, clipped at ±δ."""
        return (parameters - target).clamp_(-self.delta, self.delta)


def _signed(distances: Tensor) -> Tensor:
    """Return numbers with a random sign."""
    return torch.where(torch.rand_like(distances) < 0.5, distances, -distances)


# Far below any concentration that matters; it keeps the gradient of a square root finite at zero.
TINY = 1e-12


@dataclass(frozen=True)
class Circular(ColumnLikelihood, name="circular"):
    r"""The von Mises distribution of an angle θ that is prepared as two cells, (cos θ, sin θ).

    .. math:: \log p(θ) = a \cos θ + b \sin θ - \log 2π I_0(κ), \quad κ = \sqrt{a^2 + b^2}

    κ is the concentration, and (a, b) the decoder's output. It is the density of the angle, in
    radians, half of it in each cell.

    Examples
    --------
    Without concentration, all angles have the density 1 / 2π:

    >>> import torch
    >>> from attar.likelihoods import Circular
    >>> log_prob = Circular().build().log_prob(torch.zeros(1, 2), torch.tensor([0.6, 0.8]))
    >>> print(f"{1 / log_prob.sum().exp().item():.4f}")
    6.2832

    References
    ----------
    Mardia and Jupp, "Directional statistics", 2000.
    """

    @property
    def cells(self) -> int:
        """Cosine and sine."""
        return 2

    def build(self) -> LikelihoodModule:
        """Return the module."""
        return CircularModule()

    def parameters(self, shape: Shape) -> Shape:
        """Return the shape of a row, whose last axis must be made of pairs."""
        if shape[-1] % 2:
            raise SettingError(
                f"The likelihood 'circular' needs pairs of cosine and sine, but the prepared rows "
                f"have {shape[-1]} cells: use 'mixed' for several columns."
            )
        return shape


class CircularModule(LikelihoodModule):
    """The von Mises distribution of each pair of cells."""

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return (a cos θ + b sin θ - log 2π I₀(κ)) / 2."""
        pairs, angles = _pairs(parameters), _pairs(target)
        kappa = (pairs.square().sum(-1) + TINY).sqrt()
        log_normalizer = kappa + torch.special.i0e(kappa).log() + math.log(2 * math.pi)
        half: Tensor = 0.5 * ((pairs * angles).sum(-1) - log_normalizer)
        return half.unsqueeze(-1).expand_as(pairs).flatten(-2)

    def start(self, target: Tensor) -> Tensor:
        """Return cosine and sine, with κ = 2."""
        return 2 * target

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected cosine and sine: (a, b) / κ · I₁(κ) / I₀(κ)."""
        pairs = _pairs(parameters)
        kappa = (pairs.square().sum(-1, keepdim=True) + TINY).sqrt()
        length: Tensor = torch.special.i1e(kappa) / torch.special.i0e(kappa)
        return (pairs * length / kappa).flatten(-2)

    def sample(self, parameters: Tensor) -> Tensor:
        """Return cosine and sine of angles drawn around that of (a, b)."""
        a, b = _pairs(parameters).unbind(-1)
        kappa = (a.square() + b.square() + TINY).sqrt()
        draws = torch.distributions.VonMises(torch.atan2(b, a), kappa)
        angle: Tensor = draws.sample()  # type: ignore[no-untyped-call]
        return torch.stack([angle.cos(), angle.sin()], -1).flatten(-2)


def _pairs(rows: Tensor) -> Tensor:
    return rows.reshape(*rows.shape[:-1], -1, 2)
