"""Sampling from a flow that is fitted to codes."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Generator, Tensor

from attar.codes import CodeModule
from attar.priors import Flow
from attar.sampling.learning import Standard, learnt
from attar.sampling.sampler import Draw, Sampler


@dataclass(frozen=True)
class FittedFlow(Sampler, name="flow"):
    """A normalizing flow that is fitted to standardised codes by their likelihood.

    Parameters
    ----------
    flow : Flow
    steps : int
        Of training.

    References
    ----------
    Böhm and Seljak, "Probabilistic autoencoder", TMLR 2022.
    """

    flow: Flow = field(default_factory=Flow)
    steps: int = 400

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the flow's draws."""
        standard = Standard.of(codes)
        flow = learnt(
            lambda: self.flow.build(codes.shape[1]),
            lambda flow, rows: -flow.log_prob(rows),
            standard.there(codes),
            self.steps,
        )

        def draw(n: int, chance: Generator) -> Tensor:
            return standard.back(flow.sample(n, chance))

        return draw
