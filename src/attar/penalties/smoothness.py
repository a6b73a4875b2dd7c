"""Penalties on derivatives and weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.codes.point import PointModule
from attar.model import Model
from attar.penalties.base import Penalty, PenaltyTerm, sum_of
from attar.records import Trace


def squared_norm(outputs: Tensor, inputs: Tensor) -> Tensor:
    """Return Hutchinson's estimate of Σ (∂outputs/∂inputs)², a scalar with a gradient.

    It is |∂(v · outputs)/∂inputs|² with a random sign vector v, and unbiased.

    References
    ----------
    Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian
    smoothing splines", Communications in Statistics 1990.
    """
    signs = torch.empty_like(outputs).bernoulli_(0.5).mul_(2).sub_(1)
    (slope,) = torch.autograd.grad((outputs * signs).sum(), inputs, create_graph=True)
    return slope.square().sum()


@dataclass(frozen=True)
class Contractive(Penalty, name="contractive"):
    r"""The squared Frobenius norm of the code's Jacobian, mean over the batch.

    .. math:: E \sum_{ij} \left(\frac{∂z_j}{∂x_i}\right)^2

    With an encoder of a single layer it is exact, :math:`\sum_j a'(u_j)^2 \sum_i W_{ji}^2`; else
    it is Hutchinson's estimate :math:`|∂(v·z)/∂x|^2` with a random sign vector v.

    Parameters
    ----------
    weight : float

    Examples
    --------
    The identity of two dimensions has the Jacobian I, so that |I|² = 2:

    >>> from attar.codes import Point
    >>> from attar.likelihoods import FixedGaussian
    >>> from attar.records import Batch
    >>> model = Model(nn.Identity(), Point().build(2), nn.Identity(), FixedGaussian().build())
    >>> x = torch.randn(5, 2)
    >>> trace = model(Batch(x, x), inputs_require_grad=True)
    >>> Contractive().build(model, 2, (2,)).value(trace).item()
    2.0

    References
    ----------
    Rifai et al., "Contractive auto-encoders: explicit invariance during feature extraction",
    ICML 2011.
    """

    weight: float = 0.1

    needs = frozenset({"point"})

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the exact norm where the encoder is one layer, else its estimate."""
        layers = [
            m for m in model.encoder.modules() if not isinstance(m, nn.Sequential | nn.Flatten)
        ]
        # A mask's channels have weights in the layer too, and a condition follows it.
        if (
            not model.missing
            and model.condition is None
            and len(layers) == 1
            and isinstance(layers[0], nn.Linear)
            and isinstance(model.code, PointModule)
        ):
            return self.term(_one_layer(layers[0], model.code))
        return self.term(_estimate, inputs_require_grad=True)


def _one_layer(layer: nn.Linear, code: PointModule) -> Callable[[Trace], Tensor]:
    def norm(trace: Trace) -> Tensor:
        z = code.point(trace.features)
        (slope,) = torch.autograd.grad(z.sum(), trace.features, create_graph=True)
        return (slope.square() @ layer.weight.square().sum(1)).mean()

    return norm


def _estimate(trace: Trace) -> Tensor:
    return squared_norm(trace.coded.z[0], trace.inputs) / len(trace.inputs)


@dataclass(frozen=True)
class L1(Penalty, name="l1"):
    """The sum of the absolute weights of encoder and decoder, without biases: Σ |w|.

    Parameters
    ----------
    weight : float

    Examples
    --------
    >>> absolutes([torch.tensor([[3.0, -4.0]])])
    tensor(7.)
    """

    weight: float = 1e-5

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return Σ |w|."""
        weights = weights_of(model.encoder, model.decoder)
        return self.term(lambda _: absolutes(weights))


@dataclass(frozen=True)
class L2(Penalty, name="l2"):
    """Half the sum of the squared weights of encoder and decoder, without biases: Σ w² / 2.

    Parameters
    ----------
    weight : float

    Examples
    --------
    >>> half_squares([torch.tensor([[3.0, -4.0]])])
    tensor(12.5000)
    """

    weight: float = 1e-4

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return Σ w² / 2."""
        weights = weights_of(model.encoder, model.decoder)
        return self.term(lambda _: half_squares(weights))


def weights_of(*modules: nn.Module) -> list[nn.Parameter]:
    """Return the weights of modules, without biases."""
    return [p for module in modules for p in module.parameters() if p.ndim > 1]


def absolutes(weights: Iterable[Tensor]) -> Tensor:
    """Return Σ |w|."""
    return sum_of(w.abs().sum() for w in weights)


def half_squares(weights: Iterable[Tensor]) -> Tensor:
    """Return Σ w² / 2."""
    return sum_of(w.square().sum() / 2 for w in weights)


@dataclass(frozen=True)
class CodeNorm(Penalty, name="code-norm"):
    """Half the squared norm of the codes, mean over the batch: |z|² / 2.

    A decoder with large weights makes up for small codes: combine it with a penalty on the decoder.

    Parameters
    ----------
    weight : float

    Examples
    --------
    >>> from attar.codes import Point
    >>> from attar.likelihoods import FixedGaussian
    >>> from attar.records import Batch
    >>> model = Model(nn.Identity(), Point().build(2), nn.Identity(), FixedGaussian().build())
    >>> x = torch.tensor([[3.0, 4.0]])
    >>> CodeNorm().build(model, 2, (2,)).value(model(Batch(x, x))).item()
    12.5

    References
    ----------
    Ghosh et al., "From variational to deterministic autoencoders", ICLR 2020.
    """

    weight: float = 0.1

    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the mean of |z|² / 2."""
        return self.term(lambda t: t.coded.z.square().sum(-1).mean() / 2)


@dataclass(frozen=True)
class DecoderWeights(Penalty, name="decoder-l2"):
    """Half the sum of the squared weights of the decoder, without biases: Σ w² / 2.

    Parameters
    ----------
    weight : float

    Examples
    --------
    >>> half_squares([torch.tensor([[3.0, -4.0]])])
    tensor(12.5000)

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
    r"""The squared Frobenius norm of the decoder's Jacobian, mean over the batch.

    .. math:: E \sum_{ij} \left(\frac{∂m_i(z)}{∂z_j}\right)^2

    m(z) is the expected row of a code. The norm is Hutchinson's estimate :math:`|∂(v·m)/∂z|^2` with
    a random sign vector v.

    Parameters
    ----------
    weight : float

    Examples
    --------
    A decoder that doubles a code of one dimension has the squared gradient 4:

    >>> from attar.codes import Point
    >>> from attar.likelihoods import FixedGaussian
    >>> from attar.records import Batch
    >>> double = nn.Linear(1, 1)
    >>> _ = nn.init.constant_(double.weight, 2.0)
    >>> encoder = nn.Linear(1, 1)
    >>> model = Model(encoder, Point().build(1), double, FixedGaussian().build())
    >>> x = torch.randn(5, 1)
    >>> DecoderGradient().build(model, 1, (1,)).value(model(Batch(x, x))).item()
    4.0

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
