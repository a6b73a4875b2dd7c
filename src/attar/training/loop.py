"""The training loop: backpropagation, batch after batch, of the model and of its critics."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from attar import workers
from attar.data.batches import Batches, Selection
from attar.errors import SettingError, TrainingError, warn
from attar.objective import Objective
from attar.penalties import sum_of
from attar.records import Epoch, Trace
from attar.storage import nested, unnested
from attar.training.callbacks import Callback, Progress
from attar.training.checkpoints import (
    Checkpoint,
    State,
    module_state,
    optimizer_state,
    restore_optimizer,
)
from attar.training.graphs import steps_of
from attar.training.optim import Optimizer, Schedule, drop_denormals
from attar.training.threads import Threads

# Adversarial training is more stable with little momentum (Radford et al., 2016).
BETAS = (0.5, 0.9)


class Critics:
    """The critics of an objective, if any, and the optimizer that they share.

    Parameters
    ----------
    objective : Objective
    learning_rate : float
    """

    def __init__(self, objective: Objective, learning_rate: float) -> None:
        self.critics = objective.critics
        self.modules = nn.ModuleDict(self.critics)
        self.weights = list(self.modules.parameters())
        # An optimizer refuses an empty list.
        weights = self.weights or [nn.Parameter(torch.zeros(1))]
        self.optimizer = torch.optim.Adam(weights, learning_rate, betas=BETAS, fused=True)

    def step(self, trace: Trace) -> None:
        """Make a step of each critic on a trace of the model."""
        if not self.critics:
            return
        for weight in self.weights:
            weight.grad = None
        loss: Tensor = sum_of(critic.loss(trace) for critic in self.critics.values())
        torch.autograd.backward([loss])
        workers.average_gradients(self.weights, len(trace.batch.target))
        self.optimizer.step()

    def state(self) -> State:
        """Return weights and the optimizer's state."""
        weights = nested("weights", module_state(self.modules))
        return weights | nested("optimizer", optimizer_state(self.optimizer))

    def restore(self, state: State) -> None:
        """Restore a state."""
        self.modules.load_state_dict(unnested("weights", state))
        restore_optimizer(self.optimizer, unnested("optimizer", state))


# Steps between two searches for denormal numbers; it takes more steps to decay to one.
DENORMALS_EVERY = 100

# Steps of an epoch between which a checkpoint may be due, and the seconds between two of these.
DUE_EVERY, SECONDS_WITHIN = 100, 60.0


@dataclass(frozen=True)
class TrainingSettings:
    """The settings of a training.

    Attributes
    ----------
    epochs, batch_size : int
    optimizer : Optimizer
    schedule : Schedule
    learning_rate : float
        The largest learning rate of the schedule.
    patience : int or None
        The number of epochs without improvement after which training stops; None for no early
        stopping.
    max_minutes : float or None
        The time after which training ends, with its schedule complete.
    half_precision : bool
        Whether encoder and decoder compute in bfloat16.
    """

    epochs: int
    batch_size: int
    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float
    patience: int | None = None
    max_minutes: float | None = None
    half_precision: bool = False


class Training:
    """A training of an objective's model; :meth:`run` leaves the best weights in it, even stopped.

    Parameters
    ----------
    objective : Objective
    train : Batches
        The training rows.
    monitored : Selection
        The training rows whose loss is measured after each epoch.
    validation : Selection or None
        The validation rows whose loss is measured after each epoch.
    settings : TrainingSettings
    callbacks : sequence of Callback
    checkpoint : Checkpoint or None
        The file of the state, from which training resumes where there is one.
    threads : Threads or None
        How many threads make a step; None: one.

    Attributes
    ----------
    step_factor : float
        What the learning rate is multiplied by: less than 1 once the loss was not finite.
    best, best_loss, best_epoch
        The weights, the monitored loss and the number of the best epoch so far.
    steps_done, epoch_start
        The steps of the next epoch that were done before it was resumed, and the state of torch's
        generator at its start.
    """

    def __init__(
        self,
        objective: Objective,
        train: Batches,
        monitored: Selection,
        validation: Selection | None,
        settings: TrainingSettings,
        callbacks: Sequence[Callback] = (),
        checkpoint: Checkpoint | None = None,
        threads: Threads | None = None,
    ) -> None:
        self.objective, self.model, self.settings = objective, objective.model, settings
        self.train, self.monitored, self.validation = train, monitored, validation
        self.callbacks = callbacks if workers.rank() == 0 else ()
        self.checkpoint = checkpoint
        # Callbacks of a user's own may change the model after each step.
        own = (type(each).on_step.__module__ for each in callbacks)
        self.may_be_changed = any(not name.startswith("attar.") for name in own)
        self.threads = threads or Threads()
        heads = list(objective.heads.parameters())
        self.weights = [*self.model.parameters(), *heads]
        cells = monitored.held.batch(monitored.index[:1]).target[0].numel()
        groups = self.model.weight_groups()
        groups[0]["params"] += heads
        self.optimizer = settings.optimizer.build(groups, settings.learning_rate, cells)
        self.critics = Critics(objective, settings.learning_rate)
        optimizers = [self.optimizer, self.critics.optimizer]
        self.steps = steps_of(self._step, objective, optimizers, settings.epochs * len(train))
        self.progress = Progress(self.model, settings.epochs, len(train))
        self.step_factor = 1.0
        self.best_loss, self.best_epoch, self.best = math.inf, 0, module_state(self.model)
        self.last_finite = self._state()
        self.steps_done, self.epoch_start = 0, torch.get_rng_state()

    def run(self) -> list[Epoch]:
        """Train, and return the metrics of each epoch.

        Raises
        ------
        TrainingError
            If the loss is not finite, even after a second try with smaller steps.
        SettingError
            If several workers cannot train the model.
        """
        if workers.count() > 1:
            self._join()
        self._resume()
        self.model.half_precision = self.settings.half_precision
        try:
            for callback in self.callbacks:
                callback.on_start(self.progress)
            with self.threads, self.steps:
                while not self._done():
                    self._epoch()
        except BaseException as error:
            self.progress.error = error
            raise
        finally:
            self.model.half_precision = False
            for callback in self.callbacks:
                callback.on_end(self.progress)
            self.model.load_state_dict(self.best)
            self.model.eval()
        if self.checkpoint is not None:
            self._write(self.checkpoint, finished=True)
        return self.progress.history

    def _join(self) -> None:
        """Start from the first worker's weights, with random numbers of this one's own."""
        modules = [self.model, self.objective.heads, self.critics.modules]
        for name, module in nn.ModuleList(modules).named_modules():
            if isinstance(module, _NormBase) and module.track_running_stats:
                raise SettingError(
                    f"{type(module).__name__} ({name}) normalizes by the rows of one worker, and "
                    f"there are {workers.count()}: use a network with layer or group "
                    "normalization, or one worker."
                )
        if self.train.rows // len(self.train) < workers.count():
            raise SettingError(
                f"A batch of {self.train.size} rows is too small for {workers.count()} workers: "
                "give a larger batch_size, or use fewer workers."
            )
        for module in modules:
            state = {name: tensor.cpu() for name, tensor in module.state_dict().items()}
            module.load_state_dict(workers.same(state))
        if workers.rank():
            torch.manual_seed(torch.initial_seed() + workers.rank())

    def _epoch(self) -> None:
        number = len(self.progress.history) + 1
        started = time.perf_counter()
        self.model.train()
        self.steps.renew()
        rows = 0
        for step, drawn in self._drawn():
            total = (number - 1) * len(self.train) + step
            rate = self._set_learning_rate(total)
            if rows and self.progress.fraction >= 1:  # out of time
                break
            rows += len(drawn)
            if self.threads.undecided:
                self.threads.decide(partial(self._numbers, drawn))
            with self.threads.step():
                self.steps(drawn)
            if total % DENORMALS_EVERY == 0 and not drawn.is_cuda:
                drop_denormals(self.optimizer)
            for callback in self.callbacks:
                callback.on_step(self.progress)
            if self.may_be_changed:
                self.steps.renew()
            if (step + 1) % DUE_EVERY == 0:
                self._keep_within(step + 1)
        if self.model.code.training:  # it is not frozen
            self.model.code.on_epoch()
        metrics = workers.same(self.objective.measure(self.monitored))
        seconds = time.perf_counter() - started
        validation_loss = None
        if self.validation is not None:
            validation_loss = workers.same(self.objective.measure(self.validation)["loss"])
        if not math.isfinite(metrics["loss"] + (validation_loss or 0.0)):
            self._recover(number)
            return
        epoch = Epoch(
            epoch=number,
            **metrics,
            validation_loss=validation_loss,
            learning_rate=rate,
            rows_per_second=workers.count() * rows / seconds,
        )
        self._keep(epoch)
        self.progress.penalties = self.objective.latest
        for callback in self.callbacks:
            callback.on_epoch(self.progress)
        self.progress.stop = workers.same(self.progress.stop)

    def _drawn(self) -> Iterator[tuple[int, Tensor]]:
        """Yield the batches of an epoch with their numbers, from where a checkpoint was written."""
        now = torch.get_rng_state()
        if self.steps_done:
            torch.set_rng_state(self.epoch_start)
        else:
            self.epoch_start = now
        drawn = enumerate(self.train.drawn())
        for _ in range(self.steps_done):
            next(drawn)
        if self.steps_done:
            torch.set_rng_state(now)
        self.steps_done = 0
        return drawn

    def _keep_within(self, steps: int) -> None:
        """Write a checkpoint after so many steps of an epoch, where it is time."""
        if self.checkpoint is None or not workers.same(self.checkpoint.due(SECONDS_WITHIN)):
            return
        if all(bool(weight.isfinite().all()) for weight in self.weights):
            self._write(self.checkpoint, steps=steps)

    def _step(self, rows: Tensor) -> None:
        for weight in self.weights:
            weight.grad = None
        trace = self.objective.trace(self.train.batch(rows))
        self.objective.backward(trace)
        workers.average_gradients(self.weights, len(rows))
        if self.settings.optimizer.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.weights, self.settings.optimizer.clip)
        self.optimizer.step()
        self.critics.step(trace)

    def _numbers(self, rows: Tensor) -> State:
        """Return all numbers after a step and a measurement, without making them."""
        before = self._state()
        with torch.random.fork_rng([]):
            self._step(rows)
            metrics = self.objective.measure(self.monitored)
        after = self._state() | {"metrics": torch.tensor(list(metrics.values()))}
        self._restore(before)
        return after

    def _set_learning_rate(self, step: int) -> float:
        settings = self.settings
        fraction = step / (settings.epochs * len(self.train))
        if settings.max_minutes is not None:
            elapsed = workers.same(time.monotonic() - self._started)
            fraction = max(fraction, elapsed / (60 * settings.max_minutes))
        self.progress.fraction = min(fraction, 1.0)
        factor = settings.schedule.factor(self.progress.fraction)
        rate = settings.learning_rate * self.step_factor * factor
        self.steps.set(rate, self.progress.fraction)
        return rate

    def _done(self) -> bool:
        history, settings = self.progress.history, self.settings
        if len(history) >= settings.epochs or self.progress.stop:
            return True
        if settings.max_minutes is not None and self.progress.fraction >= 1:
            return True
        # In the first half the learning rate is large, and the loss may rise before it falls.
        last = max(self.best_epoch, settings.epochs // 2)
        return settings.patience is not None and len(history) - last > settings.patience

    def _keep(self, epoch: Epoch) -> None:
        self.progress.history.append(epoch)
        self.last_finite = self._state()
        if epoch.monitored_loss < self.best_loss:
            best = module_state(self.model)
            self.best, self.best_loss, self.best_epoch = best, epoch.monitored_loss, epoch.epoch
        if self.checkpoint is not None and workers.same(self.checkpoint.due()):
            self._write(self.checkpoint)

    def _recover(self, number: int) -> None:
        if self.step_factor < 1:
            raise TrainingError(
                f"The loss was not finite again in epoch {number}, with smaller steps too: "
                f"{self._likely_cause()}"
            )
        self._restore(self.last_finite)
        self.step_factor = 0.1
        warn(
            f"The loss was not finite in epoch {number}: training continues from the last finite "
            "state, with a tenth of the learning rate."
        )

    def _likely_cause(self) -> str:
        largest = float(next(iter(self.monitored)).target.abs().max())
        if not largest < 1e3:
            return (
                f"the data has prepared values as large as {largest:.3g}; use "
                "scaling='standard' or check the data for wrong entries."
            )
        return (
            f"the learning rate {self.settings.learning_rate:.3g} is probably too large; try a "
            "tenth of it, or an optimizer with clip=1.0."
        )

    def _resume(self) -> None:
        self._started = time.monotonic()
        found = None if self.checkpoint is None else workers.same(self.checkpoint.read())
        if found is None:
            if self.checkpoint is not None:
                self._write(self.checkpoint)
            return
        state, progress = found
        self.last_finite, self.best = unnested("last", state), unnested("best", state)
        self._restore(self.last_finite)
        # With another number of workers, each draws from its seed again, and the epoch begins anew.
        if workers.count() == len(state["generators"]):
            # A copy: torch cannot take a state that lies within a larger tensor.
            torch.set_rng_state(state["generators"][workers.rank()].clone())
            self.epoch_start = state["starts"][workers.rank()].clone()
            self.steps_done = progress["steps"]
            if "cuda-generators" in state:
                torch.cuda.set_rng_state(state["cuda-generators"][workers.rank()].clone())
        self.step_factor, self.progress.stop = progress["step_factor"], progress["finished"]
        self.progress.history = [Epoch(**epoch) for epoch in progress["history"]]
        if self.progress.history:
            best = min(self.progress.history, key=lambda epoch: epoch.monitored_loss)
            self.best_loss, self.best_epoch = best.monitored_loss, best.epoch

    def _write(self, checkpoint: Checkpoint, finished: bool = False, steps: int = 0) -> None:
        last = self._state() if steps else self.last_finite
        state = nested("last", last) | nested("best", self.best)
        state["starts"] = torch.stack(workers.gathered(self.epoch_start))
        state["generators"] = torch.stack(workers.gathered(torch.get_rng_state()))
        if next(self.model.parameters()).is_cuda:
            state["cuda-generators"] = torch.stack(workers.gathered(torch.cuda.get_rng_state()))
        if workers.rank():
            return
        history = [epoch.to_json() for epoch in self.progress.history]
        progress = {"step_factor": self.step_factor, "history": history, "finished": finished}
        progress["steps"] = steps
        checkpoint.write(state, progress)

    def _state(self) -> State:
        return (
            nested("model", module_state(self.model))
            | nested("optimizer", optimizer_state(self.optimizer))
            | nested("critics", self.critics.state())
            | nested("heads", module_state(self.objective.heads))
        )

    def _restore(self, state: State) -> None:
        self.model.load_state_dict(unnested("model", state))
        restore_optimizer(self.optimizer, unnested("optimizer", state))
        self.critics.restore(unnested("critics", state))
        self.objective.heads.load_state_dict(unnested("heads", state))
