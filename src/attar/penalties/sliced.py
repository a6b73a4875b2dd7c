"""The sliced Wasserstein distance between codes and the prior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from attar.model import Model
from attar.penalties.penalty import Penalty, PenaltyTerm, draws, prior_of
from attar.records import Trace


@dataclass(frozen=True)
class Sliced(Penalty, name="sliced-wasserstein"):
    """The squared Wasserstein distance between codes and prior draws, mean over directions.

    Along a direction it takes no more than sorting: mean (sort(z·θ) - sort(p·θ))². A shift of all
    codes by s counts |s|² / d.

    Parameters
    ----------
    weight : float
        In nats.
    directions : int
        How many random ones are taken in each step.

    References
    ----------
    Kolouri, Pope, Martin and Rohde, "Sliced Wasserstein auto-encoders", ICLR 2019.
    """

    weight: float = 10.0
    directions: int = 50

    needs = frozenset({"prior"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the distance, bound to the prior of the code; it takes a direction at least."""
        prior, count = prior_of(self, model), self.counted("directions")

        def distance(trace: Trace) -> Tensor:
            z = trace.coded.z[0]
            normals = torch.randn(count, code_size, dtype=z.dtype, device=z.device)
            return sliced_distance(z, draws(prior, z), functional.normalize(normals, dim=1))

        return self.term(distance)


def sliced_distance(codes: Tensor, others: Tensor, directions: Tensor) -> Tensor:
    """Return the mean over directions (s, d) for codes and others (n, d): a scalar."""
    sorted_codes, sorted_others = ((z @ directions.T).sort(0).values for z in (codes, others))
    return (sorted_codes - sorted_others).square().mean()
