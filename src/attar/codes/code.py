"""What every code is: features in, a Coded out."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from attar.parts import Part
from attar.priors import PriorModule
from attar.records import Coded


class CodeModule(nn.Module):
    """Turns features into codes.

    Attributes
    ----------
    prior : PriorModule or None
        Where codes are expected to lie; None where nothing is expected.
    """

    def __init__(self, prior: PriorModule | None = None) -> None:
        super().__init__()
        self.prior = prior

    @abstractmethod
    def forward(self, features: Tensor, noise: Tensor | None = None) -> Coded:
        """Return the codes of features (B, w).

        Parameters
        ----------
        noise : Tensor (K, B or 1, d) or None
            The draws to use where the code is random; with them the densities at each draw are
            returned too. None makes one fresh draw.
        """

    @abstractmethod
    def point(self, features: Tensor) -> Tensor:
        """Return one code of each row, without chance: (B, d)."""

    def shown(self, z: Tensor) -> Tensor:
        """Return what the decoder sees of codes (n, d): the codes themselves, but for a reason."""
        return z

    def constrain(self, z: Tensor) -> Tensor:
        """Return the valid codes nearest to these: (n, d)."""
        return z

    def on_epoch(self) -> None:
        """Look after what lasts longer than a batch; called after each epoch of training."""


class Code(Part):
    """How features become a code, and what the code costs.

    Attributes
    ----------
    beta : float
        The weight of the rate in the loss.
    provides : frozenset of str
        ``"density"`` where the model has a likelihood of whole rows; ``"sparse"`` where codes
        larger than the data are usual; ``"ordered"`` where the first k numbers are a code too.
    """

    beta: float

    @property
    def least_size(self) -> int:
        """The smallest code that makes sense."""
        return 1

    def width(self, code_size: int) -> int:
        """Return how many features a code of this size is made from."""
        return code_size

    def shown(self, code_size: int) -> int:
        """Return how many numbers the decoder sees of a code of this size."""
        return code_size

    @abstractmethod
    def build(self, code_size: int) -> CodeModule:
        """Return the module.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """
