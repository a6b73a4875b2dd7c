"""attar.from_keras: encoder and decoder that Keras trained become an estimator."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from attar.data.cells import Number
from attar.data.images import Images
from attar.data.kind import Kind
from attar.data.kinds import form_of
from attar.data.kinds import preparation as preparation_of
from attar.data.scaling import Scaler, Scaling
from attar.data.series import Windows
from attar.data.source import Data, Source, read
from attar.data.table import MixedTable, NumericTable
from attar.data.training_data import training_data_of
from attar.errors import DataError, FileError, SettingError, first_line, unknown
from attar.estimator import Autoencoder
from attar.exporting.ports import Port
from attar.exporting.translations import library, quiet
from attar.fitted import summarized
from attar.importing.keras import KerasLayers, KerasModel
from attar.isolation import default_settings
from attar.model import Model
from attar.networks import Layered
from attar.networks.base import Shape
from attar.plan import Choice, Planner, Run

# Rows that both are compared on at most, and how far they may differ: relative to the largest value
# of an output, or 1. In single precision networks differ by some 1e-6.
ROWS, TOLERANCE = 256, 1e-5


@default_settings()
def from_keras(
    encoder: str | Path | KerasModel,
    decoder: str | Path | KerasModel | None,
    X: Data | Source,
    *,
    code: str | None = None,
    scaling: str | Scaling = "none",
) -> Autoencoder:
    """Return a fitted autoencoder that gives what an encoder and a decoder of Keras give.

    Their layers become modules of torch with the same weights, so that it is saved, exported and
    trained further (``warm_start=True``) like any other. Both are compared on rows of X.

    Parameters
    ----------
    encoder, decoder : path or keras.Model
        Files ``.keras`` or ``.h5``, or models: graphs of Keras's own layers. An encoder that gives
        (mean, log-variance, ...) has a Gaussian code.
    X : array, attar.Series, path, or name of a data set
        Rows of the form that the encoder takes. The model is measured on them, and they count as
        training rows.
    code : str or None
        The layer whose output is the code, where ``encoder`` is a whole autoencoder and ``decoder``
        is None.
    scaling : str or Scaling
        Of X for the encoder: ``"none"`` for data as Keras had them, ``"min-max"`` for bytes where
        Keras had values from 0 to 1.

    Raises
    ------
    FileError
        If Keras is not installed, or cannot read a file.
    SettingError
        If a layer has no counterpart here, if the parts don't fit together or X, or if the
        outputs differ by more than 1e-5 of the largest value.
    DataError
        If X are no arrays of numbers.

    Examples
    --------
    >>> import os
    >>> _ = os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported
    >>> import attar, keras
    >>> encoder = keras.Sequential([keras.Input((64,)), keras.layers.Dense(8, "relu")])
    >>> decoder = keras.Sequential([keras.Input((8,)), keras.layers.Dense(64, "sigmoid")])
    >>> X = np.random.default_rng(0).random((100, 64), np.float32)
    >>> ae = attar.from_keras(encoder, decoder, X)
    >>> codes = encoder(X).detach().numpy()
    >>> ae.likelihood, bool(np.abs(ae.transform(X) - codes).max() < 1e-5)
    ('bernoulli-probability', True)
    """
    pair = KerasPair.of(encoder, decoder, code)
    data: Any = read(X, part="train").data
    kind, summary = form_of(data)
    kind = exact(kind)
    preparation = preparation_of(kind, Scaling.resolve(scaling), summary)
    buffers = preparation.scaler.state_dict()
    buffers.pop("limit")  # rows far out are encoded as Keras does
    preparation = replace(preparation, scaler=Scaler.restored(buffers))
    some = preparation.prepare(summary.sample[:ROWS])
    with quiet():
        layers = pair.layers(kind.shape)
    probabilities = layers.ends_in_sigmoid and bool(((some >= 0) & (some <= 1)).all())
    estimator = Autoencoder(
        "vae" if layers.gaussian else "ae",
        layers.code_size,
        network=layers.network,
        likelihood="bernoulli-probability" if probabilities else "gaussian",
        scaling=scaling,
    )
    settings = estimator.get_params(deep=False)
    plan = Planner(settings, kind, summary, preparation=preparation).plan()
    plan = replace(plan, choices=(Choice("network", "layered", "trained by Keras"),))
    model = plan.build().model.eval()
    layers.load(model)
    pair.compare(model, some)
    run = Run.of({**settings, "random_state": 0, "validation_fraction": 0}, None)
    rows = training_data_of(data, kind, summary, 0, run.seed)
    fitted = summarized(plan, rows, run, model.to(run.device), [], 0)
    estimator.fitted_ = replace(fitted, predictor=replace(fitted.predictor, margins=None))
    return estimator


@dataclass(frozen=True)
class KerasPair:
    """An encoder and a decoder of Keras.

    Attributes
    ----------
    encoder, decoder : keras.Model
    """

    encoder: KerasModel
    decoder: KerasModel

    @classmethod
    def of(
        cls, encoder: str | Path | KerasModel, decoder: str | Path | KerasModel, code: str | None
    ) -> Self:
        """Return the pair of files or models; see :func:`from_keras`."""
        keras = library("keras", "keras")
        first = graph(keras, encoder, "encoder" if code is None else "model")
        if code is None and decoder is None:
            raise SettingError(
                "A decoder is needed beside the encoder, or code='NAME' of the layer whose output "
                "is the code, where the model is both."
            )
        if code is None:
            return cls(first, graph(keras, decoder, "decoder"))
        if decoder is not None:
            raise SettingError(
                "code='NAME' divides a whole autoencoder: leave out the decoder, or the code."
            )
        names = [layer.name for layer in first.layers]
        if code not in names:
            raise unknown("layer of the Keras model", code, names)
        for node in reversed(first.get_layer(code)._inbound_nodes):
            # Each node is a call of the layer: it may be part of several models.
            with suppress(ValueError):
                (output, *_) = node.outputs
                return cls(keras.Model(first.inputs, output), keras.Model(output, first.outputs))
        raise SettingError(
            f"The Keras model cannot be divided at {code!r}: its output is not computed from that "
            "layer alone."
        )

    def layers(self, shape: Shape) -> PairLayers:
        """Return the layers for prepared rows of a shape.

        Raises
        ------
        SettingError
            If the parts don't fit together or the rows, or a layer has no counterpart.
        """
        row = channels_last(shape)
        (given,), outputs = shapes(self.encoder)
        if prod(given) != prod(row):
            raise SettingError(
                f"The encoder takes rows of shape {given}, but a row of X has shape {row}: give "
                "data of the form that it was trained on."
            )
        code = outputs[0]
        gaussian = len(outputs) > 1
        if gaussian and outputs[1] != code:
            raise SettingError(
                f"The encoder gives outputs of shapes {', '.join(map(str, outputs))}: it must give "
                "a code, or mean and log-variance of one shape."
            )
        (taken,), (restored, *_) = shapes(self.decoder)
        if prod(taken) != prod(code):
            raise SettingError(
                f"The decoder takes codes of shape {taken}, but the encoder gives {code}."
            )
        if prod(restored) != prod(row):
            raise SettingError(
                f"The decoder gives rows of shape {restored}, but a row of X has shape {row}."
            )
        encoding, decoding = KerasLayers(), KerasLayers()
        place = encoding.add("ChannelsLast", of=[0]) if len(shape) > 1 else 0
        found = encoding.model(self.encoder, [encoding.reshaped(place, row, given)], most=2)
        flat = [encoding.reshaped(place, code, (prod(code),)) for place in found]
        if gaussian:
            flat = [encoding.add("Concatenated", of=flat)]
        place = decoding.reshaped(0, (prod(code),), taken)
        place = decoding.reshaped(decoding.model(self.decoder, [place])[0], restored, row)
        place = decoding.first(place) if len(shape) > 1 else place
        return PairLayers(encoding, decoding, flat[0], place, prod(code), gaussian)

    def compare(self, model: Model, rows: Tensor) -> None:
        """Refuse a model that does not give for prepared rows what Keras does.

        Raises
        ------
        SettingError
            That says by how much it differs.
        """
        ops = library("keras", "keras").ops
        ((given,), codes), ((taken,), _) = shapes(self.encoder), shapes(self.decoder)
        with torch.no_grad(), quiet():
            features = model.encoder(rows)
            z = features[:, : prod(codes[0])]
            decoded = model.decoder(z)
            x = rows.movedim(1, -1).reshape(len(rows), *given).numpy()
            found = self.encoder(x, training=False)
            found = found[:2] if isinstance(found, list | tuple) else [found]
            expected = [ops.convert_to_numpy(one).reshape(len(rows), -1) for one in found]
            again = self.decoder(z.reshape(len(rows), *taken).numpy(), training=False)
            back = ops.convert_to_numpy(again[0] if isinstance(again, list | tuple) else again)
        outputs = {
            "encoder": (features.numpy(), np.concatenate(expected, axis=1)),
            "decoder": (
                decoded.movedim(1, -1).reshape(len(rows), -1).numpy(),
                back.reshape(len(rows), -1),
            ),
        }
        for role, (ours, theirs) in outputs.items():
            difference = Port(role, torch.float32).difference(ours, theirs)
            if not difference <= TOLERANCE:
                raise SettingError(
                    f"The {role} as layers of torch differs from Keras by {difference:.2g} of the "
                    "largest value of its output: report it, with the layers."
                )


@dataclass(frozen=True)
class PairLayers:
    """The layers of a pair, and which of them give its outputs.

    Attributes
    ----------
    encoding, decoding : KerasLayers
    features, output : int
        The last layer of either.
    code_size : int
    gaussian : bool
        Whether features are means and log-variances.
    """

    encoding: KerasLayers
    decoding: KerasLayers
    features: int
    output: int
    code_size: int
    gaussian: bool

    @property
    def network(self) -> Layered:
        """The network of these layers."""
        return Layered(self.encoding.ending(self.features), self.decoding.ending(self.output))

    @property
    def ends_in_sigmoid(self) -> bool:
        """Whether the last layer that computes something is a sigmoid."""
        names = [name for name, _, _ in self.decoding.layers[: self.output]]
        computing = [name for name in names if name not in LAYOUT]
        return computing[-1:] == ["Sigmoid"]

    def load(self, model: Model) -> None:
        """Give the weights to a model that was built with the network."""
        self.encoding.load(model.encoder)
        self.decoding.load(model.decoder)


# Layers that only arrange values.
LAYOUT = ("ChannelsFirst", "ChannelsLast", "Reshape")


def exact(kind: Kind) -> Kind:
    """Return a form of data that changes no value that an encoder gets or a decoder gives.

    Raises
    ------
    DataError
        If the data are no numbers, or a column is not used as it is.
    """
    match kind:
        case NumericTable(void=()):
            return replace(kind, constants=())
        case NumericTable(void=(column, *_)):
            raise DataError(f"Column {column} of X has no values: give rows that have some.")
        case Images():
            return replace(kind, low=(), high=())
        case Windows():
            return kind
        case MixedTable() if all(
            list(map(type, column.cells)) == [Number] for column in kind.fields
        ):
            return kind
    raise DataError(
        f"Networks of Keras take numbers, images or series, and X is a {kind.name} with cells of "
        "other types or constant columns: give an array, as Keras had it."
    )


def graph(keras: Any, model: str | Path | KerasModel, role: str) -> KerasModel:
    """Return a model of Keras, read from a file if it is a path.

    Raises
    ------
    FileError
        If Keras cannot read it.
    SettingError
        If it is no model, or has no graph of layers.
    """
    if isinstance(model, str | Path):
        model = model_at(keras, Path(model))
    if not isinstance(model, keras.Model):
        raise SettingError(f"The {role} must be a path or a model of Keras, not {model!r}.")
    if getattr(model, "inputs", None) is None or len(model.inputs) != 1:
        raise SettingError(
            f"The {role} {model.name!r} of Keras is no graph of layers with one input: build it "
            "with keras.Input, or give the models that a subclass of keras.Model consists of."
        )
    return model


def model_at(keras: Any, path: Path) -> KerasModel:
    """Return the model of a file.

    Raises
    ------
    FileError
        If Keras cannot read it.
    """
    if (path / "saved_model.pb").exists():
        raise FileError(
            f"{path} is a SavedModel, which only TensorFlow reads: save a .keras file there, or "
            "tf_keras.models.load_model(path).save('model.h5') where it is of Keras 2."
        )
    if not path.is_file():
        raise FileError(f"There is no file {path} of Keras.")
    try:
        with quiet():
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever a stranger's file makes Keras raise
        raise FileError(f"{path} cannot be read by Keras: {first_line(error)}") from None


def shapes(model: KerasModel) -> tuple[list[Shape], list[Shape]]:
    """Return the shapes of a row of each input and output."""
    inputs, outputs = (
        [tuple(tensor.shape[1:]) for tensor in tensors] for tensors in (model.inputs, model.outputs)
    )
    for shape in (*inputs, *outputs):
        if None in shape:
            raise SettingError(
                f"The model {model.name!r} of Keras takes rows of any size, {shape}, and an "
                "autoencoder has one: build it with keras.Input of the size of X."
            )
    return inputs, outputs


def channels_last(shape: Shape) -> Shape:
    """Return the shape of a row with its channels last."""
    return (*shape[1:], shape[0])
