"""Fitting: a plan and rows become a fitted model, with all that is worth knowing about it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from attar.applied import Applied
from attar.data.batches import Selection, Told
from attar.data.corpus import Corpus
from attar.data.kind import Rows
from attar.evaluation.study import Study
from attar.fitted import Fitted
from attar.memory import memory_kept
from attar.model import Model
from attar.networks import Modules
from attar.plan import Plan, Run
from attar.records import Epoch
from attar.training.callbacks import Callback
from attar.training.checkpoints import Checkpoint
from attar.training.loop import Settings, Training
from attar.training.precision import half_pays
from attar.training.threads import threads_for

# How many rows are measured after each epoch, and how many cells of them at once.
MEASURED, CELLS = 1024, 1 << 22


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
    model, history, best_epoch = _trained(plan, corpus, run, callbacks)
    doubles = run.device.type == "cpu" and not isinstance(plan.network, Modules)
    applied = Applied(plan.preparation, model, plan.code_size, doubles)
    held_out = apart.shape[0] > 0
    told = corpus.told_apart if held_out else corpus.told_learnt
    study = Study.of(
        replace(applied, told=corpus.told_learnt),
        learnt,
        corpus.numbers,
        replace(applied, told=told),
        apart if held_out else learnt,
        held_out=held_out,
        best_epoch=best_epoch,
        ordered="ordered" in plan.recipe.code.provides,
    )
    return Fitted(
        plan.recipe,
        plan.network,
        plan.likelihood,
        applied,
        plan.conditioning,
        list(plan.choices),
        history,
        study,
    )


def _trained(
    plan: Plan, corpus: Corpus, run: Run, callbacks: Sequence[Callback]
) -> tuple[Model, list[Epoch], int]:
    """Return the trained model, the figures of each epoch, and the best epoch."""
    device, checkpoint = run.device, None
    learnt, apart = corpus.learnt, corpus.apart
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(run.seed)
        objective = plan.build()
        model = objective.model.to(device)
        for critic in objective.critics.values():
            critic.to(device)
        if run.checkpoint is not None:
            checkpoint = Checkpoint(run.checkpoint, _identity(plan, corpus, run, model))
        weights = sum(weight.numel() for weight in model.parameters())
        passes = plan.batch_size * plan.recipe.bound.draws
        half = half_pays(device, passes, weights) if run.half is None else run.half
        training = Training(
            objective,
            corpus.batches(plan.preparation, plan.batch_size, device),
            _measured(plan, learnt, corpus.told_learnt, device),
            _measured(plan, apart, corpus.told_apart, device) if apart.shape[0] else None,
            Settings(
                plan.epochs,
                plan.optimizer,
                plan.schedule,
                plan.learning_rate,
                -(-plan.epochs // 3) if run.early_stopping else None,
                run.max_minutes,
                half,
            ),
            callbacks,
            checkpoint,
        )
        with threads_for(passes, weights), memory_kept():
            history = training.run()
    model.zero_grad(set_to_none=True)
    return model, history, training.best_epoch


def _measured(plan: Plan, rows: Rows, told: Tensor | None, device: torch.device) -> Selection:
    """Return the first rows in large batches."""
    few = rows[:MEASURED]
    index = torch.arange(few.shape[0], device=device)
    cells = plan.recipe.bound.draws * prod(plan.preparation.kind.shape)
    size = max(1, min(MEASURED, CELLS // cells))
    held = plan.preparation.hold(few, device)
    if told is not None:
        held = Told(held, told[:MEASURED].to(device))
    return Selection(held, index, size)


def _identity(plan: Plan, corpus: Corpus, run: Run, model: Model) -> str:
    """Return a digest of all that decides a training's outcome, the first weights among it."""
    digest = hashlib.sha256(corpus.digest())
    digest.update(repr((replace(plan, choices=()), replace(run, checkpoint=None))).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
