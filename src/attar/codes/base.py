"""What every code is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from attar.parts import Part
from attar.priors import Prior, PriorModule
from attar.records import Coded

# From codes (K, B, d) to log p(x | z) of the batch at hand (K, B), in nats.
LogLikelihood = Callable[[Tensor], Tensor]


class CodeModule(nn.Module, ABC):
    """Turns features into codes.

    Attributes
    ----------
    prior : PriorModule or None
        Where codes are expected to lie; None where nothing is expected.
    """

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
            The draws to use where the code is random, standard normals; with them the densities
            at each draw are returned too. None makes one fresh draw.
        log_likelihood : callable or None
            How likely the batch is under codes, for a code that asks the decoder.
        """

    @abstractmethod
    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return one code of each row, without chance: (B, d)."""

    def decoder_input(self, z: Tensor) -> Tensor:
        """Return what the decoder sees of codes (n, d): the codes themselves, but for a reason."""
        return z

    def constrain(self, z: Tensor) -> Tensor:
        """Return the valid codes nearest to these: (n, d)."""
        return z

    def between(self, start: Tensor, end: Tensor, share: Tensor) -> Tensor:
        """Return the codes a share (s,) of the way from start (d,) to end (d,): (s, d)."""
        return self.constrain(torch.lerp(start, end, share[:, None]))

    def distance(self, z: Tensor, others: Tensor) -> Tensor:
        """Return how far codes (n, d) are from others (m, d): (n, m)."""
        return torch.cdist(z, others, compute_mode="donot_use_mm_for_euclid_dist")

    def attach(self, encode: Callable[[Tensor], Tensor]) -> None:
        """Hear how the model makes features (m, w) of prepared values (m, *shape).

        Called once, when the model is built.
        """
        if self.prior is not None:
            self.prior.attach(encode)

    def on_data(self, values: Tensor, features: Tensor) -> None:
        """Look at prepared rows (m, *shape) and their features (m, w), before the first step."""
        if self.prior is not None:
            self.prior.on_data(values)

    def on_epoch(self) -> None:
        """Look after what lasts longer than a batch; called after each epoch of training."""


class Code(Part):
    """How features become a code, and what the code costs.

    Attributes
    ----------
    beta : float
        The weight of the rate in the loss.
    prior : Prior or None
        Where codes are expected to lie.
    encodes : bool
        Whether it asks the encoder for features of rows of its own.
    provides : frozenset of str
        ``"point"`` where codes are without chance; ``"density"`` where the model has a likelihood
        of whole rows; ``"moments"`` where the posterior is a diagonal gaussian; ``"symbols"``
        where codes are discrete; ``"sparse"`` where codes larger than the data are usual;
        ``"ordered"`` where the first k numbers are a code too.
    """

    beta: float
    prior: Prior | None = None
    encodes: ClassVar[bool] = False

    @property
    def least_size(self) -> int:
        """The smallest code that makes sense."""
        return 1

    def nearest_size(self, code_size: int) -> int:
        """Return the size that makes sense and is nearest to a wanted one, or next above it."""
        return max(code_size, self.least_size)

    def width(self, code_size: int) -> int:
        """Return how many features a code of this size is made from."""
        return code_size

    def noise(self, code_size: int) -> int:
        """Return how many standard normals a draw of a code of this size takes."""
        return code_size

    def decoder_width(self, code_size: int) -> int:
        """Return how many numbers the decoder sees of a code of this size."""
        return code_size

    @abstractmethod
    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module.

        Parameters
        ----------
        code_size : int
        shape : tuple of int
            The shape of a prepared row, for codes that keep rows of their own.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """
