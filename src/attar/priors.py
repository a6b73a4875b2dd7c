"""Priors: the distribution of codes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Generator, Tensor, nn

from attar.errors import SettingError
from attar.networks.mlp import hidden_features
from attar.parts import Part

# Log-variances are clamped to this range: beyond it their exponentials may overflow.
MAX_LOG_VARIANCE = 30.0


class PriorModule(nn.Module, ABC):
    """A distribution over codes."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log-density of codes (..., d): (...)."""

    def divergence(self, mean: Tensor, log_variance: Tensor) -> Tensor | None:
        """Return KL(N(mean, variance) || prior) in nats of each row (..., d): (...).

        None where there is no closed form.
        """
        return None

    @abstractmethod
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return ``n`` codes, on the CPU: (n, code_size)."""

    def attach(self, encode: Callable[[Tensor], Tensor]) -> None:
        """Receive the model's map from prepared values to features; see ``CodeModule.attach``."""

    def on_data(self, values: Tensor) -> None:
        """Initialize from prepared rows (m, *shape), before the first step of training."""


class Prior(Part):
    """A distribution of codes, fixed or trained with the model.

    Attributes
    ----------
    encodes : bool
        Whether it encodes rows of its own.
    """

    encodes: ClassVar[bool] = False

    @abstractmethod
    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module, for codes of prepared rows of a shape."""


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and log-variance (..., d), the halves of features (..., 2 d).

    The log-variance is clamped, as rows far from the training data would make it overflow.
    """
    mean, log_variance = features.chunk(2, dim=-1)
    return mean, log_variance.clamp(-MAX_LOG_VARIANCE, MAX_LOG_VARIANCE)


def log_density(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return log N(z; μ, σ²) of codes (..., d): (...)."""
    return log_normal((z - mean) * (-0.5 * log_variance).exp(), log_variance)


def log_normal(epsilon: Tensor, log_variance: Tensor) -> Tensor:
    """Return log N(μ + σ ε; μ, σ²) of codes (..., d): (...)."""
    return -0.5 * (epsilon.square() + log_variance + math.log(2 * math.pi)).sum(-1)


def sample_normal(mean: Tensor, log_variance: Tensor, generator: Generator | None = None) -> Tensor:
    """Return one sample of each Gaussian (n, d), on the CPU: (n, d)."""
    epsilon = torch.randn(mean.shape, dtype=mean.dtype, generator=generator).to(mean.device)
    return (mean + (0.5 * log_variance).exp() * epsilon).cpu()


@dataclass(frozen=True)
class StandardNormal(Prior, name="standard-normal"):
    """Independent standard normals: p(z) = N(0, I).

    Examples
    --------
    >>> import torch
    >>> from attar.priors import StandardNormal
    >>> StandardNormal().build(2).log_prob(torch.zeros(1, 2))  # -log 2π
    tensor([-1.8379])
    """

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module."""
        return StandardNormalModule(code_size)


class StandardNormalModule(PriorModule):
    """The standard normal, with its closed-form divergence from a diagonal Gaussian."""

    def __init__(self, code_size: int) -> None:
        super().__init__()
        self.code_size = code_size

    def log_prob(self, z: Tensor) -> Tensor:
        """Return -(|z|² + d log 2π) / 2."""
        return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))

    def divergence(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Return Σ (μ² + σ² - 1 - log σ²) / 2."""
        return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(-1)

    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return ``n`` standard normal codes: (n, code_size)."""
        return torch.randn(n, self.code_size, generator=generator)


class Components(NamedTuple):
    """The Gaussians of a mixture.

    Attributes
    ----------
    log_weights : Tensor (components,)
    means, log_variances : Tensor (components, d)
    """

    log_weights: Tensor
    means: Tensor
    log_variances: Tensor


class MixtureModule(PriorModule):
    """A mixture of diagonal Gaussians."""

    @abstractmethod
    def components(self) -> Components:
        """Return the Gaussians."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log Σ π_k N(z; μ_k, σ_k²)."""
        return self._joint(z).logsumexp(-1)

    def responsibilities(self, z: Tensor) -> Tensor:
        """Return the posterior probability of each component given codes: (..., components)."""
        return self._joint(z).softmax(-1)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return samples of components that are drawn by their weights: (n, code_size)."""
        log_weights, means, log_variances = self.components()
        weights = log_weights.exp().cpu()
        chosen = torch.multinomial(weights, n, replacement=True, generator=generator)
        return sample_normal(means[chosen], log_variances[chosen], generator)

    def _joint(self, z: Tensor) -> Tensor:
        """Return log π_k + log N(z; μ_k, σ_k²): (..., components)."""
        log_weights, means, log_variances = self.components()
        return log_weights + log_density(z[..., None, :], means, log_variances)


@dataclass(frozen=True)
class Mixture(Prior, name="mixture"):
    r"""A trained mixture of diagonal Gaussians.

    .. math:: p(z) = \sum_k π_k \, N(z; μ_k, σ_k^2)

    Parameters
    ----------
    components : int

    Examples
    --------
    >>> from attar.priors import Mixture
    >>> prior = Mixture(components=4).build(code_size=2)
    >>> prior.components().log_weights.exp().tolist()  # equal before training
    [0.25, 0.25, 0.25, 0.25]

    References
    ----------
    Jiang, Zheng, Tan, Tang and Zhou, "Variational deep embedding: an unsupervised and generative
    approach to clustering", IJCAI 2017.
    """

    components: int = 10

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module, with means drawn from a standard normal and variances 1."""
        return LearnedMixtureModule(self.positive_integer("components"), code_size)


class LearnedMixtureModule(MixtureModule):
    """A mixture whose weights, means and variances are parameters."""

    def __init__(self, components: int, code_size: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, code_size))
        self.log_variances = nn.Parameter(torch.zeros(components, code_size))

    def components(self) -> Components:
        """Return the parameters as Gaussians."""
        return Components(self.logits.log_softmax(-1), self.means, self.log_variances)


@dataclass(frozen=True)
class Vamp(Prior, name="vamp"):
    r"""The mean posterior of K trained pseudo-inputs u.

    .. math:: p(z) = \frac{1}{K} \sum_k q(z|u_k)

    With all training rows as u it would be the optimal prior, the aggregate posterior.

    Parameters
    ----------
    components : int
        K; the pseudo-inputs are initialized to training rows.

    Examples
    --------
    A pseudo-input with the posterior N(0, 1):

    >>> import torch
    >>> from attar.priors import Vamp
    >>> prior = Vamp(components=1).build(code_size=1, shape=(2,))
    >>> prior.attach(lambda values: values)
    >>> prior.on_data(torch.zeros(1, 2))
    >>> round(prior.log_prob(torch.zeros(1)).item(), 4)  # -log √(2π)
    -0.9189

    References
    ----------
    Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018.
    """

    components: int = 50

    needs = frozenset({"moments"})
    encodes = True

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module."""
        return VampModule(self.positive_integer("components"), code_size, shape)


class VampModule(MixtureModule):
    """An equally weighted mixture of the posteriors of pseudo-inputs."""

    def __init__(self, components: int, code_size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.code_size = code_size
        self.pseudo_inputs = nn.Parameter(torch.randn(components, *shape))

    def attach(self, encode: Callable[[Tensor], Tensor]) -> None:
        """Keep the encoder: a method of the model, so it is copied along with the model."""
        self.encode = encode

    @torch.no_grad()
    def on_data(self, values: Tensor) -> None:
        """Take evenly spaced rows, with a little noise on those taken repeatedly."""
        wanted, rows = len(self.pseudo_inputs), len(values)
        order = torch.arange(wanted, device=values.device)
        taken = values.to_dense()[order * max(wanted, rows) // wanted % rows]
        repeated = order >= rows
        # Equal rows would have equal gradients, and stay equal.
        noise = 0.01 * torch.randn_like(taken) * repeated.reshape(-1, *[1] * (taken.ndim - 1))
        self.pseudo_inputs.copy_(taken + noise)

    def components(self) -> Components:
        """Return the posteriors of the pseudo-inputs.

        Raises
        ------
        SettingError
            If the features are not mean and log-variance.
        """
        features = self.encode(self.pseudo_inputs)
        if features.shape[1] != 2 * self.code_size:
            raise SettingError(
                "The prior 'vamp' needs a Gaussian code: use Gaussian(prior=Vamp())."
            )
        log_weights = features.new_full((len(features),), -math.log(len(features)))
        return Components(log_weights, *moments(features))


@dataclass(frozen=True)
class NormalizingFlow(Prior, name="flow"):
    r"""A neural spline flow to a standard normal.

    .. math:: \log p(z) = \log N(f(z); 0, I) + \log |\det f'(z)|

    Each transform of f is autoregressive: a monotonic spline in each dimension, whose knots depend
    on the dimensions before it; their order is reversed after each transform. Outside [-5, 5] it is
    the identity.

    Parameters
    ----------
    transforms : int
    widths : tuple of int
        Units in each hidden layer of a transform's network, at least the code size.
    bins : int
        Pieces of each spline.

    Examples
    --------
    >>> import torch
    >>> from attar.priors import NormalizingFlow, StandardNormal
    >>> flow, normal = (prior.build(2) for prior in (NormalizingFlow(), StandardNormal()))
    >>> outside = torch.tensor([[7.0, -9.0]])
    >>> torch.allclose(flow.log_prob(outside), normal.log_prob(outside))
    True

    References
    ----------
    Durkan, Bekasov, Murray and Papamakarios, "Neural spline flows", NeurIPS 2019. As a prior:
    Chen et al., "Variational lossy autoencoder", ICLR 2017.
    """

    transforms: int = 2
    widths: tuple[int, ...] = (64,)
    bins: int = 8

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module; it needs at least one transform and two bins."""
        transforms, bins = self.positive_integer("transforms"), self.positive_integer("bins")
        if bins < 2:
            raise SettingError(f"The bins of {self!r} must be at least 2.")
        return NormalizingFlowModule(
            code_size, transforms, hidden_features(code_size, self.widths, 3 * bins - 1), bins
        )


class NormalizingFlowModule(PriorModule):
    """zuko's neural spline flow, from codes to standard normals."""

    def __init__(self, code_size: int, transforms: int, widths: list[int], bins: int) -> None:
        from zuko.flows import NSF

        super().__init__()
        self.code_size = code_size
        with torch.device("cpu"):
            self.flow = NSF(
                code_size,
                transforms=transforms,
                bins=bins,
                hidden_features=widths,
                activation=nn.SiLU,
            )

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log N(f(z)) + log |det f'(z)|."""
        log_prob: Tensor = self.flow().log_prob(z)
        return log_prob

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return f⁻¹ of standard normals: (n, code_size)."""
        normals = torch.randn(n, self.code_size, generator=generator)
        z: Tensor = self.flow().transform.inv(normals.to(next(self.parameters())))
        return z.cpu()
