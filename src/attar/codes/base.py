"""The base of all codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from attar.parts import Part
from attar.priors import Prior, PriorModule
from attar.records import Coded

# From codes (K, B, d) to log p(x | z) of the current batch (K, B), in nats.
LogLikelihood = Callable[[Tensor], Tensor]


class CodeModule(nn.Module, ABC):
    """Maps features to codes.

    Attributes
    ----------
    prior : PriorModule or None
        The distribution that codes are expected to have; None where there is none.
    starts_linear : bool
        Whether networks of one linear layer, too, start at principal components.
    """

    starts_linear: ClassVar[bool] = False

    def __init__(self, prior: PriorModule | None = None) -> None:
        super().__init__()
        self.prior = prior

    @abstractmethod
    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the codes of features (B, w).

        Parameters
        ----------
        noise : Tensor (K, B or 1, Code.noise) or None
            Standard normals that a random code is computed from; the densities of each sample are
            then returned too. None draws one sample.
        log_likelihood : callable or None
            The log-likelihood of the batch given codes, for a code that depends on the decoder.
        """

    @abstractmethod
    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the deterministic code of each row: (B, d)."""

    def decoder_input(self, z: Tensor) -> Tensor:
        """Return what the decoder receives for codes (n, d)."""
        return z

    def constrain(self, z: Tensor) -> Tensor:
        """Return the valid codes nearest to these: (n, d)."""
        return z

    def interpolate(self, start: Tensor, end: Tensor, fraction: Tensor) -> Tensor:
        """Return the codes at fractions (s,) of the path from start (d,) to end (d,): (s, d)."""
        return self.constrain(torch.lerp(start, end, fraction[:, None]))

    def distance(self, z: Tensor, others: Tensor) -> Tensor:
        """Return the distances of codes (n, d) from others (m, d): (n, m)."""
        return torch.cdist(z, others, compute_mode="donot_use_mm_for_euclid_dist")

    def shift(self, features: Tensor) -> Tensor:
        """Return what to add to the principal components of rows (m, w) as first features: (w,)."""
        return features.new_zeros(features.shape[1])

    def attach(self, encode: Callable[[Tensor], Tensor]) -> None:
        """Receive the model's map from prepared values (m, *shape) to features (m, w).

        Called once, when the model is built.
        """
        if self.prior is not None:
            self.prior.attach(encode)

    def on_data(self, values: Tensor, features: Tensor) -> None:
        """Initialize from prepared rows (m, *shape) and their features (m, w), before training."""
        if self.prior is not None:
            self.prior.on_data(values)

    def on_epoch(self) -> None:
        """Update what changes once an epoch; called after each epoch of training."""


class Code(Part):
    """The map from features to a code, and the rate that the code costs.

    Attributes
    ----------
    beta : float
        The weight of the rate in the loss.
    prior : Prior or None
        The distribution that codes are expected to have.
    encodes : bool
        Whether it encodes rows of its own.
    provides : frozenset of str
        ``"point"`` where codes are deterministic; ``"density"`` where the model has a likelihood
        of whole rows; ``"moments"`` where the posterior is a diagonal Gaussian; ``"symbols"``
        where codes are discrete; ``"sparse"`` where codes larger than the data are usual;
        ``"ordered"`` where the first k dimensions are a code too.
    """

    beta: float
    prior: Prior | None = None
    encodes: ClassVar[bool] = False

    @property
    def least_size(self) -> int:
        """The smallest valid code size."""
        return 1

    def nearest_size(self, code_size: int) -> int:
        """Return the valid code size nearest to a wanted one, or the next above it."""
        return max(code_size, self.least_size)

    def width(self, code_size: int) -> int:
        """Return the number of features that a code of this size is computed from."""
        return code_size

    def size(self, features: int) -> int:
        """Return the size of the code that is computed from so many features."""
        least = self.nearest_size(1)
        return features * least // self.width(least)

    def noise(self, code_size: int) -> int:
        """Return the number of standard normals that a sample of a code of this size takes."""
        return code_size

    def decoder_width(self, code_size: int) -> int:
        """Return the size of the decoder's input for a code of this size."""
        return code_size

    @abstractmethod
    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module.

        Parameters
        ----------
        code_size : int
        shape : tuple of int
            The shape of a prepared row, for codes that store rows.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """
