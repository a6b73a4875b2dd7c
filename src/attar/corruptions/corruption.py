"""What every corruption is: values in, damaged values out."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from attar.parts import Part


class CorruptionModule(nn.Module):
    """Damages prepared values."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    @abstractmethod
    def forward(self, values: Tensor) -> Tensor:
        """Return a damaged copy of values (B, *shape)."""

    def damage(self, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return a damaged copy of values (B, *shape), and which cells must be brought back.

        Those are a bool tensor of the same shape, or None for all of them.
        """
        return self(values), None


class Corruption(Part):
    """What is done to the input before encoding.

    Attributes
    ----------
    provides : frozenset of str
        ``"gaps"`` where only some cells must be brought back, so that a likelihood which needs
        whole rows does not fit.
    """

    @abstractmethod
    def build(self) -> CorruptionModule:
        """Return the module.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """
