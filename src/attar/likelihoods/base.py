"""What every likelihood is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import ClassVar, Self

from torch import Tensor, nn

from attar.errors import SettingError
from attar.parts import Part

Shape = tuple[int, ...]


class LikelihoodModule(nn.Module):
    """A distribution over each cell of the data."""

    @abstractmethod
    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return the log-density of each cell of the target, in nats.

        Where cells are described together, each gets a share: it is the sum over a row that is a
        log-density.

        Parameters
        ----------
        parameters : Tensor (K, B, *parameters' shape)
        target : Tensor (B, *shape)

        Returns
        -------
        Tensor (K, B, *shape)
        """

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected data, which is the reconstruction: (..., *shape)."""

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor | None:
        """Return ∂(-log_prob)/∂parameters of each cell, or None where it is not written down.

        A step of training needs this and not the value, which costs more. It is only for
        likelihoods that learn nothing themselves.
        """
        return None


class Likelihood(Part):
    """The distribution that the decoder's output describes.

    Attributes
    ----------
    density : bool
        Whether ``log_prob`` is the logarithm of a density or a probability. Where it is not, it is
        minus a distortion: good for training, but no likelihood of a row can be told from it.
    """

    density: ClassVar[bool] = True

    @abstractmethod
    def build(self) -> LikelihoodModule:
        """Return the module.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """

    def parameters(self, shape: Shape) -> Shape:
        """Return the shape of the decoder's output for rows of a prepared shape.

        Raises
        ------
        SettingError
            If this likelihood cannot describe such rows.
        """
        return shape


# In prepared units. The loss of a column goes with 1/scale²: without a floor, one column that is
# easily told would take over the whole loss.
LEAST_SCALE = 0.03


class ColumnLikelihood(Likelihood):
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


def image_shape(likelihood: Likelihood, shape: Shape) -> tuple[int, int, int]:
    """Return channels, height and width of a prepared row.

    Raises
    ------
    SettingError
        If the rows are no images.
    """
    if len(shape) != 3:
        raise SettingError(
            f"The likelihood {likelihood.name!r} needs images (channels, height, width), but a row "
            f"of this data has shape {shape}: use 'gaussian' or 'bernoulli'."
        )
    channels, height, width = shape
    return channels, height, width
