"""Opponents: the critics of an objective, which learn beside the model and against it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from attar.objective import Objective
from attar.penalties import sum_of
from attar.records import Trace
from attar.training.checkpoints import State, nested, optimizer_state, restore_optimizer, unnested

# Players who chase each other do better with little momentum (Radford et al., 2016).
BETAS = (0.5, 0.9)


class Opponents:
    """The critics of an objective, and the optimizer that they share; there may be none.

    Parameters
    ----------
    objective : Objective
    learning_rate : float
    """

    def __init__(self, objective: Objective, learning_rate: float) -> None:
        self.critics = objective.critics
        self.modules = nn.ModuleDict(self.critics)
        self.weights = list(self.modules.parameters())
        # An optimizer wants something to optimize.
        weights = self.weights or [nn.Parameter(torch.zeros(1))]
        self.optimizer = torch.optim.Adam(weights, learning_rate, betas=BETAS, fused=True)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The optimizer's groups, whose learning rate the schedule sets."""
        return self.optimizer.param_groups

    def step(self, trace: Trace) -> None:
        """Let each critic learn from a trace of the model."""
        if not self.critics:
            return
        for weight in self.weights:
            weight.grad = None
        loss: Tensor = sum_of(critic.loss(trace) for critic in self.critics.values())
        torch.autograd.backward([loss])
        self.optimizer.step()

    def state(self) -> State:
        """Return all that the critics need to go on."""
        weights = {name: tensor.clone() for name, tensor in self.modules.state_dict().items()}
        optimizer = {name: t.clone() for name, t in optimizer_state(self.optimizer).items()}
        return nested("critics", weights) | nested("optimizer", optimizer)

    def restore(self, state: State) -> None:
        """Go back to a state."""
        self.modules.load_state_dict(unnested("critics", state))
        restore_optimizer(self.optimizer, unnested("optimizer", state))
