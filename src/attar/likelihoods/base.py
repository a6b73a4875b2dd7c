"""What every likelihood is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import ClassVar, Self

from torch import Tensor, nn

from attar.errors import SettingError
from attar.parts import Part

Shape = tuple[int, ...]


class LikelihoodModule(nn.Module, ABC):
    """A distribution over each cell of the data.

    Attributes
    ----------
    half_precision : bool
        Whether a network of its own computes in bfloat16 in training.
    """

    half_precision = False

    @abstractmethod
    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return the log-density of each cell of the target, in nats.

        A density of several cells is split among them: only their sum over a row is a log-density.

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

    @abstractmethod
    def sample(self, parameters: Tensor) -> Tensor:
        """Return a draw of each row's data, from torch's own generator: (..., *shape)."""

    def cdf(self, parameters: Tensor, values: Tensor) -> Tensor | None:
        """Return P(x < value) of values (K, B, *shape) between those that cells can have.

        None where there is no closed form. Lossless coding needs only this, which costs less than
        the sum of the probabilities below.
        """
        return None

    def start(self, target: Tensor) -> Tensor | None:
        """Return parameters that suit rows (B, *shape), which a linear decoder starts from.

        None leaves the decoder as it is.
        """
        return None

    def rare_weights(self) -> list[Tensor]:
        """Return matrices of which few rows have a gradient in a step, as an embedding has."""
        return []

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor | None:
        """Return ∂(-log_prob)/∂parameters of each cell, or None to leave it to autograd.

        A training step needs only this, which costs less than the value. It is for likelihoods
        without trained parameters of their own.
        """
        return None


class LocationModule(LikelihoodModule):
    """A location family: x - m has one distribution for every decoder output m."""

    @abstractmethod
    def log_density(self, deviation: Tensor) -> Tensor:
        """Return the log-density of x - m."""

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return log p(x - m)."""
        return self.log_density(target - parameters)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return m, also where a heavy tail leaves the mean undefined."""
        return parameters

    def start(self, target: Tensor) -> Tensor:
        """Return the rows."""
        return target

    @abstractmethod
    def deviations(self, parameters: Tensor) -> Tensor:
        """Return draws of x - m, one for each cell."""

    def sample(self, parameters: Tensor) -> Tensor:
        """Return m plus a draw of x - m."""
        return parameters + self.deviations(parameters)


class Likelihood(Part):
    """The distribution that the decoder's output describes.

    Attributes
    ----------
    density : bool
        Whether ``log_prob`` is the logarithm of a density or a probability. Otherwise it is minus a
        distortion, which trains a model but gives no likelihood of a row.
    joint : bool
        Whether cells depend on each other given the code, so that new rows are draws by default.
    """

    density: ClassVar[bool] = True
    joint: ClassVar[bool] = False

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
# easily predicted would dominate the loss.
LEAST_SCALE = 0.03


class ColumnLikelihood(Likelihood):
    """A likelihood that can describe all cells of a row, or a column among others of a table.

    Similar columns are computed together. A trained scale is then one for each column, and
    LEAST_SCALE + exp(log-scale), which has a floor and a gradient everywhere.
    """

    @property
    def cells(self) -> int:
        """The number of prepared cells that a column takes."""
        return 1

    @property
    def group(self) -> Hashable:
        """The key of the columns that are computed together; by default they are equal."""
        return self

    @classmethod
    def build_columns(cls, columns: Sequence[Self]) -> LikelihoodModule:
        """Return one module for the cells of columns of one group, side by side.

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
        If the rows are not images.
    """
    if len(shape) != 3:
        raise SettingError(
            f"The likelihood {likelihood.name!r} needs images (channels, height, width), but a row "
            f"of this data has shape {shape}: use 'gaussian' or 'bernoulli'."
        )
    channels, height, width = shape
    return channels, height, width
