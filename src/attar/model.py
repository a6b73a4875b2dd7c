"""The model: corrupt, encode, code, decode. The only place where modules meet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn

from attar.codes import CodeModule, LogLikelihood
from attar.corruptions import CorruptionModule
from attar.likelihoods import LikelihoodModule
from attar.records import Batch, Trace, row_log_likelihood


class Model(nn.Module):
    """An autoencoder of prepared values.

    ::

        values ─ corruption ─ encoder ─ code ─ decoder ─ likelihood
                 (training)   features   z     parameters    mean: the reconstruction

    Parameters
    ----------
    encoder, code, decoder, likelihood, corruption : Module
    condition : Module or None
        Features (B, w) and a condition (B, c) to features (B, w), where there is a condition; the
        decoder then gets it after the code.
    missing : bool
        Whether the encoder sees which cells are observed, as further channels of ones and zeros.
    noise_size : int
        How many standard normals a draw of the code takes.

    Attributes
    ----------
    half_precision : bool
        Whether encoder and decoder compute in bfloat16 in training; nothing else ever does.
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
    ) -> None:
        super().__init__()
        self.missing, self.noise_size, self.half_precision = missing, noise_size, False
        self.encoder, self.code, self.decoder = encoder, code, decoder
        self.likelihood, self.corruption, self.condition = likelihood, corruption, condition
        code.attach(self.features)
        # In a tuple, so that torch does not take the copy for a part of this model.
        self._double: tuple[list[nn.Module], Model] | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_double": None}

    def in_double(self) -> Model:
        """Return the model in double precision: a copy made once, with the present weights."""
        modules = list(self.modules())
        if self._double is None or self._double[0] != modules:
            self._double = modules, deepcopy(self).double()
        double = self._double[1]
        for module, copy in zip(modules, double.modules(), strict=True):
            copy.training = module.training
        own, copies = self.state_dict(keep_vars=True), double.state_dict(keep_vars=True)
        with torch.no_grad():
            for name, tensor in copies.items():
                tensor.copy_(own[name])
        return double

    def forward(
        self, batch: Batch, noise: Tensor | None = None, inputs_require_grad: bool = False
    ) -> Trace:
        """Return the trace of one pass.

        Parameters
        ----------
        batch : Batch
        noise : Tensor (K, B or 1, noise_size) or None
            The draws of a random code; None makes one fresh draw.
        inputs_require_grad : bool
            Whether a gradient with respect to the inputs will be asked for.
        """
        inputs = batch.values
        corruption = self.corruption if self.training else None
        if inputs.is_sparse and (corruption is not None or inputs_require_grad):
            inputs = inputs.to_dense()
        known = batch.observed if batch.seen is None else batch.seen
        if corruption is not None:
            inputs, asked = corruption(inputs)
            if asked is not None:
                known = ~asked if known is None else known & ~asked
                batch = batch.asking(asked)
        if inputs_require_grad:
            inputs = inputs.detach().requires_grad_()
        features = self.features(inputs, known, batch.condition)
        coded = self.code(features, noise, self._log_likelihood(batch))
        parameters = self.parameters_of(coded.z, batch.condition)
        return Trace(batch, inputs, features, coded, parameters, self.likelihood.log_prob)

    def encode(
        self, values: Tensor, observed: Tensor | None = None, condition: Tensor | None = None
    ) -> Tensor:
        """Return the code of each row, without chance: (B, *shape) -> (B, d)."""
        batch = Batch(values, values, observed, condition=condition)
        return self.code.point(
            self.features(values, observed, condition), self._log_likelihood(batch)
        )

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the expected values of codes: (B, d) -> (B, *shape)."""
        return self.likelihood.mean(self.parameters_of(z[None], condition)[0])

    def features(
        self, values: Tensor, observed: Tensor | None = None, condition: Tensor | None = None
    ) -> Tensor:
        """Return what the code is made from: (B, *shape) -> (B, w)."""
        if self.missing:
            known = torch.ones_like(values, dtype=torch.bool) if observed is None else observed
            # A corruption may have put something where nothing is known.
            values = torch.cat([values.where(known, 0.0), known.to(values.dtype)], dim=1)
        features = self._through(self.encoder, values)
        if self.condition is not None:
            features = self.condition(features, condition)
        return features

    def parameters_of(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the likelihood's parameters of codes (K, B, d): (K, B, *parameters' shape)."""
        samples, rows = z.shape[:2]
        inputs = self.code.decoder_input(z.flatten(0, 1))
        if condition is not None:
            inputs = torch.cat([inputs, condition.repeat(samples, 1)], dim=1)
        parameters = self._through(self.decoder, inputs)
        return parameters.reshape(samples, rows, *parameters.shape[1:])

    def on_data(self, batch: Batch) -> None:
        """Let the code look at rows, before the first step of training."""
        with torch.no_grad():
            features = self.features(batch.values, batch.observed, batch.condition)
            self.code.on_data(batch.values, features)

    def _through(self, network: nn.Module, x: Tensor) -> Tensor:
        if not (self.half_precision and self.training):
            y: Tensor = network(x)
            return y
        with torch.autocast(x.device.type, torch.bfloat16):
            y = network(x)
        return y.to(x.dtype)

    @contextmanager
    def _exactly(self) -> Iterator[None]:
        """Let networks keep all digits, for codes that add up small steps of what they explain."""
        before, self.half_precision = self.half_precision, False
        try:
            yield
        finally:
            self.half_precision = before

    def _log_likelihood(self, batch: Batch) -> LogLikelihood:
        def log_likelihood(z: Tensor) -> Tensor:
            target = batch.target.to_dense() if batch.target.is_sparse else batch.target
            with self._exactly():
                parameters = self.parameters_of(z, batch.condition)
            return row_log_likelihood(self.likelihood.log_prob, parameters, target, batch.observed)

        return log_likelihood
