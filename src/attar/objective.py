"""The objective: a trace becomes a loss, term by named term."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from attar.model import Model
from attar.penalties import PenaltyTerm, sum_of
from attar.records import Batch, Trace


class Objective:
    """loss = distortion + beta · rate + Σ weight · penalty, in nats a row.

    Parameters
    ----------
    model : Model
    beta : float
        The weight of the rate.
    penalties : mapping of name to PenaltyTerm

    Attributes
    ----------
    inputs_learn : bool
        Whether a trace must be made with inputs that have a gradient.
    """

    def __init__(
        self, model: Model, beta: float = 1.0, penalties: Mapping[str, PenaltyTerm] | None = None
    ) -> None:
        self.model, self.beta, self.penalties = model, beta, dict(penalties or {})
        self.inputs_learn = any(term.inputs_learn for term in self.penalties.values())

    def terms(self, trace: Trace) -> dict[str, Tensor]:
        """Return each term of the loss by name, already weighted; they add up to the loss."""
        return {"distortion": -trace.log_likelihood.mean(), **self._rest(trace)}

    def loss(self, trace: Trace) -> Tensor:
        """Return the loss: a scalar, in nats a row."""
        return sum_of(self.terms(trace).values())

    @torch.no_grad()
    def measure(self, batches: Iterable[Batch], code_size: int) -> dict[str, float]:
        """Return distortion, rate and their weighted sum in nats a row, over clean batches.

        Random codes use the same draws at every call, so that figures can be compared; penalties
        are left out, since they act on training alone.
        """
        was_training = self.model.training
        self.model.eval()
        chance = torch.Generator().manual_seed(0)
        sums, rows = torch.zeros(2, dtype=torch.float64), 0
        for batch in batches:
            n = len(batch.target)
            noise = torch.randn(1, n, code_size, generator=chance).to(batch.target.device)
            trace = self.model(batch, noise.to(batch.target.dtype))
            both = torch.stack([-trace.log_likelihood.mean(), trace.coded.rate.mean()])
            sums += n * both.double().cpu()
            rows += n
        self.model.train(was_training)
        distortion, rate = (sums / rows).tolist()
        return {"loss": distortion + self.beta * rate, "distortion": distortion, "rate": rate}

    def backward(self, trace: Trace) -> None:
        """Add the gradient of the loss to the parameters, in nats a cell.

        A cell's share of the loss keeps the step sizes comparable from data to data. Where the
        likelihood has its gradient written down, the loss's value is never computed.
        """
        cells = trace.batch.target[0].numel()
        gradient = self.model.likelihood.gradient(trace.parameters.detach(), trace.batch.target)
        if gradient is None:
            (self.loss(trace) / cells).backward()  # type: ignore[no-untyped-call]
            return
        if trace.batch.observed is not None:
            gradient = gradient * trace.batch.observed
        samples, rows = trace.parameters.shape[:2]
        roots: list[Tensor] = [trace.parameters]
        gradients: list[Tensor | None] = [gradient.mul_(1 / (samples * rows * cells))]
        rest = [term for term in self._rest(trace).values() if term.requires_grad]
        if rest:
            roots.append(sum_of(rest) / cells)
            gradients.append(None)
        torch.autograd.backward(roots, gradients)

    def _rest(self, trace: Trace) -> dict[str, Tensor]:
        rest = {}
        if self.beta:
            rest["rate"] = self.beta * trace.coded.rate.mean()
        for name, term in self.penalties.items():
            rest[name] = term.weight * term.value(trace)
        return rest
