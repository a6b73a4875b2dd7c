"""The loop: backpropagation, batch after batch."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch

from attar.data.batches import Batches, Selection
from attar.errors import AttarWarning, TrainingError
from attar.objective import Objective
from attar.records import Batch, Epoch
from attar.training.callbacks import Callback, Progress
from attar.training.checkpoints import (
    Checkpoint,
    State,
    nested,
    optimizer_state,
    restore_optimizer,
    unnested,
)
from attar.training.opponents import Opponents
from attar.training.optimizers import Optimizer, drop_denormals
from attar.training.schedules import Schedule

# Steps between two sweeps of the optimizer's state; it takes more to reach denormal numbers.
SWEEP = 100


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes
    ----------
    epochs : int
    optimizer : Optimizer
    schedule : Schedule
    learning_rate : float
        The largest step size of the schedule.
    patience : int or None
        How many epochs may pass without a better one; None for all.
    max_minutes : float or None
        After this time training ends, with its schedule complete.
    half : bool
        Let encoder and decoder compute in bfloat16.
    """

    epochs: int
    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float
    patience: int | None = None
    max_minutes: float | None = None
    half: bool = False


class Training:
    """A training of a model by an objective; :meth:`run` leaves the best weights in the model.

    Parameters
    ----------
    objective : Objective
    train : Batches
        The rows to learn from.
    seen, held_out : Selection, Selection or None
        The rows that are measured after each epoch: some that are learnt from, and some not.
    settings : Settings
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
        settings: Settings,
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
        self.model.half_precision = self.settings.half
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
        figures = self.objective.measure(self.seen)
        seconds = time.perf_counter() - started
        held_out = None
        if self.held_out is not None:
            held_out = self.objective.measure(self.held_out)["loss"]
        if not math.isfinite(figures["loss"] + (held_out or 0.0)):
            self._recover(number)
            return
        epoch = Epoch(
            epoch=number,
            **figures,
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
        if epoch.judged < self.best_loss:
            self.best_loss, self.best_epoch = epoch.judged, epoch.epoch
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
        state, facts = found
        self.good, self.best = unnested("good", state), unnested("best", state)
        self._restore(self.good)
        torch.set_rng_state(state["chance"])
        if "cuda-chance" in state:
            torch.cuda.set_rng_state(state["cuda-chance"])
        self.caution, self.progress.stop = facts["caution"], facts["over"]
        self.progress.history = [Epoch(**epoch) for epoch in facts["history"]]
        if self.progress.history:
            best = min(self.progress.history, key=lambda epoch: epoch.judged)
            self.best_loss, self.best_epoch = best.judged, best.epoch

    def _begin(self) -> None:
        self.model.on_data(self.seen.held.batch(self.seen.index))
        self.good = self._state()

    def _write(self, checkpoint: Checkpoint, over: bool = False) -> None:
        state = nested("good", self.good) | nested("best", self.best)
        state["chance"] = torch.get_rng_state()
        if next(self.model.parameters()).is_cuda:
            state["cuda-chance"] = torch.cuda.get_rng_state()
        history = [asdict(epoch) for epoch in self.progress.history]
        facts = {"caution": self.caution, "history": history, "over": over}
        checkpoint.write(state, facts)

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
