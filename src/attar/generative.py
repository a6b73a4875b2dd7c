"""New rows, ways between rows, and rows that are alike: what codes are good for."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Generator, Tensor

from attar.applied import joined
from attar.checks import positive_integer
from attar.data.kind import Rows
from attar.errors import DataError, SettingError
from attar.learnt import Learnt
from attar.priors.mixture import MixtureModule
from attar.sampling import Sampler

# What is drawn at once has at most so many cells.
MOST_CELLS = 1 << 28


class Generative(Learnt):
    """An estimator that makes new rows."""

    transform: Callable[..., Rows]

    def sample(
        self, n: int = 1, *, by: Any = "auto", condition: Any = None, random_state: Any = None
    ) -> Any:
        """Return ``n`` new rows, in the form that was fitted.

        Parameters
        ----------
        n : int
        by : str or Sampler, default "auto"
            Where new codes come from: ``"prior"``, or what is fitted to the codes of rows that were
            learnt from: ``"mixture"``, ``"kernel-density"``, ``"flow"``, ``"two-stage"``,
            ``"autoregressive"`` for codes of symbols, ``"manifold"`` for codes with a metric. Auto
            takes the recipe's own, else the prior, else a mixture.
        condition : label, array (n,) or table, default None
            What the rows are told, where the model was fitted with a condition; one for all, or
            one for each.
        random_state : int, RandomState or None, default None

        Raises
        ------
        SettingError
            If ``n`` is not an integer above 0 or too large for memory, the sampler does not
            fit the code, or a condition is missing.
        """
        fitted, n = self.fitted, positive_integer("The number of samples", n)
        most = MOST_CELLS // max(fitted.applied.code_size, prod(fitted.kind.shape))
        if n > most:
            raise SettingError(
                f"{n:,} samples may not fit into memory: draw {most:,} at most at once, each time "
                "by another random_state."
            )
        applied = self.told(condition, n)
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        sampler = None if isinstance(by, str) and by == "auto" else Sampler.resolve(by)
        fitted.recipe.replace(sampler=sampler or fitted.recipe.sampler).check()
        codes = fitted.drawing(sampler)(n, Generator().manual_seed(seed))
        return applied.restore(codes.numpy())

    def interpolate(self, a: Any, b: Any, steps: int = 8, *, condition: Any = None) -> Any:
        """Return rows on the way from each row of ``a`` to the same one of ``b``.

        The way is the shortest one in the code's own geometry: straight, on a great circle, ...

        Parameters
        ----------
        a, b : table or array (n, ...)
            Rows of the form that was fitted.
        steps : int
            How many rows each way has, both ends included.
        condition : label, array (n,) or table, default None
            What both ends of each way are told, where the model was fitted with a condition.

        Returns
        -------
        table or array (n * steps, ...)
            One way after the other.

        Raises
        ------
        DataError
            If ``a`` and ``b`` have different numbers of rows.
        """
        starts, ends = self._codes(a, condition), self._codes(b, condition)
        if len(starts) != len(ends):
            raise DataError(f"a has {len(starts):,} row(s), but b has {len(ends):,}.")
        shares = torch.linspace(0, 1, positive_integer("The number of steps", steps))
        code = self.fitted.code
        with torch.no_grad():
            ways = [code.between(*ends_, shares) for ends_ in zip(starts, ends, strict=True)]
        told = self.told(condition, len(starts))
        return told.at(np.repeat(np.arange(len(starts)), steps)).restore(joined(ways))

    def neighbours(self, X: Any, n: int = 5, *, condition: Any = None) -> tuple[Rows, Rows]:
        """Return the rows that were learnt from whose codes are nearest to those of X.

        Parameters
        ----------
        X : table or array (m, ...)
        n : int
            How many for each row.
        condition : label, array (m,) or table, default None
            What the rows are told, where the model was fitted with a condition.

        Returns
        -------
        distances : array (m, n)
            In the code's own geometry, ascending.
        numbers : int array (m, n)
            Which rows of the data that was fitted these are; of much data, a sample is known.
        """
        study, code = self.fitted.study, self.fitted.code
        n = min(positive_integer("The number of neighbours", n), len(study.codes))
        known = torch.from_numpy(study.codes)
        with torch.no_grad():
            parts = [
                code.distance(part, known).topk(n, largest=False)
                for part in torch.split(self._codes(X, condition), 1024)
            ]
        distances, places = (joined(part) for part in zip(*parts, strict=True))
        return distances, study.numbers[places]

    def clusters(self, X: Any, *, condition: Any = None) -> Rows:
        """Return the number of the prior's component that each row most likely belongs to: (m,).

        Raises
        ------
        SettingError
            If the code's prior has no components.
        """
        prior = self.fitted.code.prior
        if not isinstance(prior, MixtureModule):
            raise SettingError(
                f"The code {self.fitted.recipe.code.name!r} has no clusters: fit with the recipe "
                "'mixture-prior'."
            )
        with torch.no_grad():
            likeliest: Rows = prior.responsibilities(self._codes(X, condition)).argmax(-1).numpy()
        return likeliest

    def _codes(self, X: Any, condition: Any) -> Tensor:
        """Return the codes of X in single precision, on the CPU."""
        return torch.from_numpy(self.transform(X, condition=condition)).float()
