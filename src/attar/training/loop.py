"""The training loop: backpropagation, batch after batch, of the model and of its critics."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from attar.data.batches import Batches, Selection
from attar.errors import AttarWarning, TrainingError
from attar.objective import Objective
from attar.penalties import sum_of
from attar.records import Batch, Epoch, Trace
from attar.storage import nested, unnested
from attar.training.callbacks import Callback, Progress
from attar.training.checkpoints import (
    Checkpoint,
    State,
    optimizer_state,
    restore_optimizer,
)
from attar.training.optim import Optimizer, Schedule, drop_denormals

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


# Steps between two sweeps of the optimizer's state; it takes more to reach denormal numbers.
SWEEP = 100


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes
    ----------
    epochs, batch_size : int
    optimizer : Optimizer
    schedule : Schedule
    learning_rate : float
        The largest step size of the schedule.
    patience : int or None
        How many epochs may pass without a better one; None for all.
    max_minutes : float or None
        After this time training ends, with its schedule complete.
    half : bool or None
        Whether encoder and decoder compute in bfloat16; None: where it is faster.
    """

    epochs: int
    batch_size: int
    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float
    patience: int | None = None
    max_minutes: float | None = None
    half: bool | None = None


class Training:
    """A training of a model by an objective; :meth:`run` leaves the best weights in the model.

    Parameters
    ----------
    objective : Objective
    train : Batches
        The rows to learn from.
    seen, held_out : Selection, Selection or None
        The rows that are measured after each epoch: some that are learnt from, and some not.
    settings : TrainingSettings
    callbacks : sequence of Callback
    checkpoint : Checkpoint or None
        Where to keep the state, and to go on from if there is one.
    """

    def __init__(
        self,
        objective: Objective,
        train: Batches,
        seen: Selection,
        held_out: Selection | None,
        settings: TrainingSettings,
        callbacks: Sequence[Callback] = (),
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.objective, self.model, self.settings = objective, objective.model, settings
        self.train, self.seen, self.held_out = train, seen, held_out
        self.callbacks, self.checkpoint = callbacks, checkpoint
        self.weights = list(self.model.parameters())
        self.optimizer = settings.optimizer.build(self.weights, settings.learning_rate)
        self.opponents = Opponents(objective, settings.learning_rate)
        self.progress = Progress(self.model, settings.epochs, len(train))
        self.caution = 1.0
        self.best_loss, self.best_epoch, self.best = math.inf, 0, self._model_state()
        self.good = self._state()

    def run(self) -> list[Epoch]:
        """Train, and return the figures of each epoch.

        Raises
        ------
        TrainingError
            If the loss is no finite number, even after a second try with smaller steps.
        """
        self._resume()
        self.model.half_precision = bool(self.settings.half)
        try:
            for callback in self.callbacks:
                callback.on_start(self.progress)
            while not self._done():
                self._epoch()
        finally:
            self.model.half_precision = False
            for callback in self.callbacks:
                callback.on_end(self.progress)
        if self.checkpoint is not None:
            self._write(self.checkpoint, over=True)
        self.model.load_state_dict(self.best)
        self.model.eval()
        return self.progress.history

    def _epoch(self) -> None:
        number = len(self.progress.history) + 1
        started = time.perf_counter()
        self.model.train()
        for step, batch in enumerate(self.train.shuffled()):
            total = (number - 1) * len(self.train) + step
            rate = self._set_learning_rate(total)
            self._step(batch, total)
            for callback in self.callbacks:
                callback.on_step(self.progress)
        self.model.code.on_epoch()
        metrics = self.objective.measure(self.seen)
        seconds = time.perf_counter() - started
        held_out = None
        if self.held_out is not None:
            held_out = self.objective.measure(self.held_out)["loss"]
        if not math.isfinite(metrics["loss"] + (held_out or 0.0)):
            self._recover(number)
            return
        epoch = Epoch(
            epoch=number,
            **metrics,
            validation_loss=held_out,
            learning_rate=rate,
            rows_per_second=self.train.rows / seconds,
        )
        self._keep(epoch)
        for callback in self.callbacks:
            callback.on_epoch(self.progress)

    def _step(self, batch: Batch, step: int) -> None:
        for weight in self.weights:
            weight.grad = None
        trace = self.objective.trace(batch)
        self.objective.backward(trace)
        if self.settings.optimizer.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.weights, self.settings.optimizer.clip)
        self.optimizer.step()
        self.opponents.step(trace)
        if step % SWEEP == 0 and not trace.parameters.is_cuda:
            drop_denormals(self.optimizer)

    def _set_learning_rate(self, step: int) -> float:
        settings = self.settings
        share = step / (settings.epochs * len(self.train))
        if settings.max_minutes is not None:
            share = max(share, (time.monotonic() - self._started) / (60 * settings.max_minutes))
        self.progress.share = self.objective.share = min(share, 1.0)
        factor = settings.schedule.factor(self.progress.share)
        rate = settings.learning_rate * self.caution * factor
        for group in (*self.optimizer.param_groups, *self.opponents.param_groups):
            group["lr"] = rate
        return rate

    def _done(self) -> bool:
        history, settings = self.progress.history, self.settings
        if len(history) >= settings.epochs or self.progress.stop:
            return True
        if settings.max_minutes is not None and self.progress.share >= 1:
            return True
        return settings.patience is not None and len(history) - self.best_epoch > settings.patience

    def _keep(self, epoch: Epoch) -> None:
        self.progress.history.append(epoch)
        self.good = self._state()
        if epoch.monitored_loss < self.best_loss:
            self.best_loss, self.best_epoch = epoch.monitored_loss, epoch.epoch
            self.best = self._model_state()
        if self.checkpoint is not None and self.checkpoint.due():
            self._write(self.checkpoint)

    def _recover(self, number: int) -> None:
        if self.caution < 1:
            raise TrainingError(
                f"The loss was no finite number again in epoch {number}, with smaller steps too: "
                f"{self._likely_cause()}"
            )
        self._restore(self.good)
        self.caution = 0.1
        warnings.warn(
            f"The loss was no finite number in epoch {number}: going back to the last good state, "
            "with steps a tenth as large.",
            AttarWarning,
            stacklevel=2,
        )

    def _likely_cause(self) -> str:
        largest = float(next(iter(self.seen)).target.abs().max())
        if not largest < 1e3:
            return (
                f"the data has prepared values as large as {largest:.3g}; use "
                "scaling='standard' or look for wrong entries."
            )
        return (
            f"the learning rate {self.settings.learning_rate:.3g} is probably too large; try a "
            "tenth of it, or an optimizer with clip=1.0."
        )

    def _resume(self) -> None:
        self._started = time.monotonic()
        if self.checkpoint is None:
            self._begin()
            return
        found = self.checkpoint.read()
        if found is None:
            self._begin()
            self._write(self.checkpoint)
            return
        state, progress = found
        self.good, self.best = unnested("good", state), unnested("best", state)
        self._restore(self.good)
        torch.set_rng_state(state["generator"])
        if "cuda-generator" in state:
            torch.cuda.set_rng_state(state["cuda-generator"])
        self.caution, self.progress.stop = progress["caution"], progress["over"]
        self.progress.history = [Epoch(**epoch) for epoch in progress["history"]]
        if self.progress.history:
            best = min(self.progress.history, key=lambda epoch: epoch.monitored_loss)
            self.best_loss, self.best_epoch = best.monitored_loss, best.epoch

    def _begin(self) -> None:
        self.model.on_data(self.seen.held.batch(self.seen.index))
        self.good = self._state()

    def _write(self, checkpoint: Checkpoint, over: bool = False) -> None:
        state = nested("good", self.good) | nested("best", self.best)
        state["generator"] = torch.get_rng_state()
        if next(self.model.parameters()).is_cuda:
            state["cuda-generator"] = torch.cuda.get_rng_state()
        history = [asdict(epoch) for epoch in self.progress.history]
        progress = {"caution": self.caution, "history": history, "over": over}
        checkpoint.write(state, progress)

    def _state(self) -> State:
        optimizer = {name: t.clone() for name, t in optimizer_state(self.optimizer).items()}
        state = nested("model", self._model_state()) | nested("optimizer", optimizer)
        return state | nested("opponents", self.opponents.state())

    def _model_state(self) -> State:
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def _restore(self, state: State) -> None:
        self.model.load_state_dict(unnested("model", state))
        restore_optimizer(self.optimizer, unnested("optimizer", state))
        self.opponents.restore(unnested("opponents", state))
