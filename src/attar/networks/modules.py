"""Networks that the user brings: any pair of torch modules, Keras models on torch among them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Self

import torch
from torch import nn

from attar.errors import SettingError
from attar.networks.network import Network, Shape


@dataclass(frozen=True)
class Modules(Network):
    """A pair of torch modules as encoder and decoder; copies of them are trained.

    Parameters
    ----------
    given : pair of Module
        The encoder, (B, *shape) -> (B, features), and the decoder, (B, code) -> (B, *shape). A
        module that wants flat rows gets them flat, if the data's own shape doesn't suit it.
    """

    given: tuple[nn.Module, nn.Module]

    @classmethod
    def of(cls, given: object) -> Self:
        """Return the network that a user means by a pair (encoder, decoder).

        Raises
        ------
        SettingError
            If it is anything but two torch modules.
        """
        if isinstance(given, tuple) and len(given) == 2:
            encoder, decoder = given
            if isinstance(encoder, nn.Module) and isinstance(decoder, nn.Module):
                return cls((encoder, decoder))
        raise SettingError(
            "A network is a name, a spec such as attar.networks.Mlp, or a pair (encoder, decoder) "
            f"of torch modules, not {given!r}."
        )

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a copy of the encoder, once it has shown that it gives the wanted width.

        Raises
        ------
        SettingError
            If it gives something else.
        """
        module = deepcopy(self.given[0])
        found = _shape_of(module, shape)
        if len(shape) > 1 and found != (width,):
            flat = nn.Sequential(nn.Flatten(), module)
            if _shape_of(flat, shape) == (width,):
                return flat
        if found != (width,):
            raise SettingError(
                f"The encoder gives {found or 'nothing'} for a row of shape {shape}, but the code "
                f"is made from {width} features."
            )
        return module

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a copy of the decoder, once it has shown that it gives the data's shape.

        Raises
        ------
        SettingError
            If it gives something else.
        """
        module = deepcopy(self.given[1])
        found = _shape_of(module, (width,))
        if found == shape:
            return module
        unflat = nn.Sequential(module, nn.Unflatten(1, shape))
        if _shape_of(unflat, (width,)) == shape:
            return unflat
        raise SettingError(
            f"The decoder gives {found or 'nothing'} for a code of {width} numbers, but a row of "
            f"the data has shape {shape}."
        )

    def features(self, shape: Shape) -> int:
        """Return how many features the encoder gives for a row of this shape.

        Raises
        ------
        SettingError
            If it can't take such a row.
        """
        for module in (self.given[0], nn.Sequential(nn.Flatten(), self.given[0])):
            found = _shape_of(module, shape)
            if found is not None and len(found) == 1:
                return found[0]
        raise SettingError(f"The encoder cannot take rows of shape {shape} to features.")


def _shape_of(module: nn.Module, shape: Shape) -> Shape | None:
    """Return the shape that two blank rows have afterwards, without the rows; None if it fails."""
    try:
        with torch.no_grad():
            return tuple(module(torch.zeros(2, *shape)).shape[1:])
    except (RuntimeError, ValueError, IndexError):
        return None
