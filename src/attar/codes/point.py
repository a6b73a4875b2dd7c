"""Deterministic codes: a point, with or without an order of its dimensions, and none at all."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.errors import SettingError
from attar.networks.base import activation
from attar.priors import Prior, PriorModule
from attar.records import Coded


class PointModule(CodeModule):
    """z = activation(features), with a rate that depends on z."""

    def __init__(self, name: str, prior: PriorModule | None = None) -> None:
        super().__init__(prior)
        self.activation = activation(name)

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the points of features (B, d), whatever the noise."""
        z = self.point(features)
        return Coded(z[None], self.rate(z)[None])

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return activation(features): (B, d)."""
        z: Tensor = self.activation(features)
        return z

    @abstractmethod
    def rate(self, z: Tensor) -> Tensor:
        """Return the rate of codes (B, d): (B,)."""


@dataclass(frozen=True)
class Point(Code, name="point"):
    """A deterministic code of rate 0: z = activation(features).

    Parameters
    ----------
    activation : str
        The activation of the code layer; ``"identity"`` for none.
    prior : Prior or None
        The distribution that penalties compare codes with, and that new codes are sampled from.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import Point
    >>> Point("relu").build(code_size=2)(torch.tensor([[-1.0, 3.0]])).z
    tensor([[[0., 3.]]])
    """

    activation: str = "identity"
    prior: Prior | None = None

    beta = 0.0
    provides = frozenset({"point"})

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        prior = None if self.prior is None else self.prior.build(code_size, shape)
        return FreePointModule(self.activation, prior)


class FreePointModule(PointModule):
    """z = activation(features), at rate 0."""

    starts_linear = True

    def shift(self, features: Tensor) -> Tensor:
        """Return what makes each rectified unit active on all rows: idle ones are not trained."""
        rectified = isinstance(self.activation, nn.ReLU)
        return -features.amin(0) if rectified else super().shift(features)

    def rate(self, z: Tensor) -> Tensor:
        """Return zeros: (B,)."""
        return z.new_zeros(z.shape[0])


@dataclass(frozen=True)
class Ordered(Code, name="ordered"):
    """A deterministic code with dimensions ordered by importance, by nested dropout.

    In training each row keeps its first k dimensions and the others are 0; k is uniform on 1 to
    the code size. With linear networks and mean squared error the dimensions are the principal
    components, in order.

    Parameters
    ----------
    trained_size : int or None
        The code size in training, where the code has been truncated since; None where not.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import Ordered
    >>> code = Ordered(trained_size=4).build(code_size=2)
    >>> z = code.point(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    >>> z, code.decoder_input(z)
    (tensor([[1., 2.]]), tensor([[1., 2., 0., 0.]]))

    References
    ----------
    Rippel, Gelbart and Adams, "Learning ordered representations with nested dropout", ICML 2014.
    """

    trained_size: int | None = None

    beta = 0.0
    provides = frozenset({"point", "ordered"})

    def width(self, code_size: int) -> int:
        """Return the code size in training."""
        return self.trained_size or code_size

    def decoder_width(self, code_size: int) -> int:
        """Return the code size in training: truncated dimensions are 0."""
        return self.width(code_size)

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; the code size must be at most the one in training."""
        size = self.trained_size
        if size is not None and not 1 <= code_size <= self.positive_integer("trained_size"):
            raise SettingError(
                f"An ordered code of {size} dimensions can be truncated to 1 to {size} of them, "
                f"not to {code_size}."
            )
        return OrderedModule(code_size, self.width(code_size))


class OrderedModule(CodeModule):
    """Keeps the first dimensions of each row."""

    starts_linear = True

    def __init__(self, code_size: int, trained_size: int) -> None:
        super().__init__()
        self.code_size, self.trained_size = code_size, trained_size

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the codes, in training with a random number of dimensions kept in each row."""
        z = self.point(features)
        if self.training and noise is None:
            # Each k is equally frequent in a batch: only the assignment to rows is random.
            last = torch.randperm(len(z), device=z.device) % self.code_size
            z = z * (torch.arange(self.code_size, device=z.device) <= last[:, None])
        return Coded(z[None], z.new_zeros(1, z.shape[0]))

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the first features: (B, d)."""
        return features[:, : self.code_size]

    def decoder_input(self, z: Tensor) -> Tensor:
        """Return codes (n, d) padded with zeros to the code size in training."""
        return functional.pad(z, (0, self.trained_size - self.code_size))


@dataclass(frozen=True)
class NoCode(Code, name="none"):
    """No code: z is 0 and costs nothing, for likelihoods whose cells depend on each other.

    The decoder's output is the same for all rows.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import NoCode
    >>> NoCode().build(code_size=1)(torch.tensor([[-1.0], [3.0]])).z
    tensor([[[0.],
             [0.]]])
    """

    beta = 0.0
    provides = frozenset({"density"})

    def noise(self, code_size: int) -> int:
        """Return 0."""
        return 0

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        return NoCodeModule()


class NoCodeModule(PointModule):
    """z = 0, at rate 0."""

    def __init__(self) -> None:
        super().__init__("identity")

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return zeros: (B, d)."""
        return torch.zeros_like(features)

    def rate(self, z: Tensor) -> Tensor:
        """Return zeros: (B,)."""
        return z.new_zeros(z.shape[0])
