"""What every sampler is, and how one with a network is trained."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from typing import Self, TypeVar

import torch
from torch import Generator, Tensor, nn

from attar.codes import CodeModule
from attar.parts import Part

# From a number n and a source of chance to n codes (n, d), on the CPU.
Draw = Callable[[int, Generator], Tensor]


class Sampler(Part):
    """Where new codes come from."""

    @abstractmethod
    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return what draws codes like those of rows (m, d).

        The same codes give the same result: where fitting takes chance, it has a seed of its own.

        Raises
        ------
        SettingError
            If it does not fit the code.
        """


M = TypeVar("M", bound=nn.Module)

# Rows a step, and the largest step size, which falls to zero as half a cosine.
ROWS, RATE = 256, 1e-2


@dataclass(frozen=True)
class Standardizer:
    """Codes brought to mean 0 and variance 1, and back.

    Attributes
    ----------
    mean, scale : Tensor (d,)
        The scale is 0 where codes do not differ.
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, codes: Tensor) -> Self:
        """Return what standardises codes (m, d)."""
        return cls(codes.mean(0), codes.std(0, correction=0))

    def there(self, codes: Tensor) -> Tensor:
        """Return codes standardised, in single precision."""
        return ((codes - self.mean) / self.scale.where(self.scale > 0, 1.0)).float()

    def back(self, standard: Tensor) -> Tensor:
        """Return standardised codes as they were."""
        return self.mean + self.scale * standard.to(self.mean)


def trained(
    make: Callable[[], M], loss: Callable[[M, Tensor], Tensor], rows: Tensor, steps: int
) -> M:
    """Return a module, made and trained with a seed of its own: equal rows give equal modules.

    Parameters
    ----------
    make : callable
        Returns the module untrained.
    loss : callable
        From the module and some rows (b, d) to their losses (..., b).
    rows : Tensor (m, d)
    steps : int
    """
    with torch.random.fork_rng([]), torch.enable_grad():
        torch.manual_seed(0)
        module = make()
        adam = torch.optim.Adam(module.parameters())
        for step in range(steps):
            adam.param_groups[0]["lr"] = RATE * 0.5 * (1 + cos(pi * step / steps))
            adam.zero_grad()
            some = rows[torch.randint(len(rows), (ROWS,))]
            torch.autograd.backward([loss(module, some).mean()])
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            adam.step()
    return module.eval().requires_grad_(False)
