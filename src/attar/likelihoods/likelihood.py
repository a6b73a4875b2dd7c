"""What every likelihood is: a distribution over the data, given the decoder's output."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from attar.parts import Part


class LikelihoodModule(nn.Module):
    """A distribution over each cell of the data."""

    @abstractmethod
    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return the log-density of each cell of the target, in nats: (K, B, *shape)."""

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected data: the reconstruction."""

    def gradient(self, parameters: Tensor, target: Tensor) -> Tensor | None:
        """Return ∂(-log_prob)/∂parameters of each cell, or None where it is not written down.

        A step of training needs this and not the value, which costs more. It is only for
        likelihoods that learn nothing themselves.
        """
        return None


class Likelihood(Part):
    """The distribution that the decoder's output describes."""

    @abstractmethod
    def build(self) -> LikelihoodModule:
        """Return the module.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """
