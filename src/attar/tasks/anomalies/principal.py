"""What some numbers of a row say of the others, by probabilistic principal components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Block = slice | NDArray[np.intp]


@dataclass(frozen=True)
class Principal:
    """The inverse covariance K of probabilistic principal components: V Λ Vᵀ + ψ I, inverted.

    With δ = x - μ, a block b of numbers has, given all others, the mean x_b - K_bb⁻¹ (K δ)_b and
    the covariance K_bb⁻¹.

    Attributes
    ----------
    factors : array (numbers, components)
        W = V (1 - ψ / λ)^½, so that K = (I - W Wᵀ) / ψ.
    noise : float
        ψ.

    Examples
    --------
    >>> factors = Principal.of(np.array([[0.6], [0.8]]), np.array([3.0]), 0.5)
    >>> covariance = np.linalg.inv((np.eye(2) - factors.factors @ factors.factors.T) / 0.5)
    >>> covariance.round(2).tolist()
    [[1.4, 1.2], [1.2, 2.1]]

    References
    ----------
    Tipping and Bishop, "Probabilistic principal component analysis", Journal of the Royal
    Statistical Society B 1999.
    """

    factors: Array
    noise: float

    @classmethod
    def of(cls, components: Array, variances: Array, noise: float) -> Self:
        """Return that of components (numbers, components) with their variances λ, and ψ."""
        return cls(components * (1 - noise / np.maximum(variances, noise)) ** 0.5, noise)

    def shift(self, delta: Array) -> Array:
        """Return K δ of rows (n, numbers)."""
        return np.asarray((delta - delta @ self.factors @ self.factors.T) / self.noise)

    def missed(self, shift: Array, block: Block) -> tuple[Array, Array]:
        """Return x - E(x | rest) of a block from its K δ (n, block), and the covariance K_bb⁻¹.

        K_bb⁻¹ = ψ (I + W_b (I - W_bᵀ W_b)⁻¹ W_bᵀ).
        """
        factors = self.factors[block]
        inner = np.linalg.inv(np.eye(factors.shape[1]) - factors.T @ factors)
        covariance = self.noise * (np.eye(len(factors)) + factors @ inner @ factors.T)
        return shift @ covariance, covariance
