"""The bases of penalties and of their critics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar import workers
from attar.errors import SettingError
from attar.model import Model
from attar.parts import Part
from attar.priors import PriorModule
from attar.records import Trace


class Critic(nn.Module, ABC):
    """An adversary of the model, with weights and a loss of its own."""

    @abstractmethod
    def loss(self, trace: Trace) -> Tensor:
        """Return the critic's own loss, a scalar with a gradient for the critic alone."""


@dataclass(frozen=True)
class PenaltyTerm:
    """A penalty bound to a model.

    Attributes
    ----------
    weight : float
    value : callable
        From a trace to the unweighted penalty, a scalar with a gradient for the model alone.
    inputs_require_grad : bool
        Whether it differentiates with respect to the trace's inputs.
    critic : Critic or None
        The model's adversary, where the penalty has one.
    head : Module or None
        Weights of the penalty that are trained with the model's, for training alone.
    """

    weight: float
    value: Callable[[Trace], Tensor]
    inputs_require_grad: bool = False
    critic: Critic | None = None
    head: nn.Module | None = None


class Penalty(Part):
    """A term of the loss besides distortion and rate, with its weight.

    Attributes
    ----------
    weight : float
    needs : frozenset of str
        What it asks of the code: what a code provides, or ``"prior"``.
    """

    weight: float

    @abstractmethod
    def build(self, model: Model, code_size: int, shape: tuple[int, ...]) -> PenaltyTerm:
        """Return the penalty, bound to a model of rows of a prepared shape.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """

    def term(
        self,
        value: Callable[[Trace], Tensor],
        inputs_require_grad: bool = False,
        critic: Critic | None = None,
        head: nn.Module | None = None,
    ) -> PenaltyTerm:
        """Return the term of a value with this penalty's weight; see :class:`PenaltyTerm`.

        Raises
        ------
        SettingError
            If the weight is negative or not finite.
        """
        weight = self.non_negative("weight")
        return PenaltyTerm(weight, value, inputs_require_grad, critic, head)


def sum_of(terms: Iterable[Tensor]) -> Tensor:
    """Return the sum of scalars as one tensor."""
    return torch.stack(list(terms)).sum()


def prior_of(penalty: Penalty, model: Model) -> PriorModule:
    """Return the prior of a model's code.

    Raises
    ------
    SettingError
        If it has none.
    """
    if model.code.prior is None:
        raise SettingError(f"The penalty {penalty.name!r} needs a code with a prior: give it one.")
    return model.code.prior


def codes_of(trace: Trace) -> Tensor:
    """Return the first code of each row of all workers: (B, d)."""
    return workers.all_rows(trace.coded.z[0])


def samples_like(prior: PriorModule, z: Tensor) -> Tensor:
    """Return as many samples of the prior as there are codes (n, d), on their device: (n, d)."""
    return prior.sample(len(z)).to(z)


def moments_of(trace: Trace) -> tuple[Tensor, Tensor]:
    """Return the mean and log-variance of the posterior of each row of all workers: (B, d) each.

    Raises
    ------
    SettingError
        If the code has none.
    """
    if trace.coded.moments is None:
        raise SettingError(
            "A penalty on moments needs a code with a Gaussian posterior: use the code 'gaussian'."
        )
    mean, log_variance = trace.coded.moments
    return workers.all_rows(mean), workers.all_rows(log_variance)
