"""What makes a plain autoencoder smooth between its codes: small codes and a calm decoder.

References
----------
Ghosh, Sajjadi, Vergari, Black and Schölkopf, "From variational to deterministic autoencoders",
ICLR 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from attar.model import Model
from attar.penalties.jacobian import squared_norm
from attar.penalties.penalty import Penalty, PenaltyTerm
from attar.penalties.weights import half_squares, weights_of
from attar.records import Trace


@dataclass(frozen=True)
class CodeNorm(Penalty, name="code-norm"):
    """Half the squared length of the codes, mean over the batch: |z|² / 2.

    A decoder that may grow makes up for small codes: use it with something that calms the decoder.

    References
    ----------
    Ghosh et al., "From variational to deterministic autoencoders", ICLR 2020.
    """

    weight: float = 0.1

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return |z|² / 2, in the mean."""
        return self.term(lambda t: t.coded.z.square().sum(-1).mean() / 2)


@dataclass(frozen=True)
class DecoderWeights(Penalty, name="decoder-l2"):
    """Half the sum of the squared weights of the decoder, biases left out.

    References
    ----------
    Ghosh et al., "From variational to deterministic autoencoders", ICLR 2020.
    """

    weight: float = 1e-3

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return Σ w² / 2."""
        weights = weights_of(model.decoder)
        return self.term(lambda _: half_squares(weights))


@dataclass(frozen=True)
class DecoderGradient(Penalty, name="decoder-gradient"):
    """The squared Frobenius norm of the decoder's Jacobian, mean over the batch: |∂m(z)/∂z|².

    m(z) is the expected row of a code. The norm is Hutchinson's estimate |∂(v·m)/∂z|² with a random
    sign vector v.

    References
    ----------
    Ghosh et al., "From variational to deterministic autoencoders", ICLR 2020.
    """

    weight: float = 0.1

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the estimate, bound to the model's likelihood."""
        mean = model.likelihood.mean

        def norm(trace: Trace) -> Tensor:
            z = trace.coded.z
            return squared_norm(mean(trace.parameters), z) / z[..., 0].numel()

        return self.term(norm)
