"""Networks layer by layer: what the networks of another library become."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from attar.errors import SettingError, unknown
from attar.networks.base import Network, Reshape, Shape
from attar.networks.custom import ChannelsFirst, ChannelsLast

# Name, arguments, and the numbers of the layers whose outputs it takes: 0 is the network's input.
Layer = tuple[str, tuple[object, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Layered(Network, name="layered"):
    """The layers of encoder and decoder, as :func:`attar.from_keras` finds them.

    A layer is (name, arguments, inputs): a module of torch.nn by its name, or one of this file, its
    positional arguments, and the layers whose outputs it takes, from 1 on; 0 is the network's
    input. The output is that of the last layer.

    Parameters
    ----------
    encoding : tuple of layers
        From a row of the prepared data, channels first, to features.
    decoding : tuple of layers
        From a code to a row of the prepared data.

    Examples
    --------
    >>> from attar.networks import Layered
    >>> encoding = ("Linear", (64, 8), (0,)), ("ReLU", (), (1,))
    >>> network = Layered(encoding, (("Linear", (8, 64), (0,)),))
    >>> network.encoder((64,), 8)(torch.zeros(3, 64)).shape
    torch.Size([3, 8])
    """

    encoding: tuple[Layer, ...] = ()
    decoding: tuple[Layer, ...] = ()

    masked: ClassVar[bool] = False  # rows have the data's own shape

    def encoder(self, shape: Shape, width: int) -> nn.Module:
        """Return the encoder.

        Raises
        ------
        SettingError
            If its layers don't take rows of this shape, or give something else.
        """
        return _built("encoder", self.encoding, shape, (width,))

    def decoder(self, width: int, shape: Shape) -> nn.Module:
        """Return the decoder.

        Raises
        ------
        SettingError
            If its layers don't take codes of this width, or give something else.
        """
        return _built("decoder", self.decoding, (width,), shape)


class LayerGraph(nn.Module):
    """Layers, each of which takes outputs of those before it.

    Raises
    ------
    SettingError
        If there is no layer of a name.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        for name, _, _ in layers:
            if name not in LAYERS:
                raise unknown("layer", name, LAYERS)
        self.layers = nn.ModuleList(LAYERS[name](*given) for name, given, _ in layers)
        self.inputs = [inputs for _, _, inputs in layers]

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the last layer."""
        outputs = [x]
        for layer, inputs in zip(self.layers, self.inputs, strict=True):
            outputs.append(layer(*(outputs[i] for i in inputs)))
        return outputs[-1]


class Rescaled(nn.Module):
    """(x - shift) scale + offset, by constants of a shape that broadcasts against a row."""

    shift: Tensor
    scale: Tensor
    offset: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))
        self.register_buffer("offset", torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Return the values mapped."""
        return (x - self.shift) * self.scale + self.offset


class AddedNoise(nn.Module):
    """Adds Gaussian noise of a standard deviation in training."""

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, x: Tensor) -> Tensor:
        """Return x, with noise while training."""
        return x + self.deviation * torch.randn_like(x) if self.training else x


class Added(nn.Module):
    """The sum of several outputs."""

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """Return the sum."""
        for other in others:
            x = x + other
        return x


class Concatenated(nn.Module):
    """Several outputs beside each other, along the last axis."""

    def forward(self, *parts: Tensor) -> Tensor:
        """Return them as one."""
        return torch.cat(parts, dim=-1)


class Repeated(nn.Module):
    """(B, d) -> (B, steps, d), the same at each step."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        """Return x at each step."""
        return x[:, None].expand(-1, self.steps, -1)


class Recurrent(nn.Module):
    """(B, steps, inputs) -> (B, steps, units) by a recurrent layer of torch.nn, or its last step.

    Parameters
    ----------
    kind : str
        ``"LSTM"``, ``"GRU"`` or ``"RNN"``.
    inputs, units : int
    whole : bool
        Whether all steps are given.
    """

    def __init__(self, kind: str, inputs: int, units: int, whole: bool) -> None:
        super().__init__()
        kinds = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}
        self.cell, self.whole = kinds[kind](inputs, units, batch_first=True), whole

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of all steps, or of the last."""
        steps: Tensor = self.cell(x)[0]
        return steps if self.whole else steps[:, -1]


class Padded(nn.Module):
    """Zeros around the last axes of a row; a negative number of them cuts off.

    Parameters
    ----------
    pads : tuple of int
        Before and after the last axis, the one before it, and so on.
    """

    def __init__(self, *pads: int) -> None:
        super().__init__()
        self.pads = pads

    def forward(self, x: Tensor) -> Tensor:
        """Return x with its margins."""
        return nn.functional.pad(x, self.pads)


LAYERS: Mapping[str, Callable[..., nn.Module]] = {
    layer.__name__: layer
    for layer in (
        *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
        *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
        *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
        *(nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d, nn.Upsample),
        *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm),
        *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
        *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish),
        *(nn.Tanh, nn.Sigmoid, nn.Hardsigmoid, nn.Hardtanh, nn.Softplus, nn.Softsign, nn.Softmax),
        *(Added, AddedNoise, ChannelsFirst, ChannelsLast, Concatenated, Padded),
        *(Recurrent, Repeated, Rescaled, Reshape),
    )
}


def _built(role: str, layers: Sequence[Layer], given: Shape, wanted: Shape) -> nn.Module:
    """Return a network that is checked to go from one shape to another, without its weights."""
    if not layers:
        raise SettingError(
            "The network 'layered' has no layers: attar.from_keras finds those of a Keras model."
        )
    try:
        with torch.device("meta"):
            output = LayerGraph(layers).eval()(torch.empty(2, *given))
    except SettingError:
        raise
    except (IndexError, KeyError, RuntimeError, TypeError, ValueError):
        raise SettingError(f"The layers of the {role} don't take rows of shape {given}.") from None
    if output.shape[1:] != wanted:
        raise SettingError(
            f"The layers of the {role} give shape {tuple(output.shape[1:])} for rows of shape "
            f"{given}, where {wanted} is needed."
        )
    return LayerGraph(layers)
