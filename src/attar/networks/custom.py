"""User-defined networks: torch and Keras modules."""

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
    modules : pair of Module
        The encoder, (B, *shape) -> (B, features), and the decoder, (B, code) -> (B, *shape).
        Modules that do not accept the data's shape get channels last, or flat rows.

    Examples
    --------
    >>> from torch import nn
    >>> from attar.networks import CustomNetwork
    >>> network = CustomNetwork((nn.Linear(64, 6), nn.Linear(3, 64)))
    >>> network.features((1, 8, 8))
    6
    """

    modules: tuple[nn.Module, nn.Module]

    name = "custom"  # not a member of the family, whose members are built from JSON

    @classmethod
    def of(cls, modules: object) -> Self:
        """Return the network of a pair (encoder, decoder).

        Raises
        ------
        SettingError
            If it is not a pair of torch modules.
        """
        if isinstance(modules, tuple) and len(modules) == 2:
            encoder, decoder = modules
            if isinstance(encoder, nn.Module) and isinstance(decoder, nn.Module):
                return cls((encoder, decoder))
        raise SettingError(
            "A network is a name, a spec such as attar.networks.Mlp, or a pair (encoder, decoder) "
            f"of torch modules, not {modules!r}."
        )

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return a copy of the encoder, checked to give this width.

        Raises
        ------
        SettingError
            If it gives something else.
        """
        outputs = []
        for module, output in self._encoders(shape):
            if output == (width,):
                return module
            outputs.append(output)
        raise SettingError(
            f"The encoder gives {outputs[0] or 'no tensor'} for a row of shape {shape}, but the "
            f"code is made from {width} features."
        )

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a copy of the decoder, checked to give this shape.

        Raises
        ------
        SettingError
            If it gives something else.
        """
        outputs = []
        for after in ([], [ChannelsFirst()], [nn.Unflatten(1, shape)]):
            module, output = _run([_copy(self.modules[1]), *after], (width,))
            if output == shape:
                return module
            outputs.append(output)
        raise SettingError(
            f"The decoder gives {outputs[0] or 'no tensor'} for a code of {width} dimensions, but "
            f"a row of the data has shape {shape}."
        )

    def features(self, shape: Shape) -> int:
        """Return the number of features that the encoder gives for a row of this shape.

        Raises
        ------
        SettingError
            If it does not accept such a row.
        """
        for _, output in self._encoders(shape):
            if output is not None and len(output) == 1:
                return output[0]
        raise SettingError(f"The encoder cannot take rows of shape {shape} to features.")

    def _encoders(self, shape: Shape) -> Iterator[tuple[nn.Module, Shape | None]]:
        """Yield copies of the encoder for each layout of a row, with the shape of its output."""
        for before in ([], [ChannelsLast()], [nn.Flatten()]):
            yield _run([*before, _copy(self.modules[0])], shape)


class ChannelsLast(nn.Module):
    """(B, C, *size) -> (B, *size, C), the image layout of Keras."""

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

    Keras lists a weight once for each enclosing layer, under a name that depends on the number of
    layers built before, and has no training mode of its own.

    Attributes
    ----------
    layer : keras.Layer
        It shares its weights with this module.
    """

    layer: nn.Module

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.__dict__["layer"] = layer  # not as a submodule, whose weights torch would register
        self.weights = nn.ParameterList([variable.value for variable in layer.variables])

    def __reduce__(self) -> tuple[object, ...]:
        """Copy by way of the layer, so that its weights stay shared."""
        return KerasBody, (self.layer,), {"training": self.training}

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output, in its training mode while training."""
        y: Tensor = self.layer(x, training=self.training)
        return y


def _run(modules: list[nn.Module], shape: Shape) -> tuple[nn.Module, Shape | None]:
    """Return the modules as one, and the shape of their output for a row; None if they fail.

    A forward pass of two rows of zeros, in evaluation mode, also builds lazy layers.
    """
    try:
        with torch.no_grad():
            output = tuple(nn.Sequential(*modules).eval()(torch.zeros(2, *shape)).shape[1:])
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError):
        output = None
    bodies = [KerasBody(module) if _is_keras(module) else module for module in modules]
    return (bodies[0] if len(bodies) == 1 else nn.Sequential(*bodies)), output


def _copy(module: nn.Module) -> nn.Module:
    try:
        return deepcopy(module)
    except Exception as error:  # user code may raise anything
        reason = " ".join(str(error).split())
        raise SettingError(f"{module!r} cannot be copied for training: {reason}") from error


def _is_keras(module: nn.Module) -> bool:
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(module, keras.Layer)
