"""Kernel ridge regression, with the graph of all rows as one of its kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.sparse import csr_array
from torch import Tensor

from attar.isolation import one_thread
from attar.tasks.labels.graph import LabelledGraph
from attar.tasks.labels.members import HeadMember
from attar.tasks.neighbours import Array, Indices

# The squared widths of Gaussian kernels, in units of the mean squared distance of two rows.
WIDTHS = (0.1, 0.3, 1.0)

# Kernels are weighted by so many labelled rows at most, and look others up among so many.
COMPARED, LANDMARKS = 500, 2000

# The weight of the prior by which all kernels weigh the same, in rows.
PRIOR = 0.3

# So small a part of its diagonal is added to a kernel matrix before it is decomposed.
JITTER = 1e-9

# So many rows are predicted at once.
AT_ONCE = 1 << 12


@dataclass(frozen=True)
class KernelRidge(HeadMember):
    """Kernel ridge regression of targets on features.

    ::

        f(x) = mean + Σ_i a_i k(x, z_i),    k = Σ_j w_j k_j

    The kernels k_j are linear, Gaussian of three widths, and that of the graph of all rows,
    labelled or not, in which rows are alike that many paths of near rows join. Their weights w,
    relative to the ridge, have the least squared error of labelled rows, each predicted by the
    others: of kernel ridge regression this error is known in closed form (Allen's PRESS). The z are
    labelled rows: all, or a sample of them.

    Attributes
    ----------
    centre : array (d,)
        The mean features.
    unit : float
        The mean squared distance of two rows.
    weights : array (kernels,)
        Those of the graph come last.
    landmarks : array (z, d)
        Labelled rows.
    mean : array (c,)
        The mean target.
    coefficients : array (z, c)
    spread : array (n, c)
        What the graph adds to the prediction at its rows; none where nearly all is labelled.

    References
    ----------
    Allen, "The relationship between variable selection and data augmentation and a method for
    prediction", Technometrics 16, 1974. Zhu, Lafferty and Ghahramani, "Semi-supervised learning:
    from Gaussian fields to Gaussian processes", CMU-CS-03-175, 2003. Smola and Schölkopf, "Sparse
    greedy matrix approximation for machine learning", ICML 2000.
    """

    centre: Array
    unit: float
    weights: Array
    landmarks: Array
    mean: Array
    coefficients: Array
    spread: Array

    @classmethod
    def fit(
        cls,
        features: Array,
        labelled: Indices,
        targets: Array,
        graph: LabelledGraph | None,
        seed: int,
    ) -> tuple[Self, Array]:
        """Return the regression, and leave-one-out predictions of the labelled rows."""
        rng, mean = np.random.default_rng(seed), targets.mean(0)
        own = np.sort(rng.permutation(len(labelled))[:LANDMARKS])
        found = cls(
            centre=features.mean(0),
            unit=2 * float(features.var(0).sum()) or 1.0,
            weights=np.ones(len(WIDTHS) + 1),
            landmarks=features[labelled[own]],
            mean=mean,
            coefficients=np.zeros((len(own), targets.shape[1])),
            spread=np.zeros((0 if graph is None else graph.links.shape[0], targets.shape[1])),
        )
        kernels = found._kernels(features[labelled])
        if graph is not None and graph.near is not None:
            usual = np.trace(graph.near) / len(labelled)
            kernels.append(graph.near / usual)
        compared = rng.permutation(len(own))[:COMPARED]
        each, residuals = np.stack(kernels), targets - mean
        pairs = each[:, own[compared][:, None], compared]
        weights = chosen(pairs, residuals[own[compared]])
        kernel = np.tensordot(weights, each, 1)
        coefficients, held_out = ridge(kernel, kernel[own], residuals)
        found = replace(found, weights=weights, coefficients=coefficients)
        if graph is not None and graph.near is not None:
            spread = graph.spread(weights[-1] / usual * coefficients)
            found = replace(found, spread=spread)
        return found, mean + held_out

    def predict(self, features: Array, near: csr_array) -> Array:
        """Return the predictions of rows: what landmarks say, and near rows of the graph."""
        parts = [features[i : i + AT_ONCE] for i in range(0, len(features), AT_ONCE)]
        own = self.weights[: len(WIDTHS) + 1]
        kernels = (np.tensordot(own, np.stack(self._kernels(part)), 1) for part in parts)
        found = [kernel @ self.coefficients for kernel in kernels]
        return np.asarray(self.mean + np.concatenate(found) + near @ self.spread)

    def tensors(self) -> dict[str, Tensor]:
        """Return the numbers that :meth:`restored` needs."""
        names = ("centre", "weights", "landmarks", "mean", "coefficients", "spread")
        found = {name: torch.from_numpy(getattr(self, name)) for name in names}
        found["unit"] = torch.tensor(self.unit, dtype=torch.float64)
        return found

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the regression of :meth:`tensors`."""
        own: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
        return cls(**own | {"unit": float(own["unit"])})

    def _kernels(self, features: Array) -> list[Array]:
        """Return the kernels between rows (m, d) and the landmarks, but for the graph's."""
        a, b = features - self.centre, self.landmarks - self.centre
        inner = a @ b.T
        squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * inner
        distances = np.maximum(squares, 0) / self.unit
        return [2 * inner / self.unit, *(np.exp(-distances / width) for width in WIDTHS)]


def ridge(kernel: Array, own: Array, residuals: Array) -> tuple[Array, Array]:
    """Return the coefficients (z, c) of landmarks, and leave-one-out predictions (m, c).

    The coefficients a minimize ``|residuals - kernel a|² + aᵀ own a``: where the landmarks are the
    rows, this is kernel ridge regression, a = (K + I)^(-1) residuals.

    Parameters
    ----------
    kernel : array (m, z)
        Between labelled rows and landmarks.
    own : array (z, z)
        Between landmarks.
    residuals : array (m, c)
        The targets without their mean.
    """
    size = np.trace(own) / len(own)
    root = cholesky(own + JITTER * size * np.eye(len(own)), lower=True)
    maps = solve_triangular(root, kernel.T, lower=True).T
    factor = cho_factor(maps.T @ maps + np.eye(len(own)))
    solution = cho_solve(factor, maps.T @ residuals)
    influence = (maps * cho_solve(factor, maps.T).T).sum(1, keepdims=True)
    held_out = (maps @ solution - influence * residuals) / (1 - influence)
    return solve_triangular(root.T, solution), held_out


@one_thread()
def chosen(kernels: Array, residuals: Array) -> Array:
    """Return the weights of kernels with the least squared error of leave-one-out predictions.

    Parameters
    ----------
    kernels : array (k, m, m)
    residuals : array (m, c)
        The targets without their mean.
    """
    each, y = torch.from_numpy(kernels), torch.from_numpy(residuals)
    count, rows = kernels.shape[:2]
    identity, usual = torch.eye(rows, dtype=torch.float64), -np.log(count)

    def loss(values: Array) -> tuple[float, Array]:
        logarithms = torch.tensor(values, requires_grad=True)
        inverse = torch.linalg.inv(torch.tensordot(logarithms.exp(), each, 1) + identity)
        errors = inverse @ y / inverse.diagonal()[:, None]
        error = errors.square().sum() / y.square().sum()
        total = error + PRIOR / rows * (logarithms - logarithms.mean()).square().sum()
        (slope,) = torch.autograd.grad(total, logarithms)
        return float(total.detach()), slope.numpy()

    start = np.full(count, usual + 1.0)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-12, 12)] * count)
    return np.asarray(np.exp(found.x))
