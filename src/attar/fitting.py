"""Fitting: a plan and rows become a fitted model, with all that is worth knowing about it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from attar.applied import Applied
from attar.data.batches import Batches
from attar.data.kind import Rows
from attar.evaluation.study import Study
from attar.fitted import Fitted
from attar.model import Model
from attar.networks import Modules
from attar.plan import Plan, Run
from attar.training.callbacks import Callback
from attar.training.checkpoints import Checkpoint
from attar.training.loop import Settings, Training
from attar.training.threads import threads_for

# How many rows are measured after each epoch, and how many the baseline is found on.
MEASURED, COMPARED = 1024, 16384


def fit(plan: Plan, rows: Rows, run: Run, callbacks: Sequence[Callback] = ()) -> Fitted:
    """Train a model by a plan and look at what became of it.

    Raises
    ------
    TrainingError
        If the loss is no finite number.
    SettingError
        If the plan's parts don't fit together.
    """
    learnt, held_out = split(len(rows), run.validation_fraction, run.seed)
    device, checkpoint = run.device, None
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(run.seed)
        objective = plan.build()
        objective.model.to(device)
        if run.checkpoint is not None:
            checkpoint = Checkpoint(run.checkpoint, _identity(plan, rows, run, objective.model))
        held = plan.preparation.hold(rows, device)
        index = torch.from_numpy(learnt).to(device)
        apart = torch.from_numpy(held_out[:MEASURED]).to(device)
        training = Training(
            objective,
            Batches(held, index, plan.batch_size),
            Batches(held, index[:MEASURED], MEASURED),
            Batches(held, apart, MEASURED) if len(apart) else None,
            plan.code_size,
            Settings(
                plan.epochs,
                plan.optimizer,
                plan.schedule,
                plan.learning_rate,
                -(-plan.epochs // 3) if run.early_stopping else None,
                run.max_minutes,
                run.autocast,
            ),
            callbacks,
            checkpoint,
        )
        weights = sum(weight.numel() for weight in objective.model.parameters())
        with threads_for(plan.batch_size, weights):
            history = training.run()
    own = isinstance(plan.network, Modules)
    applied = Applied(
        plan.preparation, objective.model, plan.code_size, not own and device.type == "cpu"
    )
    others = held_out if len(held_out) else learnt
    study = Study.of(
        applied,
        rows[learnt[:COMPARED]],
        rows[others[:COMPARED]],
        held_out=len(held_out) > 0,
        best_epoch=training.best_epoch,
    )
    return Fitted(
        plan.recipe, plan.network, plan.likelihood, applied, list(plan.choices), history, study
    )


def split(n: int, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Return the shuffled indices of rows to learn from and of rows to hold out.

    None are held out where they would be fewer than five: so few say nothing.
    """
    order = np.random.default_rng(seed).permutation(n)
    apart = min(round(fraction * n), n - 2)
    return (order[apart:], order[:apart]) if apart >= 5 else (order, order[:0])


def _identity(plan: Plan, rows: Rows, run: Run, model: Model) -> str:
    """Return a digest of all that decides a training's outcome, the first weights among it."""
    digest = hashlib.sha256(np.ascontiguousarray(rows).data)
    digest.update(repr((replace(plan, choices=()), replace(run, checkpoint=None))).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
