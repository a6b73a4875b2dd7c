"""Penalties on codes of two views of a row: two draws of the corruption."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.errors import SettingError
from attar.model import Model
from attar.networks.mlp import linear
from attar.penalties.base import Penalty, PenaltyTerm
from attar.penalties.covariance import covariance
from attar.records import Trace

# Added to variances, whose root has no slope at 0.
TINY = 1e-4


@dataclass(frozen=True)
class Views(Penalty, name="views"):
    r"""Variance, invariance and covariance of the codes of two views of each row (VICReg).

    A view is a draw of the corruption. A projection of two layers, for training alone, makes
    vectors a and b of k numbers from the codes of two views of each row; the loss is

    .. math:: \frac{λ}{k} |a - b|^2
        + \frac{μ}{k} \sum_j \max\left(0, 1 - \sqrt{\mathrm{Var}\, a_j}\right)
        + \frac{1}{k} \sum_{i≠j} C_{ij}^2,

    where λ is ``invariance`` and μ ``variance``, the last two terms are means over both views, and
    C is the covariance of vectors in a batch.

    Parameters
    ----------
    weight : float
        For each cell of a row, as the distortion is a sum over cells.
    invariance : float
        The weight of the distance of two views.
    variance : float
        The weight of standard deviations below 1.
    width : int
        k, and the units of the projection's hidden layer.

    Examples
    --------
    Vectors that are all equal have no variance:

    >>> import torch
    >>> print(f"{views_loss(torch.zeros(8, 4), torch.zeros(8, 4), 25.0, 25.0):.2f}")
    24.75

    References
    ----------
    Bardes, Ponce and LeCun, "VICReg: variance-invariance-covariance regularization for
    self-supervised learning", ICLR 2022.
    """

    weight: float = 0.05
    invariance: float = 25.0
    variance: float = 25.0
    width: int = 256

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the penalty; no weight may be negative."""
        weights = self.non_negative("invariance"), self.non_negative("variance")
        width, cells = self.positive_integer("width"), math.prod(shape)
        projection = nn.Sequential(
            linear(code_size, width), nn.BatchNorm1d(width), nn.ReLU(), linear(width, width)
        )

        def value(trace: Trace) -> Tensor:
            batch = replace(trace.batch, values=trace.batch.target, visible=None, level=None)
            other = model.corrupted(batch)
            if model.corruption is not None and other.target is not batch.target:
                raise SettingError(
                    "The penalty 'views' compares two views of each row, and this corruption makes "
                    "other rows: use another, such as 'augmentation'."
                )
            visible = other.observed if other.visible is None else other.visible
            features = model.features(other.values, visible, other.condition, other.level)
            codes = torch.cat([trace.coded.z[0], model.code(features).z[0]])
            a, b = projection(codes).chunk(2)
            return cells * views_loss(a, b, *weights)

        return self.term(value, head=projection)


def views_loss(a: Tensor, b: Tensor, invariance: float, variance: float) -> Tensor:
    """Return the loss of vectors (n, k) of two views: a scalar."""
    regularization = torch.stack([_regularization(z, variance) for z in (a, b)]).mean()
    return invariance * functional.mse_loss(a, b) + regularization


def _regularization(z: Tensor, variance: float) -> Tensor:
    c = covariance(z)
    variances = c.diagonal()
    hinge = (1 - (variances + TINY).sqrt()).clamp_min(0).mean()
    return variance * hinge + (c.square().sum() - variances.square().sum()) / len(c)
