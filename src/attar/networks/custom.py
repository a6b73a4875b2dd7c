"""Networks of the user's own: torch and Keras modules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from attar.errors import SettingError
from attar.networks.base import Network, Shape


@dataclass(frozen=True)
class CustomNetwork(Network):
    """A pair of torch modules as encoder and decoder; copies of them are trained.

    Parameters
    ----------
    given : pair of Module
        The encoder, (B, *shape) -> (B, features), and the decoder, (B, code) -> (B, *shape). Where
        the data's own shape doesn't suit a module, it gets channels last, or flat rows.
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
        given = []
        for module, found in self._encoders(shape):
            if found == (width,):
                return module
            given.append(found)
        raise SettingError(
            f"The encoder gives {given[0] or 'nothing'} for a row of shape {shape}, but the code "
            f"is made from {width} features."
        )

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a copy of the decoder, once it has shown that it gives the data's shape.

        Raises
        ------
        SettingError
            If it gives something else.
        """
        given = []
        for after in ([], [ChannelsFirst()], [nn.Unflatten(1, shape)]):
            module, found = _tried([_copy(self.given[1]), *after], (width,))
            if found == shape:
                return module
            given.append(found)
        raise SettingError(
            f"The decoder gives {given[0] or 'nothing'} for a code of {width} numbers, but a row "
            f"of the data has shape {shape}."
        )

    def features(self, shape: Shape) -> int:
        """Return how many features the encoder gives for a row of this shape.

        Raises
        ------
        SettingError
            If it can't take such a row.
        """
        for _, found in self._encoders(shape):
            if found is not None and len(found) == 1:
                return found[0]
        raise SettingError(f"The encoder cannot take rows of shape {shape} to features.")

    def _encoders(self, shape: Shape) -> Iterator[tuple[nn.Module, Shape | None]]:
        """Yield copies of the encoder after each view of a row that it may want."""
        for before in ([], [ChannelsLast()], [nn.Flatten()]):
            yield _tried([*before, _copy(self.given[0])], shape)


class ChannelsLast(nn.Module):
    """(B, C, *size) -> (B, *size, C), as Keras has images."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x with its channels last."""
        return x.movedim(1, -1)


class ChannelsFirst(nn.Module):
    """(B, *size, C) -> (B, C, *size)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x with its channels first."""
        return x.movedim(-1, 1)


class KerasBody(nn.Module):
    """A Keras layer or model that trains like a torch module.

    By itself it would list each weight once for every layer around it, by a name that depends on
    how many layers were made before, and would not know when it is being trained.

    Attributes
    ----------
    layer : keras.Layer
        It shares its weights with this module.
    """

    layer: Any

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.__dict__["layer"] = layer  # unseen by torch, which would register its weights
        self.weights = nn.ParameterList([variable.value for variable in layer.variables])

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a copy is made from: the layer, so that its weights stay shared."""
        return KerasBody, (self.layer,), {"training": self.training}

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output, dropout and the like included in training."""
        y: Tensor = self.layer(x, training=self.training)
        return y


def _tried(modules: list[nn.Module], shape: Shape) -> tuple[nn.Module, Shape | None]:
    """Return the modules as one, and the shape that they make of a row; None if they fail.

    Two blank rows are sent through, without training; this also builds what is built when called.
    """
    try:
        with torch.no_grad():
            found = tuple(nn.Sequential(*modules).eval()(torch.zeros(2, *shape)).shape[1:])
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError):
        found = None
    bodies = [KerasBody(module) if _is_keras(module) else module for module in modules]
    return (bodies[0] if len(bodies) == 1 else nn.Sequential(*bodies)), found


def _copy(module: nn.Module) -> nn.Module:
    try:
        return deepcopy(module)
    except Exception as error:  # whatever the user's own code may raise
        reason = " ".join(str(error).split())
        raise SettingError(f"No copy of {module!r} can be made to train: {reason}") from error


def _is_keras(module: nn.Module) -> bool:
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(module, keras.Layer)
