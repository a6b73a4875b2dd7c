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
from attar.networks.masked import hidden_features
from attar.parts import Part


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
        """Hear how the model makes features of prepared values; see ``CodeModule.attach``."""

    def on_data(self, values: Tensor) -> None:
        """Look at prepared rows (m, *shape), before the first step of training."""


class Prior(Part):
    """Where codes are expected to lie.

    Attributes
    ----------
    encodes : bool
        Whether it asks the encoder for features of rows of its own.
    """

    encodes: ClassVar[bool] = False

    @abstractmethod
    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module, for codes of a size made of rows of a prepared shape."""


# No code worth learning has a log-variance beyond it, and one that has may overflow.
LARGEST = 30.0


@dataclass(frozen=True)
class StandardNormal(Prior, name="standard-normal"):
    """Independent standard normals: p(z) = N(0, I)."""

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module."""
        return StandardNormalModule(code_size)


class StandardNormalModule(PriorModule):
    """The standard normal, with its closed-form divergence from a diagonal gaussian."""

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


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and log-variance (..., d) that features (..., 2 d) say.

    The log-variance is cut where a row far from all that was learnt would bring it to overflow.
    """
    mean, log_variance = features.chunk(2, dim=-1)
    return mean, log_variance.clamp(-LARGEST, LARGEST)


def log_density(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return log N(z; μ, σ²) of codes (..., d): (...)."""
    return log_normal((z - mean) * (-0.5 * log_variance).exp(), log_variance)


def log_normal(epsilon: Tensor, log_variance: Tensor) -> Tensor:
    """Return log N(μ + σ ε; μ, σ²) of codes (..., d): (...)."""
    return -0.5 * (epsilon.square() + log_variance + math.log(2 * math.pi)).sum(-1)


def drawn(mean: Tensor, log_variance: Tensor, generator: Generator | None = None) -> Tensor:
    """Return a draw of each of the gaussians (n, d), on the CPU: (n, d)."""
    epsilon = torch.randn(mean.shape, dtype=mean.dtype, generator=generator).to(mean.device)
    return (mean + (0.5 * log_variance).exp() * epsilon).cpu()


@dataclass(frozen=True)
class Mixture(Prior, name="mixture"):
    """A mixture of diagonal gaussians that is learnt: p(z) = Σ π_k N(z; μ_k, σ_k²).

    Parameters
    ----------
    components : int

    References
    ----------
    Jiang, Zheng, Tan, Tang and Zhou, "Variational deep embedding: an unsupervised and generative
    approach to clustering", IJCAI 2017.
    """

    components: int = 10

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module, its gaussians spread like a standard normal."""
        return LearnedMixtureModule(self.positive_integer("components"), code_size)


class Components(NamedTuple):
    """The gaussians of a mixture.

    Attributes
    ----------
    log_weights : Tensor (components,)
    means, log_variances : Tensor (components, d)
    """

    log_weights: Tensor
    means: Tensor
    log_variances: Tensor


class MixtureModule(PriorModule):
    """A mixture of diagonal gaussians, wherever they come from."""

    @abstractmethod
    def components(self) -> Components:
        """Return the gaussians."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log Σ π_k N(z; μ_k, σ_k²)."""
        return self._joint(z).logsumexp(-1)

    def responsibilities(self, z: Tensor) -> Tensor:
        """Return how likely each component made codes (..., d): (..., components)."""
        return self._joint(z).softmax(-1)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Return draws of components that are drawn by their weights: (n, code_size)."""
        log_weights, means, log_variances = self.components()
        shares = log_weights.exp().cpu()
        which = torch.multinomial(shares, n, replacement=True, generator=generator)
        return drawn(means[which], log_variances[which], generator)

    def _joint(self, z: Tensor) -> Tensor:
        log_weights, means, log_variances = self.components()
        return log_weights + log_density(z[..., None, :], means, log_variances)


class LearnedMixtureModule(MixtureModule):
    """A mixture whose weights, means and variances are parameters."""

    def __init__(self, components: int, code_size: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, code_size))
        self.log_variances = nn.Parameter(torch.zeros(components, code_size))

    def components(self) -> Components:
        """Return the parameters as gaussians."""
        return Components(self.logits.log_softmax(-1), self.means, self.log_variances)


@dataclass(frozen=True)
class Vamp(Prior, name="vamp"):
    """The mean posterior of rows that are learnt: p(z) = Σ q(z|u_k) / K.

    With every row of the data for u it would be the best of priors, the aggregate posterior.

    Parameters
    ----------
    components : int
        K; the rows are some of the data's to begin with.

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
    """Equal parts of the posteriors of learnt rows."""

    def __init__(self, components: int, code_size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.code_size = code_size
        self.rows = nn.Parameter(torch.randn(components, *shape))

    def attach(self, encode: Callable[[Tensor], Tensor]) -> None:
        """Keep how features are made; a method of the model is copied along with the model."""
        self.encode = encode

    @torch.no_grad()
    def on_data(self, values: Tensor) -> None:
        """Take rows evenly among those given, with a little noise on what is taken again."""
        wanted, rows = len(self.rows), len(values)
        order = torch.arange(wanted, device=values.device)
        taken = values.to_dense()[order * max(wanted, rows) // wanted % rows]
        again = order >= rows
        # Equal rows would have equal gradients, and stay equal.
        noise = 0.01 * torch.randn_like(taken) * again.reshape(-1, *[1] * (taken.ndim - 1))
        self.rows.copy_(taken + noise)

    def components(self) -> Components:
        """Return the posteriors of the learnt rows.

        Raises
        ------
        SettingError
            If the features are no mean and log-variance.
        """
        features = self.encode(self.rows)
        if features.shape[1] != 2 * self.code_size:
            raise SettingError(
                "The prior 'vamp' needs a gaussian code: use Gaussian(prior=Vamp())."
            )
        log_weights = features.new_full((len(features),), -math.log(len(features)))
        return Components(log_weights, *moments(features))


@dataclass(frozen=True)
class NormalizingFlow(Prior, name="flow"):
    """A standard normal that an invertible network bends: log p(z) = log N(f(z)) + log |det f'(z)|.

    Each transform of f is a monotonic spline for each number, of knots that depend on the numbers
    before it; the order is reversed from one to the next. Beyond 5 from zero it changes nothing.

    Parameters
    ----------
    transforms : int
    widths : tuple of int
        Units in each hidden layer of a transform's network, no fewer than the code has numbers.
    bins : int
        Pieces of each spline.

    References
    ----------
    Durkan, Bekasov, Murray and Papamakarios, "Neural spline flows", NeurIPS 2019. As a prior:
    Chen et al., "Variational lossy autoencoder", ICLR 2017.
    """

    transforms: int = 2
    widths: tuple[int, ...] = (64,)
    bins: int = 8

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> PriorModule:
        """Return the module; it needs a transform and two bins at least."""
        transforms, bins = self.positive_integer("transforms"), self.positive_integer("bins")
        if bins < 2:
            raise SettingError(f"The bins of {self!r} must be 2 at least.")
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
        """Return standard normals sent back through the transforms: (n, code_size)."""
        normals = torch.randn(n, self.code_size, generator=generator)
        z: Tensor = self.flow().transform.inv(normals.to(next(self.parameters())))
        return z.cpu()
