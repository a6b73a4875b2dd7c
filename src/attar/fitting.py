"""Fitting: a plan and rows become a fitted model, with all that is worth knowing about it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch

from attar.applied import Applied
from attar.data.batches import Selection
from attar.data.corpus import Corpus
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

# How many rows are measured after each epoch.
MEASURED = 1024


def fit(plan: Plan, corpus: Corpus, run: Run, callbacks: Sequence[Callback] = ()) -> Fitted:
    """Train a model by a plan and look at what became of it.

    Raises
    ------
    TrainingError
        If the loss is no finite number.
    SettingError
        If the plan's parts don't fit together.
    """
    learnt, apart = corpus.learnt, corpus.apart
    device, checkpoint = run.device, None
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(run.seed)
        objective = plan.build()
        objective.model.to(device)
        if run.checkpoint is not None:
            checkpoint = Checkpoint(run.checkpoint, _identity(plan, corpus, run, objective.model))
        training = Training(
            objective,
            corpus.batches(plan.preparation, plan.batch_size, device),
            _measured(plan, learnt, device),
            _measured(plan, apart, device) if apart.shape[0] else None,
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
    held_out = apart.shape[0] > 0
    study = Study.of(
        applied,
        learnt,
        apart if held_out else learnt,
        held_out=held_out,
        best_epoch=training.best_epoch,
        ordered="ordered" in plan.recipe.code.provides,
    )
    return Fitted(
        plan.recipe, plan.network, plan.likelihood, applied, list(plan.choices), history, study
    )


def _measured(plan: Plan, rows: Rows, device: torch.device) -> Selection:
    """Return the first rows as one batch."""
    few = rows[:MEASURED]
    index = torch.arange(few.shape[0], device=device)
    return Selection(plan.preparation.hold(few, device), index, MEASURED)


def _identity(plan: Plan, corpus: Corpus, run: Run, model: Model) -> str:
    """Return a digest of all that decides a training's outcome, the first weights among it."""
    digest = hashlib.sha256(corpus.digest())
    digest.update(repr((replace(plan, choices=()), replace(run, checkpoint=None))).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
