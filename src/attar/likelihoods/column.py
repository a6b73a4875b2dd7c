"""Likelihoods that can describe one column beside others."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Self

from attar.likelihoods.likelihood import Likelihood, LikelihoodModule

# In prepared units. The loss of a column goes with 1/scale²: without a floor, one column that is
# easily told would take over the whole loss.
LEAST_SCALE = 0.03


class Column(Likelihood):
    """A likelihood that can describe all cells of a row, or a column among others of a table.

    Columns are computed many at once. A scale that is learnt is then one for each column, and
    LEAST_SCALE + exp(log-scale), so that it stays above its floor without losing its gradient.
    """

    @property
    def cells(self) -> int:
        """The number of prepared cells that a column takes."""
        return 1

    @property
    def kin(self) -> Hashable:
        """What columns have in common that are computed together; here they are equal."""
        return self

    @classmethod
    def together(cls, columns: Sequence[Self]) -> LikelihoodModule:
        """Return one module for the cells of some columns side by side, all of the same kin.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """
        return columns[0].build()
