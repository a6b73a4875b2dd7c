"""The objective: a trace becomes a loss, term by named term."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from attar.bounds import Bound, Elbo
from attar.model import Model
from attar.penalties import PenaltyTerm, sum_of
from attar.records import Batch, Trace


class Objective:
    """loss = bound(distortion, beta · rate) + upkeep + Σ weight · penalty, in nats a row.

    Parameters
    ----------
    model : Model
    beta : float
        The weight of the rate.
    penalties : mapping of name to PenaltyTerm
    bound : Bound
        How the likelihoods and rates of several draws become a loss.

    Attributes
    ----------
    share : float
        How much of the training is done, 0 to 1: the loop keeps it, and a bound may change with it.
    inputs_require_grad : bool
        Whether a trace must be made with inputs that have a gradient.
    critics : dict of Critic
        Who plays against the model, by the penalty's name.
    """

    def __init__(
        self,
        model: Model,
        beta: float = 1.0,
        penalties: Mapping[str, PenaltyTerm] | None = None,
        bound: Bound | None = None,
    ) -> None:
        self.model, self.beta, self.penalties = model, beta, dict(penalties or {})
        self.bound, self.share = bound or Elbo(), 0.0
        self.inputs_require_grad = any(term.inputs_require_grad for term in self.penalties.values())
        self.critics = {
            name: term.critic for name, term in self.penalties.items() if term.critic is not None
        }

    def trace(self, batch: Batch) -> Trace:
        """Return the trace of a pass with as many draws as the loss is made from."""
        noise = None
        if self.bound.weighs:
            size = (self.bound.draws, len(batch.target), self.model.noise_size)
            noise = torch.randn(size, dtype=batch.target.dtype, device=batch.target.device)
        trace: Trace = self.model(batch, noise, self.inputs_require_grad)
        return trace

    def terms(self, trace: Trace) -> dict[str, Tensor]:
        """Return each term of the loss by name, already weighted; they add up to the loss."""
        return {**self._bounds(trace, trace.log_likelihood, self.bound), **self._rest(trace)}

    def loss(self, trace: Trace) -> Tensor:
        """Return the loss: a scalar, in nats a row."""
        return sum_of(self.terms(trace).values())

    @torch.no_grad()
    def measure(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return distortion, rate and the bound on them in nats a row, over clean batches.

        Random codes use the same draws at every call, and a bound is taken as it is at the end of
        training, so that figures can be compared; penalties are left out, since they act on
        training alone.
        """
        was_training, model = self.model.training, self.model
        model.eval()
        generator = torch.Generator().manual_seed(0)
        sums, rows = torch.zeros(3, dtype=torch.float64), 0
        for batch in batches:
            n = len(batch.target)
            noise = torch.randn(self.bound.draws, n, model.noise_size, generator=generator)
            trace = model(batch, noise.to(batch.target.device, batch.target.dtype))
            bound = self.bound.terms(trace.log_likelihood, trace.coded, self.beta, 1.0)
            both = (-trace.log_likelihood.mean(), trace.coded.rate.mean())
            sums += n * torch.stack([sum_of(bound.values()), *both]).double().cpu()
            rows += n
        model.train(was_training)
        loss, distortion, rate = (sums / rows).tolist()
        return {"loss": loss, "distortion": distortion, "rate": rate}

    def backward(self, trace: Trace) -> None:
        """Add the gradient of the loss to the model's parameters, in nats a cell.

        A cell's share of the loss keeps the step sizes comparable from data to data.
        """
        rest, encoders = list(self._rest(trace).values()), self.bound.encoder
        if encoders is None:
            self._derive(trace, self.bound, rest)
            return
        for bound, weights in zip((encoders, self.bound), self._weights(), strict=True):
            if weights:
                self._derive(trace, bound, rest, weights)

    def _derive(
        self, trace: Trace, bound: Bound, rest: list[Tensor], weights: list[Tensor] | None = None
    ) -> None:
        """Add the gradient of a bound and the other terms to some weights, or to all.

        Where the likelihood has its gradient written down, it is never derived, and its value is
        computed only for a bound that weighs draws by it.
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
        """Return what the encoder's bound trains, and what the decoder's does."""
        model = self.model
        assert model.code.prior is not None
        modules = nn.ModuleList([model.decoder, model.likelihood, model.code.prior])
        decoders = set(modules.parameters())
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        return [w for w in weights if w not in decoders], [w for w in weights if w in decoders]

    def _bounds(self, trace: Trace, log_likelihood: Tensor, bound: Bound) -> dict[str, Tensor]:
        return bound.terms(log_likelihood, trace.coded, self.beta, self.share)

    def _rest(self, trace: Trace) -> dict[str, Tensor]:
        rest = {}
        if trace.coded.auxiliary_loss is not None:
            rest["auxiliary_loss"] = trace.coded.auxiliary_loss.mean()
        for name, term in self.penalties.items():
            rest[name] = term.weight * term.value(trace)
        return rest
