"""The objective: the loss of a trace, as a sum of named terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from attar.bounds import Bound, Elbo
from attar.isolation import seeded
from attar.model import Model
from attar.penalties import PenaltyTerm, sum_of
from attar.records import Batch, Trace


class Objective:
    """loss = bound(distortion, beta · rate) + auxiliary loss + Σ weight · penalty, in nats per row.

    Parameters
    ----------
    model : Model
    beta : float
        The weight of the rate.
    penalties : mapping of name to PenaltyTerm
    bound : Bound
        The loss from the likelihoods and rates of several samples of each code.

    Attributes
    ----------
    progress : float or Tensor ()
        The fraction of the training that is done, 0 to 1, which the training loop sets.
    latest_terms : dict of Tensor
        The terms of the last loss besides distortion and rate, by name.
    inputs_require_grad : bool
        Whether a trace needs inputs with a gradient.
    critics : dict of Critic
        The critics of adversarial penalties, by the penalty's name.
    heads : ModuleDict
        The weights of penalties that are trained with the model's, by the penalty's name.

    Examples
    --------
    >>> from attar.codes import Point
    >>> from attar.likelihoods import FixedGaussian
    >>> from attar.penalties import CodeNorm
    >>> model = Model(nn.Identity(), Point().build(2), nn.Identity(), FixedGaussian(0.5).build())
    >>> objective = Objective(model, penalties={"code-norm": CodeNorm(2.0).build(model, 2, (2,))})
    >>> trace = objective.trace(Batch.of(torch.tensor([[3.0, 4.0]])))
    >>> {name: round(term.item(), 2) for name, term in objective.terms(trace).items()}
    {'distortion': 1.14, 'rate': 0.0, 'code-norm': 25.0}
    """

    def __init__(
        self,
        model: Model,
        beta: float = 1.0,
        penalties: Mapping[str, PenaltyTerm] | None = None,
        bound: Bound | None = None,
    ) -> None:
        self.model, self.beta, self.penalties = model, beta, dict(penalties or {})
        self.bound: Bound = bound or Elbo()
        self.progress: float | Tensor = 0.0
        self.inputs_require_grad = any(term.inputs_require_grad for term in self.penalties.values())
        self.critics = {
            name: term.critic for name, term in self.penalties.items() if term.critic is not None
        }
        self.latest_terms: dict[str, Tensor] = {}
        heads = {n: term.head for n, term in self.penalties.items() if term.head is not None}
        self.heads = nn.ModuleDict(heads)

    def trace(self, batch: Batch) -> Trace:
        """Return the trace of a pass with as many samples of each code as the bound takes."""
        noise = None
        if self.bound.weighs:
            size = (self.bound.draws, len(batch.target), self.model.noise_size)
            noise = torch.randn(size, dtype=batch.target.dtype, device=batch.target.device)
        trace: Trace = self.model(self.model.corrupted(batch), noise, self.inputs_require_grad)
        return trace

    def terms(self, trace: Trace) -> dict[str, Tensor]:
        """Return the weighted terms of the loss by name; their sum is the loss."""
        return {**self._bounds(trace, trace.log_likelihood, self.bound), **self._rest(trace)}

    def loss(self, trace: Trace) -> Tensor:
        """Return the loss: a scalar, in nats per row."""
        return sum_of(self.terms(trace).values())

    @property
    def latest(self) -> dict[str, float]:
        """The terms of the last loss besides distortion and rate, by name."""
        return {name: value.item() for name, value in self.latest_terms.items()}

    @torch.no_grad()
    def measure(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return loss, distortion and rate of batches, in nats per row.

        Corruption and random codes use the same noise at every call, and the bound is that at the
        end of training, so that epochs can be compared; auxiliary losses and penalties are not part
        of the loss.
        """
        was_training, model = self.model.training, self.model
        model.eval()
        means, sizes = list[Tensor](), list[int]()
        with seeded(0, next(model.parameters()).device):
            for batch in batches:
                n = len(batch.target)
                corrupted = model.corrupted(batch)
                noise = torch.randn(self.bound.draws, n, model.noise_size)
                trace = model(corrupted, noise.to(batch.target.device, batch.target.dtype))
                bound = self.bound.terms(trace.log_likelihood, trace.coded, self.beta, 1.0)
                both = (-trace.log_likelihood.mean(), trace.coded.rate.mean())
                means.append(torch.stack([sum_of(bound.values()), *both]))
                sizes.append(n)
        model.train(was_training)
        # One read, so that a GPU does not wait after each batch.
        sums = torch.tensor(sizes, dtype=torch.float64) @ torch.stack(means).cpu().double()
        loss, distortion, rate = (sums / sum(sizes)).tolist()
        return {"loss": loss, "distortion": distortion, "rate": rate}

    def backward(self, trace: Trace) -> None:
        """Add the gradient of the loss to the model's parameters, in nats per cell.

        Division by the number of cells makes learning rates comparable between data sets.
        """
        rest, encoders = list(self._rest(trace).values()), self.bound.encoder
        if encoders is None:
            self._backward(trace, self.bound, rest)
            return
        for bound, weights in zip((encoders, self.bound), self._weights(), strict=True):
            if weights:
                self._backward(trace, bound, rest, weights)

    def _backward(
        self, trace: Trace, bound: Bound, rest: list[Tensor], weights: list[Tensor] | None = None
    ) -> None:
        """Add the gradient of a bound and the other terms to some weights, or to all.

        A likelihood with an analytical gradient is not differentiated, and its value is computed
        only for a bound that weights samples by it.
        """
        cells, again = trace.batch.target[0].numel(), weights is not None
        gradient = self.model.likelihood.gradient(trace.parameters.detach(), trace.batch.target)
        if gradient is None:
            terms = self._bounds(trace, trace.log_likelihood, bound)
            loss = sum_of([*terms.values(), *rest]) / cells
            torch.autograd.backward([loss], retain_graph=again, inputs=weights)
            return
        if trace.batch.observed is not None:
            gradient = gradient * trace.batch.observed
        if bound.weighs:
            with torch.no_grad():
                likelihood = trace.log_likelihood
        else:
            likelihood = trace.parameters.new_zeros(trace.parameters.shape[:2])
        likelihood.requires_grad_()
        value = sum_of(self._bounds(trace, likelihood, bound).values())
        (slope,) = torch.autograd.grad(value, likelihood, retain_graph=True)
        slope = (slope / -cells).reshape(*slope.shape, *[1] * (gradient.ndim - 2))
        loss = sum_of([value, *rest]) / cells
        torch.autograd.backward(
            [trace.parameters, loss], [gradient.mul_(slope), None], again, inputs=weights
        )

    def _weights(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the weights that the encoder's bound trains, and those of the decoder's."""
        model = self.model
        assert model.code.prior is not None
        modules = nn.ModuleList([model.decoder, model.likelihood, model.code.prior])
        decoders = set(modules.parameters())
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        return [w for w in weights if w not in decoders], [w for w in weights if w in decoders]

    def _bounds(self, trace: Trace, log_likelihood: Tensor, bound: Bound) -> dict[str, Tensor]:
        return bound.terms(log_likelihood, trace.coded, self.beta, self.progress)

    def _rest(self, trace: Trace) -> dict[str, Tensor]:
        rest = {}
        if trace.coded.auxiliary_loss is not None:
            rest["auxiliary_loss"] = trace.coded.auxiliary_loss.mean()
        for name, term in self.penalties.items():
            rest[name] = term.weight * term.value(trace)
        self.latest_terms = {name: value.detach() for name, value in rest.items()}
        return rest
