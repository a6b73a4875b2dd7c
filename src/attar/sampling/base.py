"""The base of samplers, and the training of their networks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from typing import Self, TypeVar

import torch
from torch import Generator, Tensor, nn

from attar.codes import CodeModule
from attar.isolation import seeded
from attar.parts import Part

# From a number n and a random generator to n codes (n, d), on the CPU.
Draw = Callable[[int, Generator], Tensor]


class Sampler(Part):
    """A distribution of new codes."""

    @abstractmethod
    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Fit the distribution to the codes of the training rows (m, d), and return its draws.

        The same codes give the same result: randomness in fitting has a fixed seed.

        Raises
        ------
        SettingError
            If it does not fit the code.
        """


M = TypeVar("M", bound=nn.Module)

# The learning rate is the first one; it falls to zero along half a cosine.
BATCH_SIZE, LEARNING_RATE = 256, 1e-2


@dataclass(frozen=True)
class Standardizer:
    """Scales codes to mean 0 and variance 1.

    Attributes
    ----------
    mean, scale : Tensor (d,)
        The scale is 0 where codes are constant.

    Examples
    --------
    >>> codes = torch.tensor([[1.0], [3.0]])
    >>> standardizer = Standardizer.of(codes)
    >>> standardizer.transform(codes).tolist()
    [[-1.0], [1.0]]
    >>> standardizer.inverse(torch.zeros(1, 1)).item()
    2.0
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, codes: Tensor) -> Self:
        """Return the standardizer of codes (m, d)."""
        return cls(codes.mean(0), codes.std(0, correction=0))

    def transform(self, codes: Tensor) -> Tensor:
        """Return standardized codes, in single precision."""
        return ((codes - self.mean) / self.scale.where(self.scale > 0, 1.0)).float()

    def inverse(self, standardized: Tensor) -> Tensor:
        """Return the codes of standardized ones."""
        return self.mean + self.scale * standardized.to(self.mean)


def trained(
    make: Callable[[], M], loss: Callable[[M, Tensor], Tensor], rows: Tensor, steps: int
) -> M:
    """Return a module, initialized and trained with a fixed seed: equal rows give equal modules.

    Parameters
    ----------
    make : callable
        Returns the untrained module.
    loss : callable
        From the module and a batch of rows (b, d) to their losses (..., b).
    rows : Tensor (m, d)
    steps : int
    """
    with seeded(0), torch.enable_grad():
        module = make()
        adam = torch.optim.Adam(module.parameters())
        for step in range(steps):
            adam.param_groups[0]["lr"] = LEARNING_RATE * 0.5 * (1 + cos(pi * step / steps))
            adam.zero_grad()
            batch = rows[torch.randint(len(rows), (BATCH_SIZE,))]
            torch.autograd.backward([loss(module, batch).mean()])
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            adam.step()
    return module.eval().requires_grad_(False)
