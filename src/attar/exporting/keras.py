"""Programs as Keras models of Keras's own layers and operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from torch import Tensor, nn

from attar.codes.gaussian import GaussianModule
from attar.codes.point import FreePointModule
from attar.data.scaling import TINY
from attar.errors import SettingError
from attar.exporting.forms import DenseForm, ImagesForm, MatrixForm, WindowsForm
from attar.exporting.ports import Array, Arrays, Port
from attar.exporting.programs import DecoderProgram, EncoderProgram, Program, WholeProgram
from attar.exporting.translations import Translation, library, quiet
from attar.likelihoods.base import LocationModule
from attar.likelihoods.discrete import BernoulliLikelihoodModule, BernoulliProbabilityModule
from attar.networks.base import Reshape
from attar.networks.mlp import Compress, Shortcut

# By their names in Keras.
ACTIVATIONS = {
    nn.ReLU: "relu",
    nn.ELU: "elu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
}

# A symbolic tensor of Keras, which has no types: within, images have their channels last.
Symbol = Any

CHANNELS_LAST, CHANNELS_FIRST = (2, 3, 1), (3, 1, 2)


class KerasTranslation(Translation):
    """A functional model of Keras, which computes in the precision of attar."""

    suffix = ".keras"

    def __init__(self, program: Program, description: str) -> None:
        self.keras = library("keras", "keras")
        self.program, self.description = program, description
        if program.condition is not None:
            raise refusal("a condition")
        data = KerasData(program.form)
        (port,) = program.inputs
        given = self.keras.Input(port.shape, dtype=name_of(port.dtype), name=port.name)
        self.model = self.keras.Model(given, self._output(data, given), name=program.name)

    def _output(self, data: KerasData, given: Symbol) -> Symbol:
        form, model = self.program.form, self.program.model
        networks = KerasNetworks(name_of(self.program.dtype))
        match self.program:
            case EncoderProgram():
                code = networks.code(model, data.prepared(given, networks.dtype, model.missing))
                return self.keras.ops.cast(code, name_of(form.precision))
            case DecoderProgram():
                return data.restored(networks.mean(model, given))
            case WholeProgram():
                prepared = data.prepared(given, networks.dtype, model.missing)
                return data.restored(networks.mean(model, networks.code(model, prepared)))
        raise refusal(f"the part {self.program.name!r}")

    def run(self, given: Arrays) -> Arrays:
        """Return the program's outputs."""
        with quiet():
            return [self.keras.ops.convert_to_numpy(self.model(given[0], training=False))]

    def save(self, path: Path) -> None:
        """Write the file, with the description as ``attar.json`` in it."""
        self.model.save(path)
        with ZipFile(path, "a") as archive:
            archive.writestr("attar.json", self.description)


class KerasData:
    """The preparation of images or numbers by operations of Keras, and the way back.

    Raises
    ------
    SettingError
        If the data are others.
    """

    def __init__(self, form: nn.Module) -> None:
        self.ops = library("keras", "keras").ops
        match form:
            case ImagesForm(low=low, high=high):
                self.low, self.high = low, high
            case MatrixForm(possible=possible):
                self.low, self.high = possible.floor, possible.ceiling
            case WindowsForm():
                raise refusal("windows of series")
            case DenseForm(kind=kind):
                raise refusal(f"{kind.name} with columns of their own, such as categories")
            case _:
                raise refusal("sparse matrices")
        self.form, self.scaler = form, form.scaler

    def prepared(self, x: Symbol, dtype: str, missing: bool) -> Symbol:
        """Return data prepared in a precision, with a mask of observed cells if it is wanted."""
        ops, scaler = self.ops, self.scaler
        precise = "float32" if self.form.single else "float64"
        x = ops.cast(self._used(self._channels_last(x)), precise)
        x = (x - constant(scaler.shift, precise)) / constant(scaler.scale, precise)
        if scaler.tail is not None:
            x = self._compressed(x, constant(scaler.tail, precise))
        if scaler.power is not None:
            power, shift, scale = (constant(one, precise) for one in scaler.power)
            x = (self._yeo_johnson(x, power) - shift) / scale
        if scaler.limit is not None:
            x = self._within(x, -scaler.limit, scaler.limit, precise)
        x = ops.cast(x, dtype)
        absent = ops.isnan(x)
        filled = ops.where(absent, ops.zeros_like(x), x)
        if not missing:
            return filled
        return ops.concatenate([filled, 1 - ops.cast(absent, dtype)], axis=-1)

    def restored(self, x: Symbol) -> Symbol:
        """Return expected values in the user's own unit, layout and type."""
        ops, scaler, (port,) = self.ops, self.scaler, self.form.outputs.ports
        x = ops.cast(x, "float64")
        if scaler.power is not None:
            power, shift, scale = (constant(one, "float64") for one in scaler.power)
            x = self._inverse_yeo_johnson(x * scale + shift, power)
        if scaler.tail is not None:
            x = self._expanded(x, constant(scaler.tail, "float64"))
        x = x * constant(scaler.scale, "float64") + constant(scaler.shift, "float64")
        x = self._all_columns(self._within(x, self.low, self.high, "float64"))
        if not port.dtype.is_floating_point:
            x = ops.round(x)
        return ops.cast(self._own_layout(x, port), name_of(port.dtype))

    def _used(self, x: Symbol) -> Symbol:
        """Return the columns of an array that are used; constant ones have their value."""
        if not isinstance(self.form, MatrixForm):
            return x
        if self.form.table.void:
            x = self.ops.take(x, np.array(self.form.used), axis=-1)
        if self.form.constant:
            only = np.full(len(self.form.used), np.nan)
            only[self.form.constant] = self.form.only.numpy()
            x = self.ops.cast(x, "float64")
            x = self.ops.where(self.ops.isnan(x) | np.isnan(only), x, only)
        return x

    def _all_columns(self, x: Symbol) -> Symbol:
        """Return the columns of an array; those that are not used are missing."""
        if not isinstance(self.form, MatrixForm) or not self.form.table.void:
            return x
        places = np.full(self.form.table.width, len(self.form.used))
        places[self.form.used] = np.arange(len(self.form.used))
        missing = self.ops.full_like(x[:, :1], np.nan)
        return self.ops.take(self.ops.concatenate([x, missing], axis=-1), places, axis=-1)

    def _compressed(self, x: Symbol, tail: Array) -> Symbol:
        """As :func:`attar.data.scaling.compressed`."""
        ops = self.ops
        within = ops.clip(x, 0, 1)
        beyond = x - within
        reach = beyond * tail / ops.clip(ops.abs(beyond) + tail, 1e-30, np.inf)
        return ops.where(np.isinf(tail), x, within + reach)

    def _expanded(self, y: Symbol, tail: Array) -> Symbol:
        """As :func:`attar.data.scaling.expanded`."""
        ops = self.ops
        within = ops.clip(y, 0, 1)
        reach = y - within
        beyond = reach * tail / ops.clip(-ops.abs(reach) + tail, 1e-9, np.inf)
        return ops.where(np.isinf(tail), y, within + ops.clip(beyond, -1e9, 1e9))

    def _yeo_johnson(self, x: Symbol, power: Array) -> Symbol:
        """As :func:`attar.data.scaling.yeo_johnson`."""
        ops = self.ops
        exponent = ops.where(x < 0, 2 - power, power)
        log = ops.log1p(ops.abs(x))
        root = ops.expm1(log * exponent) / ops.clip(exponent, TINY, np.inf)
        size = ops.where(exponent > TINY, root, log)
        return ops.where(power == 1, x, ops.sign(x) * size)

    def _inverse_yeo_johnson(self, y: Symbol, power: Array) -> Symbol:
        """As :func:`attar.data.scaling.inverse_yeo_johnson`."""
        ops = self.ops
        exponent, size = ops.where(y < 0, 2 - power, power), ops.abs(y)
        root = ops.log1p(size * exponent) / ops.clip(exponent, TINY, np.inf)
        log = ops.where(exponent > TINY, root, size)
        return ops.where(power == 1, y, ops.sign(y) * ops.expm1(log))

    def _within(self, x: Symbol, low: Tensor, high: Tensor, dtype: str) -> Symbol:
        lowest = self.ops.maximum(x, constant(low, dtype))
        return self.ops.minimum(lowest, constant(high, dtype))

    def _channels_last(self, x: Symbol) -> Symbol:
        if not isinstance(self.form, ImagesForm):
            return x
        if self.form.images.first:
            return self.ops.transpose(x, (0, *CHANNELS_LAST))
        return x if len(self.form.images.size) == 3 else self.ops.expand_dims(x, -1)

    def _own_layout(self, x: Symbol, port: Port) -> Symbol:
        if not isinstance(self.form, ImagesForm):
            return x
        if self.form.images.first:
            return self.ops.transpose(x, (0, *CHANNELS_FIRST))
        return x if len(port.shape) == 3 else self.ops.squeeze(x, -1)


class KerasNetworks:
    """Layers of Keras that have the weights of torch modules.

    Parameters
    ----------
    dtype : str
        That in which they compute.
    """

    def __init__(self, dtype: str) -> None:
        self.keras, self.dtype = library("keras", "keras"), dtype

    def code(self, model: Any, x: Symbol) -> Symbol:
        """Return the codes of prepared data."""
        if model.shrinkage is not None:
            raise refusal("a model that learned to remove noise of any level")
        features = self(model.encoder, x)
        match model.code:
            case FreePointModule(activation=activation):
                return self(activation, features)
            case GaussianModule():
                return features[:, : features.shape[-1] // 2]
        raise refusal(f"the code {type(model.code).__name__}")

    def mean(self, model: Any, code: Symbol) -> Symbol:
        """Return the expected values of codes, prepared."""
        parameters = self(model.decoder, self.keras.ops.cast(code, self.dtype))
        match model.likelihood:
            case LocationModule() | BernoulliProbabilityModule():
                return parameters
            case BernoulliLikelihoodModule():
                return self.keras.ops.sigmoid(parameters)
        raise refusal(f"the likelihood {type(model.likelihood).__name__}")

    def __call__(self, module: nn.Module, x: Symbol) -> Symbol:
        """Return the output of a module, where images have their channels last.

        Raises
        ------
        SettingError
            If Keras has no such layer.
        """
        match module:
            case nn.Sequential():
                for one in module:
                    x = self(one, x)
                return x
            case Shortcut(body=body, straight=straight):
                return self(body, x) + self(straight, x)
            case nn.Identity() | nn.Dropout() | nn.Dropout2d():
                return x
            case Compress():
                return 5 * self.keras.ops.arcsinh(x / 5)
            case nn.Flatten():
                channels_first = self.layer("Permute", x, CHANNELS_FIRST) if x.ndim == 4 else x
                return self.layer("Flatten", channels_first)
            case Reshape(shape=shape):
                reshaped = self.layer("Reshape", x, shape)
                return (
                    self.layer("Permute", reshaped, CHANNELS_LAST) if len(shape) == 3 else reshaped
                )
            case nn.Linear(weight=weight, bias=bias):
                return self.layer("Dense", x, module.out_features, weights=[weight.T, bias])
            case nn.Conv2d(weight=weight, bias=bias, padding=(int(), int()) as padding):
                padded = self.layer("ZeroPadding2D", x, padding)
                kernel = weight.permute(2, 3, 1, 0)
                size, strides = module.kernel_size, module.stride
                return self.layer(
                    "Conv2D", padded, module.out_channels, size, strides, weights=[kernel, bias]
                )
            case nn.Upsample(size=(int(height), int(width)), mode="nearest"):
                doubled = self.layer("UpSampling2D", x, 2)
                surplus = ((0, 2 * x.shape[1] - height), (0, 2 * x.shape[2] - width))
                return self.layer("Cropping2D", doubled, surplus)
            case nn.GroupNorm(weight=weight, bias=bias, num_groups=groups, eps=eps):
                weights = [weight, bias]
                return self.layer("GroupNormalization", x, groups, epsilon=eps, weights=weights)
            case nn.LayerNorm(weight=weight, bias=bias, eps=eps):
                return self.layer("LayerNormalization", x, epsilon=eps, weights=[weight, bias])
            case nn.LeakyReLU(negative_slope=slope):
                return self.layer("LeakyReLU", x, slope)
            case _ if type(module) in ACTIVATIONS:
                return self.layer("Activation", x, ACTIVATIONS[type(module)])
        raise refusal(f"the layer {type(module).__name__}")

    def layer(
        self, kind: str, x: Symbol, *settings: object, weights: Any = (), **options: Any
    ) -> Symbol:
        """Return the output of a new layer of Keras that has these weights."""
        layer = getattr(self.keras.layers, kind)(*settings, dtype=self.dtype, **options)
        output = layer(x)
        layer.set_weights([weight.detach().numpy() for weight in weights])
        return output


def constant(tensor: Tensor, dtype: str) -> Array:
    """Return a constant of rows, of images with channels first, as one with channels last."""
    array = tensor.numpy().astype(dtype)
    return np.moveaxis(array, 0, -1) if array.ndim == 3 else array


def name_of(dtype: torch.dtype) -> str:
    """Return the name of a dtype in Keras."""
    return str(dtype).removeprefix("torch.")


def refusal(what: str) -> SettingError:
    """Return the error for what there is no translation of."""
    return SettingError(
        f"A Keras model cannot hold {what}: it holds encoder, decoder or whole of images and "
        "arrays of numbers, with the codes 'point' and 'gaussian' and the networks 'linear', "
        "'mlp' and 'conv'; write .onnx or .pt2 instead."
    )
