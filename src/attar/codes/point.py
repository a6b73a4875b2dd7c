"""A code without noise: a point, with or without an order of its dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.errors import SettingError
from attar.networks.base import activation
from attar.priors import Prior, PriorModule
from attar.records import Coded


@dataclass(frozen=True)
class Point(Code, name="point"):
    """A point without a price: z = activation(features).

    Parameters
    ----------
    activation : str
        What the code layer ends in; ``"identity"`` leaves the features as they are.
    prior : Prior or None
        Where codes are expected to lie: penalties may draw them there, and new ones are drawn
        from it.
    """

    activation: str = "identity"
    prior: Prior | None = None

    beta = 0.0
    provides = frozenset({"point"})

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        prior = None if self.prior is None else self.prior.build(code_size, shape)
        return PointModule(self.activation, prior)


class PointModule(CodeModule):
    """z = activation(features), at no rate."""

    def __init__(self, name: str, prior: PriorModule | None = None) -> None:
        super().__init__(prior)
        self.activation = activation(name)

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the points of features (B, d), the same with any noise."""
        z = self.point(features)
        return Coded(z[None], self.rate(z)[None])

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return activation(features): (B, d)."""
        z: Tensor = self.activation(features)
        return z

    def rate(self, z: Tensor) -> Tensor:
        """Return what each code costs: (B,)."""
        return z.new_zeros(len(z))


@dataclass(frozen=True)
class Ordered(Code, name="ordered"):
    """A point whose numbers are learnt in order of what they carry: nested dropout.

    In training each row keeps its first k numbers, the rest are zero; k is drawn evenly from 1 to
    the code size. With linear networks and mean squared error the numbers are the principal
    components, in their order.

    Parameters
    ----------
    trained_size : int or None
        How many numbers were learnt, where the code has been cut to fewer; None for all.

    References
    ----------
    Rippel, Gelbart and Adams, "Learning ordered representations with nested dropout", ICML 2014.
    """

    trained_size: int | None = None

    beta = 0.0
    provides = frozenset({"point", "ordered"})

    def width(self, code_size: int) -> int:
        """Return how many numbers were learnt."""
        return self.trained_size or code_size

    def decoder_width(self, code_size: int) -> int:
        """Return how many numbers were learnt: those cut off are zero."""
        return self.trained_size or code_size

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        if self.trained_size is not None and not 1 <= code_size <= self.positive_integer("trained_size"):
            raise SettingError(
                f"An ordered code of {self.trained_size} numbers can be cut to 1 to {self.trained_size} of "
                f"them, not to {code_size}."
            )
        return OrderedModule(code_size, self.width(code_size) - code_size)


class OrderedModule(CodeModule):
    """Keeps the first numbers of each row."""

    def __init__(self, kept: int, cut: int) -> None:
        super().__init__()
        self.kept, self.cut = kept, cut

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the codes, in training with a random number of them kept in each row."""
        z = self.point(features)
        if self.training and noise is None:
            # As many rows with each k as can be, so that chance is spent on which rows these are.
            last = torch.randperm(len(z), device=z.device) % self.kept
            z = z * (torch.arange(self.kept, device=z.device) <= last[:, None])
        return Coded(z[None], z.new_zeros(1, len(z)))

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the numbers that are kept: (B, d)."""
        return features[:, : self.kept]

    def decoder_input(self, z: Tensor) -> Tensor:
        """Return codes (n, d) with zeros where numbers were cut off."""
        return nn.functional.pad(z, (0, self.cut)) if self.cut else z
