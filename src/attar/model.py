"""The model: corrupt, encode, code, decode. The only place where modules meet."""

from __future__ import annotations

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
    """

    def __init__(
        self,
        encoder: nn.Module,
        code: CodeModule,
        decoder: nn.Module,
        likelihood: LikelihoodModule,
        corruption: CorruptionModule | None = None,
    ) -> None:
        super().__init__()
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
        if self.training and self.corruption is not None:
            inputs = self.corruption(inputs)
        if inputs_learn:
            inputs = inputs.detach().requires_grad_()
        features = self.encoder(inputs)
        coded = self.code(features, noise)
        samples, rows = coded.z.shape[:2]
        parameters = self.decoder(coded.z.flatten(0, 1))
        parameters = parameters.reshape(samples, rows, *parameters.shape[1:])
        return Trace(batch, inputs, features, coded, parameters, self.likelihood.log_prob)

    def encode(self, values: Tensor) -> Tensor:
        """Return the code of each row, without chance: (B, *shape) -> (B, d)."""
        return self.code.point(self.encoder(values))

    def decode(self, z: Tensor) -> Tensor:
        """Return the expected values of codes: (B, d) -> (B, *shape)."""
        return self.likelihood.mean(self.decoder(z))
