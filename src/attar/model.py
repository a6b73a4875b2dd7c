"""The model: corrupt, encode, code, decode. The only place where modules meet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attar.codes import CodeModule
from attar.corruptions import CorruptionModule
from attar.likelihoods import LikelihoodModule
from attar.records import Batch, Trace


class Model(nn.Module):
    """An autoencoder of prepared values.

    ::

        values ─ corruption ─ encoder ─ code ─ decoder ─ likelihood
                 (training)   features   z     parameters    mean: the reconstruction

    Parameters
    ----------
    encoder, code, decoder, likelihood, corruption : Module
    gaps : bool
        Whether the encoder sees which cells are observed, as further channels of ones and zeros.
    """

    def __init__(
        self,
        encoder: nn.Module,
        code: CodeModule,
        decoder: nn.Module,
        likelihood: LikelihoodModule,
        corruption: CorruptionModule | None = None,
        gaps: bool = False,
    ) -> None:
        super().__init__()
        self.gaps = gaps
        self.encoder, self.code, self.decoder = encoder, code, decoder
        self.likelihood, self.corruption = likelihood, corruption

    def forward(
        self, batch: Batch, noise: Tensor | None = None, inputs_learn: bool = False
    ) -> Trace:
        """Return the trace of one pass.

        Parameters
        ----------
        batch : Batch
        noise : Tensor (K, B or 1, d) or None
            The draws of a random code; None makes one fresh draw.
        inputs_learn : bool
            Whether a gradient with respect to the inputs will be asked for.
        """
        inputs = batch.values
        corruption = self.corruption if self.training else None
        if inputs.is_sparse and (corruption is not None or inputs_learn):
            inputs = inputs.to_dense()
        if corruption is not None:
            inputs = corruption(inputs)
        if inputs_learn:
            inputs = inputs.detach().requires_grad_()
        known = batch.observed if batch.seen is None else batch.seen
        features = self._features(inputs, known)
        coded = self.code(features, noise)
        samples, rows = coded.z.shape[:2]
        parameters = self.decoder(self.code.shown(coded.z.flatten(0, 1)))
        parameters = parameters.reshape(samples, rows, *parameters.shape[1:])
        return Trace(batch, inputs, features, coded, parameters, self.likelihood.log_prob)

    def encode(self, values: Tensor, observed: Tensor | None = None) -> Tensor:
        """Return the code of each row, without chance: (B, *shape) -> (B, d)."""
        return self.code.point(self._features(values, observed))

    def decode(self, z: Tensor) -> Tensor:
        """Return the expected values of codes: (B, d) -> (B, *shape)."""
        return self.likelihood.mean(self.decoder(self.code.shown(z)))

    def _features(self, values: Tensor, observed: Tensor | None) -> Tensor:
        if self.gaps:
            known = torch.ones_like(values, dtype=torch.bool) if observed is None else observed
            # A corruption may have put something where nothing is known.
            values = torch.cat([values.where(known, 0.0), known.to(values.dtype)], dim=1)
        features: Tensor = self.encoder(values)
        return features
