"""A fitted model, and the fit that makes it from a plan and rows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from attar import workers
from attar.codes import CodeModule, Contextual
from attar.data.batches import Conditioned, Holding, Selection
from attar.data.cells import Category
from attar.data.condition_encoder import ConditionEncoder
from attar.data.kind import Kind, Rows
from attar.data.kinds import kind_from_json, kind_of, kind_to_json, restored
from attar.data.margins import Margins
from attar.data.scaling import Scaler
from attar.data.source import Data
from attar.data.summary import Summary
from attar.data.table import Table
from attar.data.training_data import FittedRows, TrainingData
from attar.errors import DataError, SettingError, warn
from attar.evaluation.baseline import Baseline
from attar.evaluation.diagnostics import Diagnostics, TrainingSummary
from attar.evaluation.noise import set_noise_floor
from attar.evaluation.pictures import reconstruction_picture
from attar.evaluation.scores import ScoreReference
from attar.isolation import one_thread, seeded
from attar.likelihoods import Causal, Likelihood
from attar.likelihoods.memory import Memory, restored_memories, tensors_of
from attar.model import Model
from attar.networks import CustomNetwork, Network, statistics_of
from attar.plan import MODEL, TRAINING, Choice, Plan, Planner, Run
from attar.predictor import MONITORED_ROWS, Predictor, monitored_rows, residual_noise, rows_at_once
from attar.recipe import Recipe
from attar.records import Batch, Epoch
from attar.sampling import Draw, Sampler
from attar.sampling.density import fit_sampler
from attar.sampling.frames import FrameNetwork, FrameSymbols, draws, residual
from attar.storage import contents_of, fingerprint, narrowed, nested, unnested, widened
from attar.training.callbacks import Callback
from attar.training.checkpoints import Checkpoint
from attar.training.loop import Training
from attar.training.runtime import memory_kept
from attar.training.symbols import (
    primed_tables,
    restored_symbols,
    trained_memories,
    trained_symbols,
)
from attar.training.threads import MEASURED_FROM, Threads


@dataclass(frozen=True)
class Fitted:
    """A fitted model.

    Attributes
    ----------
    recipe, network, likelihood : Part
        What the model was built from.
    predictor : Predictor
        The model, ready to be used.
    condition_encoder : ConditionEncoder or None
        How the condition becomes numbers, where there is one.
    choices : list of Choice
    history : list of Epoch
    training_summary : TrainingSummary
    seed : int
        That of the random split into training and validation rows.
    given : mapping
        The settings that make the model, as the user gave them.
    label : str or None
        The column of a table that held the labels or the condition, and is not part of the data.
    memories : tuple of Memory
        Of the columns of a causal likelihood whose values repeat.
    symbol_network : FrameNetwork or None
        Of the symbols of frames, where the recipe's sampler is of such.
    mixing : mapping of str to Tensor
        Of text what context mixing knows of the training rows, packed.
    samplers : dict of Sampler or None to Draw
        The samplers that were fitted so far.
    drawn_margins : dict of Sampler or None to Margins
        The distributions of the numbers that the model draws from their codes.
    """

    recipe: Recipe
    network: Network
    likelihood: Likelihood
    predictor: Predictor
    condition_encoder: ConditionEncoder | None
    choices: list[Choice]
    history: list[Epoch]
    training_summary: TrainingSummary
    seed: int
    given: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    label: str | None = None
    memories: tuple[Memory, ...] = field(default=(), repr=False, compare=False)
    symbol_network: FrameNetwork | None = field(default=None, repr=False, compare=False)
    mixing: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)
    samplers: dict[Sampler | None, Draw] = field(default_factory=dict, repr=False, compare=False)
    drawn_margins: dict[Sampler | None, Margins] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __getstate__(self) -> dict[str, Any]:
        # A fitted sampler may be a function, which cannot be pickled: it is fitted again on demand.
        return {**vars(self), "samplers": {}}

    @property
    def kind(self) -> Kind:
        """The form of the data."""
        return self.predictor.preparation.kind

    def plan(self, settings: Mapping[str, Any], summary: Summary) -> Plan:
        """Return the plan of training the model further, on data of its form.

        Raises
        ------
        SettingError
            If a setting that makes the model was changed, or one of the training is out of range.
        DataError
            If the data have missing cells, and the model has no input for a mask of them, or
            categories that it does not know.
        """
        for name in MODEL:
            if settings[name] != self.given[name]:
                raise SettingError(
                    f"The fitted model is trained further, of {name}={self.given[name]!r}, and "
                    f"{name}={settings[name]!r} makes another one: set it back, or fit a new model."
                )
        model = self.predictor.model
        if summary.missing and not model.missing and self.network.masked:
            raise DataError(
                "X has missing cells, and the fitted model has no input for a mask of them: fill "
                "them, or fit a new model."
            )
        if isinstance(self.kind, Table):
            for cell, low in zip(self.kind.cells, summary.moments.low, strict=True):
                if isinstance(cell, Category) and low < 0:
                    raise DataError(
                        f"Column {cell.name!r} has categories that the fitted model does not know: "
                        "leave these rows out, or fit a new model."
                    )
        built_from = {
            "recipe": self.recipe,
            "code_size": self.predictor.code_size,
            "network": self.network,
            "likelihood": self.likelihood,
            "corruption": None,  # the recipe has it
        }
        plan = Planner(
            {**settings, **built_from},
            self.kind,
            summary,
            self.condition_encoder,
            self.predictor.preparation,
        ).plan()
        choices = [choice for choice in self.choices if choice.setting not in TRAINING]
        choices += [choice for choice in plan.choices if choice.setting in TRAINING]
        return replace(plan, missing=model.missing, choices=tuple(choices), given=self.given)

    def conditioned(self, condition: Any, rows: int) -> Predictor:
        """Return the predictor with the condition of so many rows.

        Raises
        ------
        SettingError
            If a condition is missing, or the model was fitted without one.
        DataError
            If it is of another form or number of rows.
        """
        if self.condition_encoder is not None and condition is None:
            raise SettingError(
                "The model was fitted with a condition: give condition=..., a label for each row "
                "or one for all; in pipelines and searches call "
                "sklearn.set_config(enable_metadata_routing=True), and set_score_request and "
                "set_transform_request with condition=True."
            )
        if self.condition_encoder is None and condition is not None:
            raise SettingError(
                "The model was fitted without a condition: fit with fit(X, condition=...) first."
            )
        if self.condition_encoder is None:
            return self.predictor
        return replace(self.predictor, condition=self.condition_encoder.prepare(condition, rows))

    def measured_rows(self, data: Data) -> Rows | None:
        """Return the raw rows that the model is judged by, where data is that of the fit."""
        if not self.kind.accepts(kind_of(data)):
            return None
        # What is unusual in other data is said where it is measured.
        with warnings.catch_warnings(action="ignore"):
            measured = self.training_summary.measured
            return measured.found_in(self.predictor.preparation, data)

    def warn_of_gaps(self, rows: Rows) -> None:
        """Warn where cells are missing in raw rows, but never were in the fit."""
        aware = self.predictor.model.missing or not self.network.masked
        if aware or not isinstance(rows, np.ndarray):
            return
        missing = int(np.isnan(rows).sum())
        if missing:
            warn(
                f"X has {missing:,} missing cell{'s' * (missing > 1)}, but the model was fitted on "
                "complete rows: it predicts missing cells badly, and known cells beside them worse "
                "than in complete rows; fit on rows of which a few cells are missing, where 15% "
                "of the others are hidden in training."
            )

    def warn_of_leaks(self, training_data: TrainingData) -> None:
        """Warn where the model may have been trained on rows that are for validation now."""
        before, now = self.training_summary.measured, training_data.measured
        if now.held_out and (now.digest != before.digest or not before.held_out):
            warn(
                "The validation rows are not those of the fit before, and the model may have been "
                "trained on some of them, which makes their loss too low: give the same X and "
                "validation_fraction, or new rows only."
            )

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that is an array, by name."""
        model, scaler = self.predictor.model.state_dict(), self.predictor.preparation.scaler
        baseline, condition = self.training_summary.baseline, self.condition_encoder
        margins, reference = self.predictor.margins, self.training_summary.reference
        symbols = self.symbol_network
        found = {
            **nested("model", model),
            **nested("scaler", scaler.state_dict()),
            "noise": self.predictor.noise,
            "codes": torch.from_numpy(self.training_summary.codes),
            "numbers": torch.from_numpy(self.training_summary.numbers),
            "measured": torch.from_numpy(self.training_summary.measured.places),
            **nested("reference", reference.tensors()),
            "baseline.mean": torch.from_numpy(baseline.mean),
            "baseline.components": torch.from_numpy(baseline.components),
            **({} if condition is None else nested("condition", condition.tensors())),
            **({} if margins is None else nested("margins", margins.tensors())),
            **nested("memory", tensors_of(self.memories)),
            **({} if symbols is None else nested("symbols", symbols.state_dict())),
            **nested("mixing", self.mixing),
        }
        return narrowed(found | nested("kind", self.kind.tensors()))

    @property
    def fingerprint(self) -> str:
        """What identifies the model, in memory and in its file."""
        return fingerprint(contents_of(self.tensors()), self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return everything else as plain JSON data."""
        return {
            "recipe": self.recipe.to_json(),
            "network": None if isinstance(self.network, CustomNetwork) else self.network.to_json(),
            "likelihood": self.likelihood.to_json(),
            "kind": kind_to_json(self.kind),
            "condition": None
            if self.condition_encoder is None
            else self.condition_encoder.to_json(),
            "label": self.label,
            "seed": self.seed,
            "missing": self.predictor.model.missing,
            "code_size": self.predictor.code_size,
            "choices": [choice.to_json() for choice in self.choices],
            "history": [epoch.to_json() for epoch in self.history],
            "diagnostics": self.training_summary.diagnostics.to_json(),
            "measured": {
                "total": self.training_summary.measured.total,
                "held_out": self.training_summary.measured.held_out,
                "digest": self.training_summary.measured.digest,
            },
        }

    @property
    def code(self) -> CodeModule:
        """The code, on the CPU."""
        return deepcopy(self.predictor.model).cpu().code

    def sampler(self, sampler: Sampler | None = None) -> Draw:
        """Return a sampler, or the recipe's own, fitted to the codes of training rows."""
        sampler = sampler or self.recipe.sampler
        if isinstance(sampler, FrameSymbols) and self.symbol_network is not None:
            return draws(residual(self.code), self.symbol_network)
        if sampler not in self.samplers:
            known = torch.from_numpy(self.training_summary.codes)
            self.samplers[sampler] = fit_sampler(sampler, self.code, known)
        return self.samplers[sampler]

    def sample(
        self, predictor: Predictor, codes: Rows, sampler: Sampler | None, seed: int
    ) -> object:
        """Return a draw of the data of codes that a sampler drew, in the user's own form."""
        return self.kind.restore(self.draw(predictor, codes, sampler, seed))

    def draw(self, predictor: Predictor, codes: Rows, sampler: Sampler | None, seed: int) -> Rows:
        """Return a draw of the raw rows of codes that a sampler drew.

        The numbers of a table get the distributions of the training rows, column by column: the
        model says how columns depend on each other. A condition changes these: then only the
        range and the steps are those of the training rows.
        """
        rows, kind = predictor.sample(codes, seed), self.kind
        margins = predictor.margins
        if not isinstance(kind, Table) or margins is None:
            return rows
        if predictor.condition is not None:
            return margins.within(rows)
        if sampler not in self.drawn_margins:
            n = max(256, min(DRAWN_ROWS, rows_at_once(prod(kind.shape))))
            drawn = self.sampler(sampler)(n, torch.Generator().manual_seed(0)).numpy()
            self.drawn_margins[sampler] = Margins.of(predictor.sample(drawn, 0), kind)
        return margins.imposed_on(rows, self.drawn_margins[sampler])

    def warn_of_sampling(self) -> None:
        """Warn where the recipe was chosen for reconstruction, and another has a density."""
        chosen = any(choice.setting == "recipe" for choice in self.choices)
        if chosen and isinstance(self.kind, Table) and "density" not in self.recipe.code.provides:
            warn(
                "The recipe 'auto' is one for reconstruction: new rows of a table are more like "
                "the data with recipe='vae'."
            )

    def on(self, device: torch.device) -> Self:
        """Return the same model on a device; only a CPU computes in double precision too."""
        model, doubles = self.predictor.model.to(device), self.predictor.doubles
        doubles = doubles and device.type == "cpu"
        return replace(self, predictor=replace(self.predictor, model=model, doubles=doubles))

    def truncated(self, code_size: int) -> Self:
        """Return the same model with an ordered code cut to its first numbers.

        Raises
        ------
        SettingError
            If the code is not ordered, or has fewer numbers.
        """
        code = self.recipe.code
        if "ordered" not in code.provides:
            raise SettingError(
                f"The code {code.name!r} cannot be truncated: fit with the recipe 'ordered'."
            )
        model, training_summary = self.predictor.model, self.training_summary
        trained_size = code.decoder_width(self.predictor.code_size)
        recipe = self.recipe.replace(code=code.replace(trained_size=trained_size))
        kept = deepcopy(model)
        kept.code = recipe.code.build(code_size, self.kind.shape).eval()
        error = training_summary.diagnostics.size_errors[code_size]
        diagnostics = replace(
            training_summary.diagnostics,
            error=error,
            train_error=error,
            importance=training_summary.diagnostics.importance[:code_size],
            size_errors=training_summary.diagnostics.size_errors[: code_size + 1],
            explained=[],
        )
        return replace(
            self,
            recipe=recipe,
            predictor=replace(self.predictor, model=kept, code_size=code_size),
            samplers={},
            drawn_margins={},
            training_summary=replace(
                training_summary,
                codes=training_summary.codes[:, :code_size],
                diagnostics=diagnostics,
            ),
        )

    @classmethod
    def restored(
        cls, tensors: Mapping[str, Tensor], description: Mapping[str, Any], network: Network | None
    ) -> Self:
        """Return the fitted model that :meth:`tensors` and :meth:`to_json` wrote down.

        Memory is taken for the tensors given, never for sizes that the description claims.

        Parameters
        ----------
        network : Network or None
            The user's own network, where the model was built from one.

        Raises
        ------
        KeyError, TypeError, ValueError, RuntimeError
            If tensors and description don't fit together.
        """
        tensors = widened(tensors)
        kind = kind_from_json(description["kind"], unnested("kind", tensors))
        recipe, likelihood = (
            Recipe.from_json(description["recipe"]),
            Likelihood.from_json(description["likelihood"]),
        )
        network = network or Network.from_json(description["network"])
        size = int(description["code_size"])
        own, condition = isinstance(network, CustomNetwork), None
        if description["condition"] is not None:
            condition = ConditionEncoder.restored(
                description["condition"], unnested("condition", tensors)
            )
        # Some modules draw initial weights, though those of the file replace them.
        with torch.device("cpu" if own else "meta"), seeded(0):
            condition_size = 0 if condition is None else condition.size
            built = recipe.build(
                kind.shape, size, network, likelihood, description["missing"], condition_size
            )
        model = built.model
        model.load_state_dict(unnested("model", tensors), assign=not own)
        # A likelihood may have constants that are in no file.
        state = model.likelihood.state_dict()
        model.likelihood = likelihood.build()
        model.likelihood.load_state_dict(state, assign=not own)
        model.eval()
        scaler, margins = Scaler.restored(unnested("scaler", tensors)), None
        if isinstance(kind, Table) and "margins.steps" in tensors:
            margins = Margins.restored(unnested("margins", tensors), kind)
        return cls(
            recipe,
            network,
            likelihood,
            Predictor(
                restored(kind, scaler),
                model,
                size,
                doubles=not own,
                noise=tensors["noise"],
                margins=margins,
            ),
            condition,
            [Choice(**choice) for choice in description["choices"]],
            [Epoch(**epoch) for epoch in description["history"]],
            TrainingSummary(
                tensors["codes"].numpy(),
                tensors["numbers"].numpy(),
                Baseline(tensors["baseline.mean"].numpy(), tensors["baseline.components"].numpy()),
                Diagnostics(**description["diagnostics"]),
                FittedRows(places=tensors["measured"].numpy(), **description["measured"]),
                ScoreReference.restored(unnested("reference", tensors)),
            ),
            int(description["seed"]),
            label=description["label"],
            memories=restored_memories(unnested("memory", tensors)),
            symbol_network=restored_symbols(recipe, model, unnested("symbols", tensors)),
            mixing=unnested("mixing", tensors),
        )


class Interrupted(KeyboardInterrupt):
    """The user stopped a training; ``fitted`` is the best model until then."""

    def __init__(self, message: str, fitted: Fitted) -> None:
        super().__init__(message)
        self.fitted = fitted


# The most rows and cells that a model is initialized from.
INITIAL_ROWS, INITIAL_CELLS = 4096, 1 << 25

# How many rows are drawn to know the distributions of the model's own numbers.
DRAWN_ROWS = 1 << 13


def fit(
    plan: Plan,
    training_data: TrainingData,
    run: Run,
    callbacks: Sequence[Callback] = (),
    before: Fitted | None = None,
) -> Fitted:
    """Train a model by a plan, and summarize the result.

    Parameters
    ----------
    plan, training_data, run, callbacks
    before : Fitted or None
        The model that is trained further; None trains a new one.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    SettingError
        If the plan's parts don't fit together.
    Interrupted
        If the user stopped the training after an epoch.
    """
    if before is not None:
        before.warn_of_leaks(training_data)
    trained = _trained(plan, training_data, run, callbacks, before)
    model, history, best_epoch, interrupted, small = trained
    with one_thread() if small else nullcontext():
        fitted = summarized(plan, training_data, run, model, history, best_epoch, before)
    if interrupted:
        raise Interrupted(
            f"Training was stopped after {len(history)} epochs: the model is that of epoch "
            f"{best_epoch}.",
            fitted,
        )
    return fitted


def summarized(
    plan: Plan,
    training_data: TrainingData,
    run: Run,
    model: Model,
    history: list[Epoch],
    best_epoch: int,
    before: Fitted | None = None,
) -> Fitted:
    """Return a trained model and what is known of it; the history of another library's is empty."""
    kind, train = plan.preparation.kind, training_data.train
    doubles = run.device.type == "cpu" and not isinstance(plan.network, CustomNetwork)
    predictor = Predictor(plan.preparation, model, plan.code_size, doubles)
    rows, condition = training_data.measured_rows, training_data.measured_condition
    noise = residual_noise(replace(predictor, condition=condition), rows[:MONITORED_ROWS])
    margins = Margins.of(train, kind) if isinstance(kind, Table) else None
    predictor = replace(predictor, noise=noise, margins=margins)
    training_summary = TrainingSummary.of(
        replace(predictor, condition=training_data.train_condition),
        *(train, training_data.train_places, replace(predictor, condition=condition), rows),
        training_data.measured,
        best_epoch=best_epoch,
        recipe=plan.recipe,
    )
    return Fitted(
        *(plan.recipe, plan.network, plan.likelihood, predictor, plan.condition_encoder),
        list(plan.choices),
        history,
        training_summary,
        run.seed if before is None else before.seed,
        plan.given,
        None if before is None else before.label,
        trained_memories(plan.likelihood, kind, training_data),
        trained_symbols(plan.recipe, predictor, train),
        primed_tables(kind, training_data),
    )


def _trained(
    plan: Plan,
    training_data: TrainingData,
    run: Run,
    callbacks: Sequence[Callback],
    before: Fitted | None,
) -> tuple[Model, list[Epoch], int, bool, bool]:
    """Return model, metrics of each epoch, best epoch, whether the user stopped, if it is small."""
    device, checkpoint, interrupted = run.device, None, False
    train, validation = training_data.train, training_data.validation
    epochs = 0 if before is None else len(before.history)
    with seeded(run.seed + epochs, device):
        objective = plan.build()
        model = objective.model.to(device)
        if before is not None:
            model.load_state_dict(before.predictor.model.state_dict())
        if run.freeze is not None:
            model.freeze_encoder()
        for module in (*objective.critics.values(), objective.heads):
            module.to(device)
        if run.checkpoint is not None:
            checkpoint = Checkpoint(run.checkpoint, run.identity(plan, training_data, model))
        work, settings = plan.work(model), plan.training
        if before is None:
            first = _first(plan, train, training_data.train_condition, device)
            for statistics in statistics_of(model):
                statistics.start(plan.preparation.prepare(train[: statistics.texts]))
            model.on_data(first)
            set_noise_floor(model.shrinkage, plan.preparation.kind, first)
        # Each worker computes with one thread, as there is one for each core.
        several = device.type != "cpu" or workers.count() > 1
        training = Training(
            objective,
            training_data.batches(plan.preparation, settings.batch_size, device),
            _monitored(plan, train, training_data.train_condition, device),
            _monitored(plan, validation, training_data.validation_condition, device)
            if validation.shape[0]
            else None,
            settings,
            callbacks,
            checkpoint,
            threads=Threads(0 if several else work, exact=run.repeatable),
        )
        training.progress.settings = plan.words
        shown = Predictor(plan.preparation, model, plan.code_size, doubles=False)
        shown = replace(shown, condition=training_data.measured_condition)
        rows = training_data.measured_rows
        training.progress.picture = partial(reconstruction_picture, shown, rows)
        if before is not None:
            loss_before = objective.measure(training.validation or training.monitored)["loss"]
        with memory_kept():
            try:
                training.run()
            except KeyboardInterrupt:
                if not training.progress.history:
                    raise
                interrupted = True
    model.zero_grad(set_to_none=True)
    compresses = isinstance(plan.likelihood, Causal) or isinstance(plan.recipe.code, Contextual)
    if compresses:  # half the bytes, and rows take as many as before
        model.round_weights()
    history, best_epoch = training.progress.history, training.best_epoch
    if before is not None:
        later = (replace(epoch, epoch=epoch.epoch + epochs) for epoch in history)
        history, best_epoch = [*before.history, *later], best_epoch + epochs
        if loss_before <= training.best_loss:
            model.load_state_dict(before.predictor.model.state_dict())
            best_epoch = before.training_summary.diagnostics.best_epoch
            warn(
                f"None of {len(history) - epochs} further epochs has a lower loss: the weights "
                "stay as they were; give more epochs, or a smaller learning_rate."
            )
    small = device.type == "cpu" and work < MEASURED_FROM
    return model, history, best_epoch, interrupted, small


def _monitored(plan: Plan, rows: Rows, condition: Tensor | None, device: torch.device) -> Selection:
    """Return the first rows in large batches."""
    cells = plan.recipe.bound.draws * prod(plan.preparation.kind.shape)
    most = monitored_rows(plan.preparation.kind)
    held = _held(plan, rows, condition, device, most)
    index = torch.arange(min(most, rows.shape[0]), device=device)
    return Selection(held, index, min(most, rows_at_once(cells)))


def _first(plan: Plan, rows: Rows, condition: Tensor | None, device: torch.device) -> Batch:
    """Return the first rows, more of them where they are short."""
    most = min(INITIAL_ROWS, INITIAL_CELLS // prod(plan.preparation.kind.shape))
    most = min(max(most, MONITORED_ROWS), rows.shape[0])
    return _held(plan, rows, condition, device, most).batch(torch.arange(most, device=device))


def _held(
    plan: Plan, rows: Rows, condition: Tensor | None, device: torch.device, most: int
) -> Holding:
    held = plan.preparation.hold(rows[:most], device, plan.preparation.kind.hidden)
    return held if condition is None else Conditioned(held, condition[:most].to(device))
