"""The effects of known-ahead columns on series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.tasks.future.linear import LinearForecaster

Array = NDArray[np.float64]

# How many forecasts are compared with outcomes, the penalty of coefficients as a share of their sum
# of squares, and that of what hardly ever changes.
COMPARED, PENALTY, NEVER = 1000, 0.01, 1e-5


@dataclass(frozen=True)
class Explained:
    """A linear effect of known-ahead columns, the same at all steps of a horizon.

    It is the regression of the errors of forecasts on those of the known columns, both by the same
    linear forecaster (Frisch-Waugh): of two series that both rise, neither explains the other. The
    coefficients of a series are linear in its traits: a constant, and features of static columns.

    Attributes
    ----------
    mean, deviation : array (columns,)
    coefficients : array (traits, columns, channels)
    """

    mean: Array
    deviation: Array
    coefficients: Array

    @classmethod
    def of(
        cls,
        parts: Sequence[Array],
        known: Sequence[Array],
        traits: Sequence[Array],
        forecaster: LinearForecaster,
    ) -> Self:
        """Return the effect of known columns on series.

        Parameters
        ----------
        parts : sequence of array (steps, channels)
        known : sequence of array (steps, columns)
        traits : sequence of array (traits,)
        forecaster : LinearForecaster
            One for all channels.
        """
        together = np.concatenate(known)
        mean, deviation = together.mean(0), together.std(0)
        deviation[deviation <= 1e-9 * np.abs(mean)] = 1.0
        channels, columns = parts[0].shape[1], known[0].shape[1]
        size = columns * len(traits[0])
        own, others = np.zeros((size, size)), np.zeros((size, channels))
        none = np.full(channels + columns, -1)
        horizon, longest, count = forecaster.weights[0].shape[2], forecaster.histories[-1], 0
        each = -(-COMPARED // len(parts))
        for part, column, trait in zip(parts, known, traits, strict=True):
            if len(part) <= horizon:
                continue
            start = min(longest, len(part) - horizon)
            some = np.unique(np.linspace(start, len(part) - horizon, each).astype(np.intp))
            both = np.concatenate([part, (column - mean) / deviation], 1)
            ahead = both[some[:, None] + np.arange(horizon)]
            errors = (ahead - forecaster.rolling(both, none, some)).reshape(-1, channels + columns)
            x, y = errors[:, channels:], errors[:, :channels]
            own += np.kron(np.outer(trait, trait), x.T @ x)
            others += np.kron(trait[:, None], x.T @ y)
            count += len(errors)
        penalty = np.diag(PENALTY * own.diagonal() + NEVER * max(count, 1))
        coefficients = np.linalg.solve(own + penalty, others).astype(np.float64)
        return cls(mean, deviation, coefficients.reshape(-1, columns, channels))

    def of_known(self, known: Array, traits: Array) -> Array:
        """Return the effect of known columns (steps, columns): (steps, channels)."""
        coefficients = np.tensordot(traits, self.coefficients, 1)
        return np.asarray((known - self.mean) / self.deviation @ coefficients)

    def tensors(self) -> dict[str, Tensor]:
        """Return coefficients, and what columns are standardized by."""
        own = {"mean": self.mean, "deviation": self.deviation, "coefficients": self.coefficients}
        return {name: torch.from_numpy(array) for name, array in own.items()}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return what :meth:`tensors` described."""
        names = ("mean", "deviation", "coefficients")
        return cls(*(tensors[name].numpy() for name in names))
