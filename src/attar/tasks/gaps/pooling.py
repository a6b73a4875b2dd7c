"""Pooling: what several imputations say together, by Rubin's rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from attar.errors import SettingError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pooled:
    """Estimates from several imputations as one.

    Attributes
    ----------
    estimate : array
    error : array
        The standard error, which includes that the missing values are not known.
    degrees : array
        Of freedom, of Student's distribution of the estimate.
    """

    estimate: Array
    error: Array
    degrees: Array

    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        """Return the confidence interval of a level."""
        if not 0 < level < 1:
            raise SettingError(f"The level of an interval is in (0, 1), not {level}.")
        reach = stats.t.ppf((1 + level) / 2, self.degrees) * self.error
        return self.estimate - reach, self.estimate + reach


def pool(estimates: Sequence[ArrayLike], variances: Sequence[ArrayLike]) -> Pooled:
    """Return estimates as one, by Rubin's rules.

    Parameters
    ----------
    estimates : sequence of array
        One for each imputation, two at least, such as coefficients of a regression.
    variances : sequence of array
        Their squared standard errors.

    Raises
    ------
    SettingError
        If there are fewer than two, or not as many of both.

    Examples
    --------
    >>> found = pool([1.0, 1.2, 1.4], [0.01, 0.01, 0.01])
    >>> round(float(found.estimate), 3), round(float(found.error), 3)
    (1.2, 0.252)

    References
    ----------
    Rubin, "Multiple imputation for nonresponse in surveys", Wiley 1987.
    """
    each, within = (np.asarray(list(part), np.float64) for part in (estimates, variances))
    if len(each) < 2 or each.shape != within.shape:
        raise SettingError(
            f"pool takes estimates and variances of the same two or more imputations, not of "
            f"{len(each)} and {len(within)}."
        )
    number = len(each)
    mean, inside, between = each.mean(0), within.mean(0), each.var(0, ddof=1)
    added = (1 + 1 / number) * between
    with np.errstate(divide="ignore"):
        degrees = np.where(added > 0, (number - 1) * (1 + inside / added) ** 2, np.inf)
    return Pooled(mean, np.sqrt(inside + added), degrees)
