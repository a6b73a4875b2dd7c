"""Conditions: an input of encoder and decoder besides the data, such as a label."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.networks import Mlp
from attar.networks.mlp import zeroed
from attar.parts import Part


class Condition(Part):
    """How the encoder gets a condition; the decoder gets it concatenated with the code."""

    @abstractmethod
    def build(self, features: int, size: int) -> nn.Module:
        """Return a module: features (B, w) and a condition (B, size) to features (B, w)."""


@dataclass(frozen=True)
class Joined(Condition, name="joined"):
    """A residual layer on features and condition: h + f(h, c).

    Parameters
    ----------
    width : int
        Units of the hidden layer.

    Examples
    --------
    The layer is initialized at zero:

    >>> import torch
    >>> from attar.conditions import Joined
    >>> h, c = torch.randn(4, 16), torch.eye(4)
    >>> torch.equal(Joined().build(16, 4)(h, c), h)
    True

    References
    ----------
    Sohn, Lee and Yan, "Learning structured output representation using deep conditional
    generative models", NeurIPS 2015.
    """

    width: int = 128

    def build(self, features: int, size: int) -> nn.Module:
        """Return the module, which starts as the identity of the features."""
        return JoinedModule(Mlp((self.width,), "silu").encoder((features + size,), features))


class JoinedModule(nn.Module):
    """h + f(h, c)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        zeroed([m for m in body.modules() if isinstance(m, nn.Linear)][-1])

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Return features (B, w) that depend on the condition (B, c)."""
        residual: Tensor = self.body(torch.cat([features, condition], dim=1))
        return features + residual
