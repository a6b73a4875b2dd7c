"""User-defined networks: torch and Keras modules."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor, nn

from attar.errors import SettingError, first_line
from attar.networks.base import Network, Shape


@dataclass(frozen=True)
class CustomNetwork(Network):
    """A pair of torch modules as encoder and decoder; copies of them are trained.

    Parameters
    ----------
    modules : pair of Module
        The encoder, (B, *shape) -> (B, features), and the decoder, (B, code) -> (B, *shape).
        Modules that do not accept the data's shape get channels last, or flat rows. For a
        Gaussian code the encoder may return the pair (mean, log-variance), each (B, code). Copies
        are in single precision.

    Examples
    --------
    >>> from torch import nn
    >>> from attar.networks import CustomNetwork
    >>> network = CustomNetwork((nn.Linear(64, 6), nn.Linear(3, 64)))
    >>> network.features((1, 8, 8))
    6
    """

    modules: tuple[nn.Module, nn.Module]

    masked: ClassVar[bool] = False  # rows have the data's own shape
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
        attempts = self._encoders(shape)
        for attempt in attempts:
            if attempt.output == (width,):
                return attempt.module
        raise SettingError(
            f"The encoder gives {_output('encoder', attempts, shape)} for a row of shape {shape}, "
            f"but the code is made from {width} features."
        )

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return a copy of the decoder, checked to give this shape.

        Raises
        ------
        SettingError
            If it gives something else.
        """
        attempts = []
        for after in ([], [ChannelsFirst()], [nn.Unflatten(1, shape)]):
            attempts.append(_attempt([_copy(self.modules[1]), *after], (width,)))
            if attempts[-1].output == shape:
                return attempts[-1].module
        output = _output("decoder", attempts[:1], (width,))
        raise SettingError(
            f"The decoder gives {output} for a code of {width} dimensions, but a row of the data "
            f"has shape {shape}."
        )

    def features(self, shape: Shape) -> int:
        """Return the number of features that the encoder gives for a row of this shape.

        Raises
        ------
        SettingError
            If it does not accept such a row.
        """
        attempts = self._encoders(shape)
        for attempt in attempts:
            if attempt.output is not None and len(attempt.output) == 1:
                return attempt.output[0]
        raise SettingError(
            f"The encoder must give features, not {_output('encoder', attempts, shape)} for a row "
            f"of shape {shape}."
        )

    def gives_moments(self, shape: Shape) -> bool:
        """Return whether the encoder returns (mean, log-variance) for rows of this shape."""
        return any(
            isinstance(part, JoinedMoments) for part in self._encoders(shape)[-1].module.modules()
        )

    def output_limits(self, width: int, shape: Shape) -> tuple[float, float]:
        """Return between which numbers the decoder's last activation keeps its outputs.

        (0, 1) for a sigmoid, (-1, 1) for a hyperbolic tangent, (0, ∞) for a rectified unit, else
        (-∞, ∞); found from the outputs for codes near 0 and far from it, wherever it is written.
        """
        rows = min(32, max(2, (1 << 18) // math.prod(shape)))
        codes = torch.randn(rows, width, generator=Generator().manual_seed(0))
        with torch.no_grad():
            outputs = self.decoder(width, shape).eval()(torch.cat([codes, 100 * codes]))
        least, most = float(outputs.min()), float(outputs.max())
        if 0 <= least < most:
            return 0.0, 1.0 if most <= 1 else math.inf
        if -1 <= least < -0.99 and 0.99 < most <= 1:
            return -1.0, 1.0
        return -math.inf, math.inf

    def _encoders(self, shape: Shape) -> list[Attempt]:
        """Return copies of the encoder on a row in each layout, up to one that gives features."""
        attempts = []
        for before in ([], [ChannelsLast()], [nn.Flatten()]):
            attempts.append(_attempt([*before, _copy(self.modules[0])], shape))
            if attempts[-1].output is not None and len(attempts[-1].output) == 1:
                break
        return attempts


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


class JoinedMoments(nn.Module):
    """The pair (mean, log-variance) -> the features of a Gaussian code."""

    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        """Return mean and log-variance beside each other."""
        return torch.cat(tuple(pair), dim=-1)


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


@dataclass(frozen=True)
class Attempt:
    """A body on a row in one layout: the shape of its output, or None and the reason."""

    module: nn.Module
    output: Shape | None
    reason: str = ""


def _attempt(modules: list[nn.Module], shape: Shape) -> Attempt:
    """Return the outcome of a forward pass of two rows of zeros, in evaluation mode.

    It also builds lazy layers.
    """
    reason = ""
    try:
        with torch.no_grad():
            given = nn.Sequential(*modules).eval()(torch.zeros(2, *shape))
    except Exception as error:  # user code may raise anything
        given, reason = None, f"fails with {first_line(error)!r}"
    bodies = [KerasBody(module) if _is_keras(module) else module for module in modules]
    if isinstance(given, tuple | list) and _are_moments(given):
        bodies.append(JoinedMoments())
        given = torch.cat(tuple(given), dim=-1)
    module = bodies[0] if len(bodies) == 1 else nn.Sequential(*bodies)
    if isinstance(given, Tensor):
        return Attempt(module, tuple(given.shape[1:]))
    return Attempt(module, None, reason or f"returns a {type(given).__name__}")


def _are_moments(given: Sequence[object]) -> bool:
    """Return whether these are a mean and a log-variance: two matrices of one shape."""
    shapes = [part.shape for part in given if isinstance(part, Tensor) and part.ndim == 2]
    return len(given) == len(shapes) == 2 and shapes[0] == shapes[1]


def _output(role: str, attempts: Sequence[Attempt], shape: Shape) -> Shape:
    """Return the shape that the first successful attempt gave.

    Raises
    ------
    SettingError
        If none was successful.
    """
    for attempt in attempts:
        if attempt.output is not None:
            return attempt.output
    first, last = attempts[0].reason, attempts[-1].reason
    flat = f", and on flat rows {last}" if last != first else ""
    raise SettingError(f"The {role} {first} on rows of shape {shape}{flat}.")


def _copy(module: nn.Module) -> nn.Module:
    """Return a copy in single precision."""
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise SettingError(
            "A module of torch.jit cannot be copied for training: give the module that it was "
            "made from."
        )
    try:
        copy = deepcopy(module)
    except Exception as error:  # user code may raise anything
        raise SettingError(
            f"{module!r} cannot be copied for training: {first_line(error)}."
        ) from error
    return copy if _is_keras(module) else copy.float()


def _is_keras(module: nn.Module) -> bool:
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(module, keras.Layer)
