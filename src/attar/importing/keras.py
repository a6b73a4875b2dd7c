"""The layers of Keras as layers of torch, with their weights."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from attar.errors import SettingError
from attar.exporting.translations import library
from attar.networks.base import Shape
from attar.networks.layers import Layer, LayerGraph

Array = NDArray[Any]

# Keras has no types: a model, a layer, a symbolic tensor.
KerasModel = Any
KerasLayer = Any
Symbol = Any

# By their names in Keras: those of torch.nn that do the same, and their arguments.
ACTIVATIONS: dict[str, tuple[str, tuple[object, ...]]] = {
    "elu": ("ELU", ()),
    "gelu": ("GELU", ()),
    "hard_sigmoid": ("Hardsigmoid", ()),
    "leaky_relu": ("LeakyReLU", (0.2,)),
    "mish": ("Mish", ()),
    "relu": ("ReLU", ()),
    "relu6": ("ReLU6", ()),
    "selu": ("SELU", ()),
    "sigmoid": ("Sigmoid", ()),
    "silu": ("SiLU", ()),
    "softmax": ("Softmax", (-1,)),
    "softplus": ("Softplus", ()),
    "softsign": ("Softsign", ()),
    "tanh": ("Tanh", ()),
}

# The order of the gates of a GRU in torch, of those in Keras.
GATES = (1, 0, 2)


class KerasLayers:
    """Layers that compute what a model of Keras does; images have their channels last between them.

    Attributes
    ----------
    layers : list of Layer
    weights : list of sequence of array
        Of each layer, in the order of its state.
    """

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.weights: list[Sequence[Array]] = []

    def add(
        self, name: str, *arguments: object, of: Sequence[int], weights: Sequence[Array] = ()
    ) -> int:
        """Append a layer, and return its number.

        Parameters
        ----------
        name, arguments
            Of :class:`~attar.networks.Layered`.
        of : sequence of int
            The layers whose outputs it takes.
        weights : sequence of array
        """
        self.layers.append((name, arguments, tuple(of)))
        self.weights.append(weights)
        return len(self.layers)

    def reshaped(self, of: int, shape: Shape, wanted: Shape) -> int:
        """Append what brings an output of a shape to another one, if it is another."""
        return of if shape == wanted else self.add("Reshape", wanted, of=[of])

    def first(self, of: int) -> int:
        """Append what brings the channels of an output to the front."""
        name, _, inputs = self.layers[of - 1] if of else ("", (), (0,))
        return inputs[0] if name == "ChannelsLast" else self.add("ChannelsFirst", of=[of])

    def ending(self, last: int) -> tuple[Layer, ...]:
        """Return the layers up to the one whose output is that of all."""
        if not last:
            return (("Reshape", ((-1,),), (0,)),)
        del self.layers[last:], self.weights[last:]
        return tuple(self.layers)

    def load(self, graph: nn.Module) -> None:
        """Give the weights to the modules of these layers."""
        assert isinstance(graph, LayerGraph)
        with torch.no_grad():
            for layer, arrays in zip(graph.layers, self.weights, strict=True):
                tensors = [t for t in layer.state_dict().values() if t.is_floating_point()]
                for tensor, array in zip(tensors, arrays, strict=True):
                    tensor.copy_(torch.from_numpy(array.reshape(tensor.shape)))

    def model(self, model: KerasModel, given: Sequence[int], most: int | None = None) -> list[int]:
        """Append the layers of a model, and return those that give its outputs, so many at most.

        Raises
        ------
        SettingError
            If a layer has no counterpart in torch.
        """
        known = dict(zip(map(id, model.inputs), given, strict=True))
        return [self._output(tensor, known) for tensor in model.outputs[:most]]

    def _output(self, tensor: Symbol, known: dict[int, int]) -> int:
        if id(tensor) not in known:
            operation, call, _ = tensor._keras_history
            node = operation._inbound_nodes[call]
            given = [self._output(one, known) for one in node.input_tensors]
            if hasattr(operation, "inputs") and hasattr(operation, "outputs"):
                found = self.model(operation, given)
            else:
                found = [self._layer(operation, given, node)]
            known.update(zip(map(id, node.output_tensors), found, strict=True))
        return known[id(tensor)]

    def _layer(self, layer: KerasLayer, given: Sequence[int], node: Any) -> int:
        kind = type(layer).__name__
        own = type(layer).__module__.partition(".")[0] == "keras"
        if not own or not given or getattr(layer, "data_format", None) == "channels_first":
            raise refusal(layer)
        shapes = [tuple(tensor.shape[1:]) for tensor in node.input_tensors]
        (output,) = [tuple(tensor.shape[1:]) for tensor in node.output_tensors]
        of, shape = given[0], shapes[0]
        match kind.rstrip("123D"):
            case "Identity" | "ActivityRegularization":
                return of
            case "Flatten" | "Reshape":
                return self.reshaped(of, shape, output)
            case "Dense":
                kernel = array(layer.kernel)
                bias = biases(layer)
                dense = self.add(
                    "Linear", *kernel.shape, bool(bias), of=[of], weights=[kernel.T, *bias]
                )
                return self._activated(layer, dense)
            case "TimeDistributed" if type(layer.layer).__name__ == "Dense":
                return self._layer(layer.layer, given, node)
            case "Conv":
                return self._activated(layer, self._convolution(layer, of, shape))
            case "Conv1DTranspose" | "Conv2DTranspose" | "Conv3DTranspose":
                return self._activated(layer, self._transposed(layer, of, shape, output))
            case "MaxPooling" | "AveragePooling":
                return self._pooling(layer, of, shape)
            case "GlobalMaxPooling" | "GlobalAveragePooling":
                pool = "MaxPool" if "Max" in kind else "AvgPool"
                pooled = self._spatial(f"{pool}{len(shape) - 1}d", shape[:-1], of=of)
                return self.add("Reshape", output, of=[pooled])
            case "UpSampling":
                mode = getattr(layer, "interpolation", "nearest")
                if mode in ("nearest", "bilinear"):
                    return self._spatial("Upsample", output[:-1], None, mode, of=of)
            case "ZeroPadding":
                return self._spatial("Padded", *ends(margins(layer.padding)), of=of)
            case "Cropping":
                cut = [(-before, -after) for before, after in margins(layer.cropping)]
                return self._spatial("Padded", *ends(cut), of=of)
            case "Activation":
                return self._activated(layer, of)
            case "ReLU" | "LeakyReLU" | "ELU" | "Softmax":
                return self._own_activation(layer, kind, of)
            case "Dropout":
                return self.add("Dropout", layer.rate, of=[of])
            case "SpatialDropout":
                return self._spatial(f"Dropout{len(shape) - 1}d", layer.rate, of=of)
            case "GaussianNoise":
                return self.add("AddedNoise", layer.stddev, of=[of])
            case "BatchNormalization" | "LayerNormalization" | "GroupNormalization":
                return self._normalized(layer, kind, of, shape)
            case "Rescaling" | "Normalization":
                return self._rescaled(layer, kind, of, shape)
            case "Add":
                return self.add("Added", of=given)
            case "Concatenate" if layer.axis in (-1, len(shape)):
                return self.add("Concatenated", of=given)
            case "LSTM" | "GRU" | "SimpleRNN":
                return self._recurrent(layer, kind, of)
            case "RepeatVector":
                return self.add("Repeated", layer.n, of=[of])
        raise refusal(layer)

    def _spatial(
        self, name: str, *arguments: object, of: int, weights: Sequence[Array] = ()
    ) -> int:
        """Append a layer that has its channels first."""
        given = self.first(of)
        return self.add(
            "ChannelsLast", of=[self.add(name, *arguments, of=[given], weights=weights)]
        )

    def _activated(self, layer: KerasLayer, of: int) -> int:
        name = layer.activation.__name__
        if name == "linear":
            return of
        if name not in ACTIVATIONS:
            raise refusal(layer, f" with the activation {name!r}")
        function, arguments = ACTIVATIONS[name]
        return self.add(function, *arguments, of=[of])

    def _own_activation(self, layer: KerasLayer, kind: str, of: int) -> int:
        match kind:
            case "LeakyReLU":
                return self.add("LeakyReLU", float(layer.negative_slope), of=[of])
            case "ELU":
                return self.add("ELU", float(layer.alpha), of=[of])
            case "Softmax" if layer.axis == -1:
                return self.add("Softmax", -1, of=[of])
            case "ReLU" if not layer.threshold and layer.max_value is None:
                return self.add("LeakyReLU", float(layer.negative_slope), of=[of])
            case "ReLU" if not layer.threshold and not layer.negative_slope:
                return self.add("Hardtanh", 0.0, float(layer.max_value), of=[of])
        raise refusal(layer, " with these settings")

    def _convolution(self, layer: KerasLayer, of: int, shape: Shape) -> int:
        kernel, bias = array(layer.kernel), biases(layer)
        *size, inputs, outputs = kernel.shape
        strides, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
        wide = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
        pads = [(0, 0)] * len(size)
        if layer.padding == "same":
            pads = [same(*sizes) for sizes in zip(shape, wide, strides, strict=False)]
        elif layer.padding == "causal":
            pads = [(wide[0] - 1, 0)]
        place, padding = self.first(of), tuple(before for before, _ in pads)
        if any(before != after for before, after in pads):
            place, padding = self.add("Padded", *ends(pads), of=[place]), (0,) * len(size)
        convolved = self.add(
            f"Conv{len(size)}d",
            *(inputs * layer.groups, outputs, tuple(size), strides, padding, dilation),
            *(layer.groups, bool(bias)),
            of=[place],
            weights=[channels_first(kernel), *bias],
        )
        return self.add("ChannelsLast", of=[convolved])

    def _transposed(self, layer: KerasLayer, of: int, shape: Shape, output: Shape) -> int:
        kernel, bias = array(layer.kernel), biases(layer)
        *size, outputs, inputs = kernel.shape
        strides, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
        if layer.output_padding is not None:
            raise refusal(layer, " with output_padding")
        wide = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
        cut, grown = [], []
        for n, k, s, wanted in zip(shape, wide, strides, output, strict=False):
            before = max(k - s, 0) // 2 if layer.padding == "same" else 0
            after = wanted - ((n - 1) * s + k - before)
            cut.append((-before, min(after, 0)))
            grown.append(max(after, 0))
        place = self.add(
            f"ConvTranspose{len(size)}d",
            *(inputs, outputs, tuple(size), strides, 0, tuple(grown), 1, bool(bias), dilation),
            of=[self.first(of)],
            weights=[channels_first(kernel), *bias],
        )
        if any(map(any, cut)):
            place = self.add("Padded", *ends(cut), of=[place])
        return self.add("ChannelsLast", of=[place])

    def _pooling(self, layer: KerasLayer, of: int, shape: Shape) -> int:
        size, strides = tuple(layer.pool_size), tuple(layer.strides)
        pads = [(0, 0)] * len(size)
        if layer.padding == "same":
            pads = [same(*sizes) for sizes in zip(shape, size, strides, strict=False)]
        place, padding = self.first(of), tuple(before for before, _ in pads)
        uneven = any(before != after for before, after in pads)
        if "Max" in type(layer).__name__:
            if uneven:  # at its edge a maximum does not change
                place = self.add(f"ReplicationPad{len(size)}d", ends(pads), of=[place])
                padding = (0,) * len(size)
            pooled = self.add(f"MaxPool{len(size)}d", size, strides, padding, of=[place])
        elif uneven:  # where Keras's backends differ
            raise refusal(layer, " with more padding on one side")
        else:
            average = f"AvgPool{len(size)}d"
            pooled = self.add(average, size, strides, padding, False, False, of=[place])
        return self.add("ChannelsLast", of=[pooled])

    def _normalized(self, layer: KerasLayer, kind: str, of: int, shape: Shape) -> int:
        axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
        if list(axes) not in ([-1], [len(shape)]) or getattr(layer, "rms_scaling", False):
            raise refusal(layer, " of other axes than the last")
        width, epsilon = shape[-1], layer.epsilon
        scale = np.ones(width, np.float32) if layer.gamma is None else array(layer.gamma)
        shift = np.zeros(width, np.float32) if layer.beta is None else array(layer.beta)
        weights = [scale, shift]
        match kind:
            case "LayerNormalization":
                return self.add("LayerNorm", width, epsilon, of=[of], weights=weights)
            case "GroupNormalization":
                groups = width if layer.groups == -1 else layer.groups
                return self._spatial("GroupNorm", groups, width, epsilon, of=of, weights=weights)
        weights += [array(layer.moving_mean), array(layer.moving_variance)]
        arguments = width, epsilon, 1 - layer.momentum
        if len(shape) == 1:
            return self.add("BatchNorm1d", *arguments, of=[of], weights=weights)
        return self._spatial(f"BatchNorm{len(shape) - 1}d", *arguments, of=of, weights=weights)

    def _rescaled(self, layer: KerasLayer, kind: str, of: int, shape: Shape) -> int:
        if kind == "Rescaling":
            constants = [np.zeros(()), array(layer.scale), array(layer.offset)]
        elif layer.invert:
            raise refusal(layer, " with invert=True")
        else:
            deviation = np.maximum(np.sqrt(array(layer.variance)), np.float32(1e-7))
            constants = [array(layer.mean), 1 / deviation, np.zeros(())]
        try:
            spread = [np.broadcast_to(one, shape).astype(np.float32) for one in constants]
        except ValueError:
            spread = [np.broadcast_to(one, (1, *shape))[0].astype(np.float32) for one in constants]
        return self.add("Rescaled", *shape, of=[of], weights=spread)

    def _recurrent(self, layer: KerasLayer, kind: str, of: int) -> int:
        cell = layer.cell
        gates = [layer.activation, *([] if kind == "SimpleRNN" else [layer.recurrent_activation])]
        usual = [gate.__name__ for gate in gates] == ["tanh", "sigmoid"][: len(gates)]
        if not usual or layer.go_backwards or not getattr(layer, "reset_after", True):
            raise refusal(layer, " with these settings")
        kernel, recurrent = array(cell.kernel), array(cell.recurrent_kernel)
        units = recurrent.shape[0]
        bias = np.zeros(kernel.shape[1]) if cell.bias is None else array(cell.bias)
        biases = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        weights = [kernel.T, recurrent.T, *biases]
        if kind == "GRU":
            weights = [w.reshape(3, units, -1)[list(GATES)].reshape(w.shape) for w in weights]
        return self.add(
            "Recurrent",
            *(kind.removeprefix("Simple"), kernel.shape[0], units, bool(layer.return_sequences)),
            of=[of],
            weights=[w.astype(np.float32) for w in weights],
        )


def array(variable: Any) -> Array:
    """Return a variable of Keras, or a number, in single precision."""
    ops = library("keras", "keras").ops
    return np.asarray(ops.convert_to_numpy(variable), np.float32)


def biases(layer: KerasLayer) -> list[Array]:
    """Return the bias of a layer, if it has one."""
    return [] if layer.bias is None else [array(layer.bias)]


def channels_first(kernel: Array) -> Array:
    """Return a kernel (*size, a, b) as torch has it: (b, a, *size)."""
    return np.moveaxis(kernel, (-1, -2), (0, 1)).copy()


def same(length: int, size: int, stride: int) -> tuple[int, int]:
    """Return the padding before and after an axis that gives it ceil(length / stride) outputs.

    Examples
    --------
    >>> same(28, 3, 2), same(28, 3, 1)
    ((0, 1), (1, 1))
    """
    total = max((-(-length // stride) - 1) * stride + size - length, 0)
    return total // 2, total - total // 2


def margins(given: Any) -> list[tuple[int, int]]:
    """Return the margins of each axis: (before, after) of one, or a pair for each."""
    pairs = [given] if isinstance(given[0], int) else given
    return [(before, after) for before, after in pairs]


def ends(pads: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Return the padding of axes as torch has it: the last axis first."""
    return tuple(chain(*reversed(pads)))


def refusal(layer: KerasLayer, how: str = "") -> SettingError:
    """Return the error for a layer that has no counterpart."""
    return SettingError(
        f"The layer {layer.name!r} of Keras ({type(layer).__name__}{how}) has no counterpart in "
        "attar: docs/exports.md lists those that do; network=(encoder, decoder) trains any layers."
    )
