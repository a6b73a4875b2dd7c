"""The search: an Optuna study of fits, the table of its trials, and the best model."""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from sklearn.base import clone

from attar.checks import positive, positive_integer
from attar.data.source import Data
from attar.data.training_data import training_data_of
from attar.errors import (
    AttarWarning,
    ClusterError,
    DataError,
    FileError,
    SettingError,
    TrainingError,
    first_line,
    warn,
)
from attar.estimator import Autoencoder
from attar.fitted import fit
from attar.isolation import default_settings
from attar.likelihoods import FixedGaussian
from attar.parts import plain
from attar.plan import Plan, Planner, Run
from attar.storage import check_writable
from attar.training.callbacks import Callback, Pruning
from attar.tuning.criterion import Criterion
from attar.tuning.space import FAR, SIZES, Stored, as_stored, resized, sizes, space_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

# Trials before which none is pruned, and twentieths of a training before which it is not.
FIRST_TRIALS, FIRST_MOMENTS = 5, 7

# Fewer rows say little about a setting.
FEWEST_ROWS = 5

# So few values of a setting have a tick each in the plot.
FEW = 4

# Without a terminal, a line of progress is printed after so many seconds.
SECONDS = 10.0

# Attributes of a trial: the mean squared error, and why it failed.
ERROR, FAILURE = "error", "failure"

# Settings of the estimator that do not change what a trial is.
OUTWARD = ("callbacks", "verbose", "warm_start")


@dataclass(frozen=True)
class Tuning:
    """What a search found.

    Attributes
    ----------
    estimator : Autoencoder
        The model with the best settings, fitted as :meth:`Autoencoder.fit` does.
    settings : dict
        The best of those that were searched.
    loss, default_loss : float
        Of this model, and of one with what a fit chooses by itself, on the validation rows of the
        fit, which no trial saw.
    criterion : str
        What the losses are.
    trials : DataFrame
        ``trial``, ``state`` (complete, pruned or failed), ``loss`` and mean squared ``error`` (of
        complete ones, on validation rows of the search), ``seconds``, and the settings of each.
    importance : dict of str to float
        The part of the variance of the loss that is due to each setting, by fANOVA.

    References
    ----------
    Hutter, Hoos and Leyton-Brown, "An efficient approach for assessing hyperparameter importance",
    ICML 2014.
    """

    estimator: Autoencoder
    settings: dict[str, object]
    loss: float
    default_loss: float
    criterion: str
    trials: pd.DataFrame
    importance: dict[str, float]

    @property
    def plain_settings(self) -> dict[str, object]:
        """The best settings as plain JSON data."""
        return {name: plain(value) for name, value in self.settings.items()}

    def plot(self) -> Figure:
        """Return a figure: the loss of each complete trial by each setting, most important first.

        Losses far above the median are drawn at the upper edge.
        """
        from matplotlib.figure import Figure
        from matplotlib.ticker import NullFormatter

        done = self.trials[self.trials.state == "complete"]
        searched = [*self.importance] or [*self.trials.columns[5:]]
        figure = Figure(figsize=(1 + 2.6 * len(searched), 3.2), layout="constrained")
        panels = figure.subplots(1, len(searched), sharey=True, squeeze=False)[0]
        losses = done.loss.to_numpy()
        best, least = losses.argmin(), losses.min()
        top = least + 4 * max(np.median(losses) - least, 1e-9 * abs(least))
        for axes, name in zip(panels, searched, strict=True):
            values = done[name].to_numpy()
            numbers = values.dtype.kind in "fi"
            values = values if numbers else values.astype(str)
            axes.scatter(values, losses.clip(max=top), s=18, color="0.55")
            axes.scatter(values[[best]], [least], s=40, color="C1", label="best")
            known = np.unique(values)
            if numbers and 0 < FAR * known[0] <= known[-1]:
                axes.set_xscale("log")
                axes.xaxis.set_minor_formatter(NullFormatter())
            elif numbers and len(known) <= FEW:
                axes.set_xticks(known, [f"{value:.3g}" for value in known])
            share = f"\n{self.importance[name]:.0%} of the variance" if self.importance else ""
            axes.set_title(name + share, fontsize="medium")
        panels[0].set_ylabel(self.criterion.partition(",")[0].replace(" + ", "\n+ "))
        panels[0].legend(frameon=False)
        return figure


@default_settings()
def tune(
    X: Data,
    estimator: Autoencoder | None = None,
    search: Mapping[str, object] | Sequence[str] = ("learning_rate", "network"),
    *,
    trials: int = 30,
    minutes: float | None = None,
    storage: str | Path | None = None,
    condition: Data | None = None,
    verbose: bool | Literal["auto"] = "auto",
) -> Tuning:
    """Search for the settings that are best on held-out rows, and fit a model with them.

    No trial sees the validation rows of a fit. Each trial is a fit on the others, of which a part
    is held out again, and its loss on that part is what Optuna minimizes; the first trial has the
    settings that a fit chooses by itself. Trials that fall behind are pruned. The loss is that of
    :class:`~attar.tuning.criterion.Criterion`, in nats per row.

    Parameters
    ----------
    X : table, array, sparse matrix, path, or name of a data set
        As of :meth:`Autoencoder.fit`.
    estimator : Autoencoder, default None
        The settings that are not searched; None for the defaults.
    search : mapping of str to list or pair, or sequence of str
        What is searched: the values of a setting, a list or a pair (low, high); of a name alone, or
        of None, values around those that a fit would choose. Of ``"network"`` these are its widths,
        layers and dropout. ``"recipe"`` needs names; the first is the default, unless the
        estimator's is one of them.
    trials : int, default 30
        How many there are in the end, with those that are in the storage already.
    minutes : float, default None
        The time of the search, after which the best model is fitted. The first trial is completed
        in any case.
    storage : path, default None
        A file (SQLite) that keeps the trials. Where it exists, the search goes on.
    condition : array (n,) or table (n, columns), default None
    verbose : bool, default "auto"
        Whether to print a line for each trial; auto does in a terminal, and elsewhere every ten
        seconds.

    Raises
    ------
    SettingError
        If Optuna is not installed, a setting cannot be searched, trials would not be comparable, or
        the storage has a search of other data or settings.
    DataError
        If the model cannot be trained on X, or too few rows can be held out.
    FileError
        If the storage cannot be used.
    TrainingError
        If no trial was completed.
    KeyboardInterrupt
        If the user stops it before a trial is complete, or while the best model is fitted; in
        between, the search ends with a warning, and the best model so far is fitted.

    Examples
    --------
    >>> import attar
    >>> ae = attar.Autoencoder(code_size=4, epochs=3)
    >>> found = attar.tune("digits", ae, ["learning_rate"], trials=2)
    >>> found.trials[["trial", "state"]].values.tolist()
    [[0, 'complete'], [1, 'complete']]
    >>> found.estimator.code_size_
    4

    References
    ----------
    Akiba et al., "Optuna: a next-generation hyperparameter optimization framework", KDD 2019.
    """
    return tuned(
        lambda: Tuner(estimator or Autoencoder(), X, search, condition),
        Tuner.search,
        trials,
        minutes,
        None if storage is None else Path(storage),
        verbose,
    )


def tuned(
    tuner_of: Callable[[], Tuner],
    search: Search,
    trials: int,
    minutes: float | None,
    storage: Path | None,
    verbose: bool | Literal["auto"],
) -> Tuning:
    """Return what a search found, whose trials are made one by one, or side by side."""
    optuna = _library()
    trials = positive_integer("The number of trials", trials)
    until = math.inf
    if minutes is not None:
        until = time.monotonic() + 60 * positive("The number of minutes", minutes, "None or ")
    if storage is not None:
        check_writable(storage)
    tuner = tuner_of()
    with _quiet(optuna):
        study = tuner.study(storage)
        try:
            search(tuner, study, trials, until, lines(trials, verbose))
        except KeyboardInterrupt:
            done = len(complete_trials(study))
            if not done:
                raise
            warn(
                f"The search was stopped after {done} complete trial{'s' * (done > 1)}: the best "
                "model so far is fitted; interrupt again to stop at once."
            )
        return tuner.result(study)


class Tuner:
    """The fits of a search on some data.

    Parameters
    ----------
    estimator, X, search, condition
        As of :func:`tune`.

    Attributes
    ----------
    space : dict of str to Dimension
    criterion : Criterion
    start : dict of str to Stored, or None
        The trial with what a fit chooses by itself; None where this is not searched.
    outer, inner : TrainingData
        The rows of a fit, and its training rows, divided again for the trials.
    """

    def __init__(
        self,
        estimator: Autoencoder,
        X: Data,
        search: Mapping[str, object] | Sequence[str],
        condition: Data | None,
    ) -> None:
        self.estimator, self.condition = clone(estimator), condition
        if estimator.random_state is None:  # all trials have the same rows
            self.estimator.set_params(random_state=0)
        self.run = Run.of(self.estimator.get_params(deep=False), None)
        recipes = search.get("recipe") if isinstance(search, Mapping) else None
        if isinstance(recipes, list) and recipes and estimator.recipe not in recipes:
            self.estimator.set_params(recipe=recipes[0])
        self.said: set[str] = set()
        with self._warning_once():
            self.data = self.estimator._read(X, part="train")
            self.kind, self.summary, plan = self.estimator._plan(self.data, condition)
        self.encoder = plan.condition_encoder
        self.space = space_of(search, plan)
        self.fixed: dict[str, object] = {}
        of_size, chosen = "code_size" in self.space, estimator.likelihood == "auto"
        if of_size and chosen and isinstance(plan.likelihood, FixedGaussian):
            self.fixed = {"likelihood": "learned-gaussian"}  # whose scale follows the error
            plan = self.plan({})
        self.criterion = Criterion.of(plan, of_size)
        network = {name: own for name, (_, own) in sizes(plan.network).items()}
        planned = network | plan.words
        start = {name: as_stored(planned.get(name)) for name in self.space}
        self.start = start if all(start[n] in self.space[n] for n in start) else None
        for name, values in self.space.items():
            for value in values.examples:
                self.criterion.check(self.plan({name: value}), f"{name}={value}")
        encoded = self.encoder and self.encoder.prepare(condition, self.summary.rows)
        fraction, seed = self.run.validation_fraction, self.run.seed
        self.outer = training_data_of(self.data, self.kind, self.summary, fraction, seed, encoded)
        self.inner = self.outer.nested(fraction, seed + 1, self.kind.overlap)
        if min(len(self.outer.validation_index), len(self.inner.validation_index)) < FEWEST_ROWS:
            raise DataError(
                f"Of {self.summary.rows:,} rows, validation_fraction={fraction:g} holds out too "
                "few to compare settings: give more rows, or a larger fraction."
            )

    def settings(self, stored: Mapping[str, Stored]) -> dict[str, object]:
        """Return the settings of a trial."""
        found = {name: self.space[name].setting(value) for name, value in stored.items()}
        size = {name: found.pop(name) for name in SIZES if name in found}
        if size:
            found["network"] = resized(self._planned(found).network, size)
        return found

    def plan(self, stored: Mapping[str, Stored]) -> Plan:
        """Return the plan of a trial, whose model can be built."""
        with warnings.catch_warnings(action="ignore"):
            plan = self._planned(self.settings(stored))
            plan.build()
        return plan

    def suggested(self, trial: Trial) -> dict[str, Stored]:
        """Return the settings of a new trial, as they are stored."""
        return {name: values.suggest(trial, name) for name, values in self.space.items()}

    def fitted(
        self, stored: Mapping[str, Stored], pruning: Callable[[float], Callback] | None = None
    ) -> tuple[float, float]:
        """Fit with the settings of a trial, and return its loss and mean squared error.

        Parameters
        ----------
        stored : mapping
        pruning : callable or None
            From the price of the code to what ends a trial that falls behind.
        """
        with warnings.catch_warnings(action="ignore"):
            plan = self._planned(self.settings(stored))
            price = self.criterion.price(plan.code_size, self.kind.shape)
            callbacks = self.estimator.callbacks
            pruned = [] if pruning is None else [pruning(price)]
            model = fit(plan, self.inner, self.run, [*callbacks, *pruned])
        diagnostics = model.training_summary.diagnostics
        for callback in callbacks:
            callback.on_fit(diagnostics.metrics)
        return self.criterion.loss(model, self.inner), diagnostics.error

    def study(self, storage: Path | None) -> Study:
        """Return a new study, or the one that a file has.

        Raises
        ------
        FileError
            If the file is no study.
        SettingError
            If it is one of other data or settings.
        """
        optuna = _library()
        pruner = optuna.pruners.MedianPruner(FIRST_TRIALS, FIRST_MOMENTS)
        if any(name.partition("__")[0] == "recipe" for name in self.space):
            pruner = optuna.pruners.NopPruner()  # the losses of training are not comparable
        url = None if storage is None else f"sqlite:///{storage.resolve()}"
        try:
            study: Study = optuna.create_study(
                storage=url, study_name="attar", pruner=pruner, load_if_exists=True
            )
        except Exception as error:
            raise FileError(f"{storage} is no study of attar's: give another file.") from error
        seed = (self.run.seed + len(study.trials)) % 2**32
        study.sampler = optuna.samplers.TPESampler(seed=seed)
        before = study.user_attrs
        for name, value in self._identity().items():
            if name not in before:
                study.set_user_attr(name, value)
            elif before[name] != value:
                difference = _difference(name, before[name], value)
                raise SettingError(f"{storage} is a search {difference}.")
        return study

    def begin(self, study: Study) -> int:
        """Take up a study, and return how many trials were made."""
        states = _library().trial.TrialState
        for left in study.get_trials(deepcopy=False, states=[states.RUNNING]):
            study.tell(left.number, state=states.FAIL)  # its process has ended
        counted = [trial for trial in study.get_trials(deepcopy=False) if _counts(trial)]
        if self.start is not None and not any(trial.params == self.start for trial in counted):
            study.enqueue_trial(self.start, skip_if_exists=True)
        return len(counted)

    def search(self, study: Study, trials: int, until: float, show: Show) -> None:
        """Make trials one after the other until there are so many, or the time is over."""
        for number in range(self.begin(study), trials):
            complete = bool(complete_trials(study))
            if complete and time.monotonic() > until:
                return
            trial = study.ask()
            stored, end = self.suggested(trial), until if complete else math.inf
            with recorded(study, trial):
                record(study, trial, *self.fitted(stored, partial(Pruning, trial, until=end)))
            show(number + 1, study.trials[-1], study)

    def result(self, study: Study) -> Tuning:
        """Return the best model, fitted, and what the trials say.

        Raises
        ------
        TrainingError
            If no trial was completed.
        """
        complete = complete_trials(study)
        if not complete:
            failures = [t.user_attrs[FAILURE] for t in study.trials if FAILURE in t.user_attrs]
            raise TrainingError(f"No trial was completed, the last as: {failures[-1]}.")
        best = study.best_trial
        settings = self.settings(best.params)
        estimator = clone(self.estimator).set_params(**self.fixed, **settings)
        with self._warning_once():
            loss = self._refitted(estimator)
        default_loss = loss
        if best.params != self.start:
            default = clone(self.estimator).set_params(**self.fixed, callbacks=(), verbose=False)
            with warnings.catch_warnings(action="ignore"):
                default_loss = self._refitted(default)
        return Tuning(
            estimator,
            settings,
            loss,
            default_loss,
            self.criterion.words,
            _table(study, list(self.space)),
            _importance(study, complete),
        )

    @contextmanager
    def _warning_once(self) -> Iterator[None]:
        """Raise each of attar's warnings once at the end, and none that was raised before."""
        try:
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always", AttarWarning)
                yield
        finally:
            new = {str(one.message): one for one in found if str(one.message) not in self.said}
            self.said |= {*new}
            for message, one in new.items():
                if issubclass(one.category, AttarWarning):
                    warn(message)

    def _refitted(self, estimator: Autoencoder) -> float:
        """Fit an estimator to all data, and return its loss on the validation rows."""
        fitted = estimator.fit(self.data, condition=self.condition).fitted_
        return self.criterion.loss(fitted, self.outer)

    def _planned(self, settings: Mapping[str, object]) -> Plan:
        estimator = clone(self.estimator).set_params(**self.fixed, **settings)
        params = estimator.get_params(deep=False)
        return Planner(params, self.kind, self.summary, self.encoder).plan()

    def _identity(self) -> dict[str, object]:
        """Return what must be the same where a search goes on, as JSON data."""
        settings = self.estimator._plain_settings()
        kept = {name: value for name, value in settings.items() if name not in OUTWARD}
        space = {name: repr(values) for name, values in self.space.items()}
        data = {"digest": self.outer.digest().hex()}
        found: dict[str, object] = {"data": data, "settings": kept, "search": space}
        plain_data: dict[str, object] = json.loads(json.dumps(found))  # as the study returns it
        return plain_data


def record(study: Study, trial: Trial, loss: float, error: float) -> None:
    """Write down the loss and the mean squared error of a trial.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    if not math.isfinite(loss):
        raise TrainingError(f"The loss of trial {trial.number} is {loss}.")
    trial.set_user_attr(ERROR, error)
    study.tell(trial, loss)


@contextmanager
def recorded(study: Study, trial: Trial) -> Iterator[None]:
    """Write down that a trial is pruned or fails inside, which ends neither it nor the search."""
    optuna = _library()
    states = optuna.trial.TrialState
    try:
        yield
    except optuna.TrialPruned:
        study.tell(trial, state=states.PRUNED)
    except (ClusterError, TrainingError, SettingError) as error:
        trial.set_user_attr(FAILURE, first_line(error))
        study.tell(trial, state=states.FAIL)
    except BaseException:
        study.tell(trial, state=states.FAIL)
        raise


Show = Callable[[int, "FrozenTrial", "Study"], None]
Search = Callable[["Tuner", "Study", int, float, Show], None]


def lines(trials: int, verbose: bool | Literal["auto"]) -> Show:
    """Return what prints a line for a trial."""
    terminal, printed = sys.stderr.isatty(), time.monotonic()

    def show(number: int, trial: FrozenTrial, study: Study) -> None:
        nonlocal printed
        now = time.monotonic()
        if not verbose or (verbose == "auto" and not terminal and now < printed + SECONDS):
            return
        printed, complete = now, complete_trials(study)
        state = trial.state.name.lower()
        said = f"{trial.value:.5g} nats per row" if state == "complete" else state
        best = f", best {study.best_value:.5g}" if complete else ""
        values = ", ".join(f"{name}={_short(value)}" for name, value in trial.params.items())
        print(f"attar: trial {number} of {trials}: {said}{best}; {values}", file=sys.stderr)

    return show


def _library() -> ModuleType:
    """Return Optuna, which is an extra.

    Raises
    ------
    SettingError
        If it is not installed.
    """
    try:
        return import_module("optuna")
    except ImportError:
        raise SettingError(
            "Tuning needs optuna: install it with pip install 'attar[tune]'."
        ) from None


@contextmanager
def _quiet(optuna: ModuleType) -> Iterator[None]:
    """Keep Optuna from logging, and restore its verbosity at the end."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def complete_trials(study: Study) -> list[FrozenTrial]:
    """Return the trials that have a loss."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]


def _counts(trial: FrozenTrial) -> bool:
    """Return whether a trial was made, and not interrupted."""
    return trial.state.name in ("COMPLETE", "PRUNED") or FAILURE in trial.user_attrs


def _difference(name: str, before: Any, now: Any) -> str:
    """Return in words how a search differs from the one of a file."""
    if name == "data":
        return "on other data: give the same, or another file"
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    both = ", ".join(f"{key}={before.get(key)} and not {now.get(key)}" for key in sorted(changed))
    return f"with other {name}, {both}: give the same, or another file"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _table(study: Study, searched: Sequence[str]) -> pd.DataFrame:
    """Return the trials that were made."""
    rows = []
    for trial in filter(_counts, study.get_trials(deepcopy=False)):
        state = trial.state.name.lower().replace("fail", "failed")
        complete = state == "complete"
        params = {name: trial.params.get(name) for name in searched}
        rows.append(
            {
                "trial": trial.number,
                "state": state,
                "loss": trial.value if complete else math.nan,
                "error": trial.user_attrs.get(ERROR, math.nan),
                "seconds": trial.duration.total_seconds() if trial.duration else math.nan,
                **params,
            }
        )
    return pd.DataFrame(rows)


def _importance(study: Study, complete: Sequence[FrozenTrial]) -> dict[str, float]:
    """Return the importance of each setting; none where losses or settings are all equal."""
    if len({trial.value for trial in complete}) < 2:
        return {}
    importance = _library().importance
    evaluator = importance.FanovaImportanceEvaluator(seed=0)
    found: dict[str, float] = importance.get_param_importances(study, evaluator=evaluator)
    return found
