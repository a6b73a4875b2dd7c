"""The model: corruption, encoder, code, decoder and likelihood as one module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from typing import Any, Self

import torch
from torch import Tensor, nn

from attar.codes import CodeModule, LogLikelihood
from attar.corruptions import CorruptionModule, Shrinkage
from attar.errors import AttarError, SettingError, first_line
from attar.likelihoods import LikelihoodModule
from attar.likelihoods.base import LocationModule
from attar.networks.start import (
    fit_least_squares,
    near_weights,
    shortcut_of,
    start_at_components,
    straight_of,
)
from attar.records import Batch, Trace, row_log_likelihood


class Model(nn.Module):
    """An autoencoder of prepared rows.

    ::

        values ─ corruption ─ encoder ─ code ─ decoder ─ likelihood
                 (the loss)   features   z     parameters    mean: the reconstruction

    Parameters
    ----------
    encoder, code, decoder, likelihood, corruption : Module
    condition : Module or None
        From features (B, w) and a condition (B, c) to features (B, w); the decoder gets the
        condition after the code.
    missing : bool
        Whether the encoder also gets a mask of the observed cells, as further channels.
    noise_size : int
        How many standard normals a sample of the code takes.
    shrinkage : Shrinkage or None
        From features (B, w) and the level of noise (B, 1) to features (B, w).

    Examples
    --------
    >>> from attar.codes import Point
    >>> from attar.likelihoods import Bernoulli
    >>> model = Model(nn.Identity(), Point().build(3), nn.Identity(), Bernoulli().build())
    >>> model.decode(model.encode(torch.zeros(1, 3)))
    tensor([[0.5000, 0.5000, 0.5000]])
    """

    def __init__(
        self,
        encoder: nn.Module,
        code: CodeModule,
        decoder: nn.Module,
        likelihood: LikelihoodModule,
        corruption: CorruptionModule | None = None,
        condition: nn.Module | None = None,
        missing: bool = False,
        noise_size: int = 0,
        shrinkage: Shrinkage | None = None,
    ) -> None:
        super().__init__()
        self.missing, self.noise_size = missing, noise_size
        self.encoder, self.code, self.decoder = encoder, code, decoder
        self.likelihood, self.corruption, self.condition = likelihood, corruption, condition
        self.shrinkage = shrinkage
        code.attach(self.features)
        # In tuples, so that torch does not take these for further parts of this model.
        self._frozen: tuple[nn.Module, ...] = ()
        self._double: tuple[list[nn.Module], Model] | None = None

    @property
    def half_precision(self) -> bool:
        """Whether networks compute in bfloat16 in training; the rest never does."""
        return self.likelihood.half_precision

    @half_precision.setter
    def half_precision(self, half: bool) -> None:
        self.likelihood.half_precision = half

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_double": None}

    def freeze_encoder(self) -> None:
        """Keep the codes of rows as they are: only decoder and likelihood are trained then."""
        parts = self.encoder, self.code, self.condition, self.shrinkage
        self._frozen = tuple(part for part in parts if part is not None)
        for part in self._frozen:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all parts that are not frozen: statistics of those stay."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def in_double(self) -> Model:
        """Return the model in double precision: a copy made once, with the present weights."""
        modules = list(self.modules())
        if self._double is None or self._double[0] != modules:
            self._double = modules, deepcopy(self).double()
        double = self._double[1]
        for module, copy in zip(modules, double.modules(), strict=True):
            copy.training = module.training
        own, copies = ([*model.parameters(), *model.buffers()] for model in (self, double))
        with torch.no_grad():
            torch._foreach_copy_(copies, own)
        return double

    def forward(
        self, batch: Batch, noise: Tensor | None = None, inputs_require_grad: bool = False
    ) -> Trace:
        """Return the trace of one pass.

        Parameters
        ----------
        batch : Batch
        noise : Tensor (K, B or 1, noise_size) or None
            Standard normals, from which a random code makes K samples; None for one new sample.
        inputs_require_grad : bool
            Whether the trace's inputs require a gradient.
        """
        inputs = batch.values.to_dense() if inputs_require_grad else batch.values
        visible = batch.observed if batch.visible is None else batch.visible
        if inputs_require_grad:
            inputs = inputs.detach().requires_grad_()
        features = self.features(inputs, visible, batch.condition, batch.level)
        coded = self.code(features, noise, self._log_likelihood(batch))
        parameters = self.parameters_of(coded.z, batch.condition)
        return Trace(batch, inputs, features, coded, parameters, self.likelihood.log_prob)

    def corrupted(self, batch: Batch) -> Batch:
        """Return the batch with the values that the encoder is trained on."""
        return batch if self.corruption is None else self.corruption.corrupted(batch)

    def encode(
        self,
        values: Tensor,
        observed: Tensor | None = None,
        condition: Tensor | None = None,
        level: Tensor | None = None,
    ) -> Tensor:
        """Return the code of each row, deterministically: (B, *shape) -> (B, d).

        Parameters
        ----------
        values, observed, condition, level : Tensor or None
            As of :class:`~attar.records.Batch`.
        """
        batch = Batch(values, values, observed, condition=condition)
        features = self.features(values, observed, condition, level)
        return self.code.point(features, self._log_likelihood(batch))

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the expected values of codes: (B, d) -> (B, *shape)."""
        return self.likelihood.mean(self.parameters_of(z[None], condition)[0])

    def sample(self, z: Tensor, noise: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return a draw of the data of codes: (B, d) -> (B, *shape).

        Parameters
        ----------
        z : Tensor
        noise : Tensor (*shape) or ()
            A factor on each cell's distance from its expected value, in a location family.
        condition : Tensor or None
        """
        parameters = self.parameters_of(z[None], condition)[0]
        draw = self.likelihood.sample(parameters)
        if not isinstance(self.likelihood, LocationModule):
            return draw
        return torch.lerp(self.likelihood.mean(parameters), draw, noise.to(draw))

    def features(
        self,
        values: Tensor,
        observed: Tensor | None = None,
        condition: Tensor | None = None,
        level: Tensor | None = None,
    ) -> Tensor:
        """Return the features from which the code is made: (B, *shape) -> (B, w)."""
        if self.missing:
            mask = torch.ones_like(values, dtype=torch.bool) if observed is None else observed
            values = _with_mask(values, mask)
        features = self._through(self.encoder, values)
        if self.shrinkage is not None:
            features = self.shrinkage(features, level)
        if self.condition is not None:
            features = self.condition(features, condition)
        return features

    def parameters_of(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the likelihood's parameters given codes (K, B, d): (K, B, *parameters' shape)."""
        samples, rows = z.shape[:2]
        inputs = self._decoder_inputs(z.flatten(0, 1), condition, samples)
        parameters = self._through(self.decoder, inputs)
        return parameters.reshape(samples, rows, *parameters.shape[1:])

    def _decoder_inputs(self, z: Tensor, condition: Tensor | None, samples: int = 1) -> Tensor:
        inputs = self.code.decoder_input(z)
        if condition is not None:
            inputs = torch.cat([inputs, condition.repeat(samples, 1)], dim=1)
        return inputs

    def weight_groups(self) -> list[dict[str, Any]]:
        """Return the groups of an optimizer: each weight that starts near its end has its own."""
        linear = [*near_weights(self.encoder), *near_weights(self.decoder)]
        rare = self.likelihood.rare_weights()
        others = [w for w in self.parameters() if not any(w is one for one in [*linear, *rare])]
        groups: list[dict[str, Any]] = [{"params": others}]
        if rare:
            groups.append({"params": rare, "adam": True})
        return [*groups, *({"params": [weight], "relative": True} for weight in linear)]

    def on_data(self, batch: Batch) -> None:
        """Initialize the model from rows, before the first step of training."""
        encoder, decoder = shortcut_of(self.encoder), shortcut_of(self.decoder)
        straight = straight_of(self.encoder), straight_of(self.decoder)
        dense = batch.values.layout == torch.strided
        if self.code.starts_linear and dense and None not in straight:
            encoder, decoder = straight
        with torch.no_grad():
            if encoder is not None:
                start_at_components(encoder, batch.values.flatten(1))
                if self.shrinkage is not None:
                    self.shrinkage.start(encoder.weight)
            clean = batch.target.new_zeros(len(batch.target), 1)
            features = self.features(batch.values, batch.observed, batch.condition, clean)
            if encoder is not None:
                shift = self.code.shift(features)
                encoder.bias.add_(shift)
                features = features + shift
            self.code.on_data(batch.values, features)
            outputs = self.likelihood.start(batch.target)
            if decoder is not None and outputs is not None:
                z = self.code.point(features, self._log_likelihood(batch))
                inputs = self._decoder_inputs(z, batch.condition)
                fit_least_squares(decoder, inputs, outputs.flatten(1))

    @torch.no_grad()
    def round_weights(self) -> None:
        """Round the weights to half precision, where its range holds them: files are smaller."""
        for weight in self.parameters():
            half = weight.half()
            if half.isfinite().all():
                weight.copy_(half)

    def _through(self, network: nn.Module, x: Tensor) -> Tensor:
        half = self.half_precision and self.training
        try:
            with torch.autocast(x.device.type, torch.bfloat16) if half else nullcontext():
                y: Tensor = network(x)
        except (AttarError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # of a user's own module, which may raise anything
            role = "encoder" if network is self.encoder else "decoder"
            raise SettingError(
                f"The {role} fails on a batch of shape {tuple(x.shape)}: {first_line(error)}"
                f"{'; use a larger batch_size' * (self.training and len(x) == 1)}."
            ) from error
        return y.to(x.dtype) if half else y

    @contextmanager
    def _full_precision(self) -> Iterator[None]:
        """Use full precision, for codes that add up many small gradients of the log-likelihood."""
        before, self.half_precision = self.half_precision, False
        try:
            yield
        finally:
            self.half_precision = before

    def _log_likelihood(self, batch: Batch) -> LogLikelihood:
        def log_likelihood(z: Tensor) -> Tensor:
            target, observed = batch.target.to_dense(), batch.observed
            observed = None if observed is None else observed.to_dense().bool()
            with self._full_precision():
                parameters = self.parameters_of(z, batch.condition)
            return row_log_likelihood(self.likelihood.log_prob, parameters, target, observed)

        return log_likelihood


def _with_mask(values: Tensor, mask: Tensor) -> Tensor:
    """Return values (B, c, ...), sparse or dense, and after them the mask of those observed."""
    if values.is_sparse:
        sparse = mask if mask.is_sparse else mask.to_sparse()
        return torch.cat([values, sparse.to(values.dtype)], dim=1).coalesce()
    # A corruption may have changed missing cells.
    return torch.cat([values.where(mask, 0.0), mask.to(values.dtype)], dim=1)
