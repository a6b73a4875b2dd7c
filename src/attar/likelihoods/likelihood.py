"""What every likelihood is: a distribution over the data, given the decoder's output."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor, nn

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
