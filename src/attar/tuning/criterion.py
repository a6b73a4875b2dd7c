"""The loss by which trials are compared: a length of description, in nats per row."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from attar.codes import NoCode
from attar.data.training_data import TrainingData
from attar.errors import SettingError
from attar.evaluation.scores import log_likelihoods
from attar.fitted import Fitted
from attar.likelihoods import FixedGaussian, Huber, Laplace, MultiScaleMel, MultiScaleSimilarity
from attar.plan import Plan

# The draws of each code for the bound on the log-likelihood.
DRAWS = 32

# Likelihoods whose scale does not follow the error: their nats have an arbitrary unit.
FIXED_SCALE = (FixedGaussian, Huber, Laplace, MultiScaleMel, MultiScaleSimilarity)


@dataclass(frozen=True)
class Criterion:
    """The loss of models on held-out rows, in nats per row of their prepared values.

    Where the code has a density, it is the importance-weighted bound on the negative
    log-likelihood,

        -log Σ_k p(x, z_k) / q(z_k|x) / K,

    which counts what the code costs: code sizes and recipes may differ. Any other code costs
    nothing: the loss is -log p(x|z), and a larger code always reconstructs better. Where code sizes
    differ it is therefore

        -log p(x|z) + d/2 log D,

    as each of the d numbers of a row's code is a parameter that is estimated from its D cells, and
    takes log(D) / 2 nats (Rissanen, 1978; the same as Schwarz's criterion, 1978).

    Attributes
    ----------
    density : bool
        Whether codes have a density.
    likelihood, scaling : str
        Both determine what a nat is, and must not differ.
    sizes : bool
        Whether code sizes differ.
    """

    density: bool
    likelihood: str
    scaling: str
    sizes: bool

    @classmethod
    def of(cls, plan: Plan, sizes: bool) -> Self:
        """Return the criterion of a plan's model.

        Raises
        ------
        SettingError
            If sizes are to differ, and the loss does not say what a size is worth: the code is
            sparse, or there is none, or it has no density and the likelihood a fixed scale.
        """
        code, likelihood = plan.recipe.code, plan.likelihood
        density = "density" in code.provides
        if sizes and (isinstance(code, NoCode) or "sparse" in code.provides):
            raise SettingError(
                f"The code {code.name!r} has no size whose cost is known: leave code_size out of "
                "the search."
            )
        if sizes and not density and isinstance(likelihood, FIXED_SCALE):
            raise SettingError(
                f"The likelihood {likelihood.name!r} has a fixed scale, which does not say what a "
                "smaller error is worth: leave it out, or leave code_size out of the search."
            )
        return cls(density, likelihood.name, repr(plan.scaling), sizes)

    @property
    def words(self) -> str:
        """What the loss is."""
        if self.density:
            return "bound on the negative log-likelihood, nats per row"
        size = " + code_size / 2 log(cells)" * self.sizes
        return f"reconstruction NLL{size}, nats per row"

    def check(self, plan: Plan, setting: str) -> None:
        """Refuse a plan whose loss cannot be compared with others.

        Raises
        ------
        SettingError
            That says how it differs.
        """
        other = Criterion.of(plan, self.sizes)
        if self.density != other.density:
            raise SettingError(
                f"{setting} cannot be compared: some recipes have a likelihood of rows, and others "
                "only reconstruct them; search one sort at a time."
            )
        for name in ("likelihood", "scaling"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise SettingError(
                    f"{setting} has the {name} {theirs}, whose loss cannot be compared with that "
                    f"of {ours}: set {name} for all, or leave it out of the search."
                )

    def price(self, code_size: int, shape: tuple[int, ...]) -> float:
        """Return what a code of rows of a shape costs besides the loss of training, in nats."""
        priced = self.sizes and not self.density
        return 0.5 * code_size * math.log(math.prod(shape)) if priced else 0.0

    def loss(self, fitted: Fitted, data: TrainingData) -> float:
        """Return the loss of a model on validation rows."""
        predictor = replace(fitted.predictor, condition=data.validation_condition)
        scores = log_likelihoods(predictor, data.validation, DRAWS)
        return self.price(predictor.code_size, fitted.kind.shape) - float(scores.mean())
