"""Autoencoder: the estimator, with everything that people call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import DensityMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from attar import storage, workers
from attar.checks import positive_integer
from attar.corruptions import Corruption
from attar.data.arrays import native
from attar.data.condition_encoder import ConditionEncoder
from attar.data.kind import Kind, Rows, warn_of_unused
from attar.data.kinds import form_of, kind_of, summary_of
from attar.data.scaling import Scaling
from attar.data.sounds import in_windows
from attar.data.source import Data, Source, read, without_infinities
from attar.data.summary import Summary
from attar.data.table import Table
from attar.data.training_data import training_data_of
from attar.denoising import Denoising
from attar.errors import DataError, SettingError, warn
from attar.evaluation.diagnostics import Finding, diagnose
from attar.evaluation.evaluate import Evaluation, evaluate
from attar.evaluation.scores import log_likelihoods
from attar.fitted import Fitted, Interrupted, fit
from attar.infilling import Infilling
from attar.inspection import Inspection
from attar.isolation import default_settings
from attar.latent_space import LatentSpace
from attar.likelihoods import Likelihood
from attar.model import Model
from attar.networks import CustomNetwork, Network
from attar.page import Report, report_on
from attar.parameters import Parameters
from attar.parts import Part
from attar.plan import MODEL, Choice, Plan, Planner, Run, device_of, window_of
from attar.predictor import Predictor
from attar.recipe import Recipe
from attar.recommendation import Recommender
from attar.records import Epoch
from attar.sharing import Shared
from attar.training.callbacks import Callback, shown_progress
from attar.training.optim import Optimizer, Schedule

Auto = Literal["auto"]


class Autoencoder(
    LatentSpace,
    Recommender,
    Denoising,
    Infilling,
    TransformerMixin,
    DensityMixin,
    Parameters,
    Shared,
):
    """An autoencoder of tables, images, series, sparse matrices and sound, for scikit-learn.

    Every setting that is ``"auto"`` is chosen from the data; ``choices_`` says what and why.

    Parameters
    ----------
    recipe : str or Recipe, default "auto"
        The variant, by its name in the table of recipes (``attar recipes``); auto is ``"ae"``.
    code_size : int, default "auto"
        The number of latent dimensions.
    network : str, Network, or pair of torch modules, default "auto"
        ``"linear"``, ``"mlp"``, ``"conv"``, ``"tcn"``, ``"gru"``, ``"transformer"``, ``"bag"``, a
        spec, or your own (encoder, decoder).
    likelihood : str or Likelihood, default "auto"
        ``"gaussian"`` (mean squared error), ``"bernoulli"`` (binary cross-entropy), ...
    scaling : str or Scaling, default "auto"
        ``"standard"``, ``"min-max"``, ``"robust"`` or ``"none"``.
    corruption : str or Corruption, default None
        What is done to the input in training, in place of the recipe's own.
    epochs, batch_size : int, default "auto"
    learning_rate : float, default "auto"
        The largest step size of the schedule.
    optimizer : str or Optimizer, default "auto"
        ``"sgd"``, ``"rmsprop"``, ``"adam"``, ``"adamw"``, or a spec of any other in torch.optim.
    schedule : str or Schedule, default "auto"
        ``"constant"``, ``"cosine"`` or ``"one-cycle"``.
    validation_fraction : float, default 0.1
        The fraction of rows that are held out of training and measured after each epoch; 0 for
        none, and none where it makes fewer than five rows.
    early_stopping : bool, default True
        Stop when the monitored loss has not improved for a third of the epochs.
    max_minutes : float, default None
        Stop after this time, with the schedule complete.
    device : str, default "auto"
        ``"cpu"``, ``"cuda"``, ...; auto takes a GPU where there is one.
    precision : str, default "auto"
        The precision of the networks in training: ``"float32"``, ``"bfloat16"``, or the latter
        where it is faster. All else is in single precision at least, and so is the trained model.
    infinite_as_missing : bool, default False
        Whether infinite values count as missing, with a warning; else they are refused.
    columns : mapping, default None
        What columns of a table are, where the recognized type is not right: ``"categorical"``,
        ``"number"``, ``"boolean"``, ``"datetime"`` or ``"text"`` (of several words), by their
        names; ``"ignore"`` and ``"id"`` keep a column out of the model.
    warm_start : bool, default False
        Whether another :meth:`fit` goes on from the weights reached, for as many further epochs,
        with a new cycle of the schedule: columns, scaling and all choices of the model stay, and
        so do the weights if no epoch has a lower loss. The same X is split as before.
    random_state : int, RandomState or None, default None
        Equal seeds give equal weights, in threads too; None allows more threads (convolutions).
    verbose : bool, default "auto"
        Whether to show progress and choices; auto does in a terminal, shows a bar in a notebook,
        and elsewhere prints a line of progress every ten seconds.
    callbacks : sequence of Callback, default ()

    Attributes
    ----------
    model_ : Module
        The trained model of prepared values.
    code_size_ : int
    choices_ : list of Choice
    history_ : DataFrame
        The metrics of each epoch, one a row: ``epoch``, ``loss``, ``validation_loss`` (NaN where
        no rows are held out), and the rest of :class:`attar.records.Epoch`.
    n_features_in_ : int
    feature_names_in_ : array of str
    fitted_ : Fitted
        Everything else that is known about the fitted model.

    Examples
    --------
    >>> import attar
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> ae = attar.Autoencoder(code_size=2, epochs=20, random_state=0).fit(X)
    >>> ae.transform(X).shape
    (150, 2)
    """

    fitted_: Fitted

    def __init__(
        self,
        recipe: str | Recipe = "auto",
        code_size: int | Auto = "auto",
        *,
        network: str | Network | tuple[object, object] = "auto",
        likelihood: str | Likelihood = "auto",
        scaling: str | Scaling = "auto",
        corruption: str | Corruption | None = None,
        epochs: int | Auto = "auto",
        batch_size: int | Auto = "auto",
        learning_rate: float | Auto = "auto",
        optimizer: str | Optimizer = "auto",
        schedule: str | Schedule = "auto",
        validation_fraction: float = 0.1,
        early_stopping: bool = True,
        max_minutes: float | None = None,
        device: str = "auto",
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        infinite_as_missing: bool = False,
        columns: Mapping[str, str] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | Auto = "auto",
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.recipe, self.code_size = recipe, code_size
        self.network, self.likelihood = network, likelihood
        self.scaling, self.corruption = scaling, corruption
        self.epochs, self.batch_size = epochs, batch_size
        self.learning_rate = learning_rate
        self.optimizer, self.schedule = optimizer, schedule
        self.validation_fraction = validation_fraction
        self.early_stopping, self.max_minutes = early_stopping, max_minutes
        self.device, self.precision = device, precision
        self.infinite_as_missing, self.columns = infinite_as_missing, columns
        self.warm_start, self.random_state = warm_start, random_state
        self.verbose = verbose
        self.callbacks = callbacks

    @default_settings()
    @workers.together()
    def fit(
        self,
        X: Data,
        y: object = None,
        *,
        condition: Data | None = None,
        checkpoint: str | Path | None = None,
        freeze: str | None = None,
    ) -> Self:
        """Train encoder and decoder to reconstruct X from a small code.

        Parameters
        ----------
        X : table, array, sparse matrix, path, or name of a data set
            Rows of a frame, numbers (n, columns), images (n, height, width[, channels]), a sparse
            matrix (or :class:`attar.Sparse`), :class:`attar.Series`, or :class:`attar.Sounds`.
            Missing values are left out of the loss; each column that cannot be used is named in a
            warning.
        y : ignored
        condition : array (n,) or table (n, columns), default None
            What encoder and decoder are conditioned on, such as a label. It must then be given
            wherever the model is used.
        checkpoint : path or None
            A file that keeps the state of the training while it runs. Where it exists already,
            training resumes from it, to the weights of an uninterrupted run. Delete it afterwards.
        freeze : {"encoder"}, default None
            What stays as it is where ``warm_start`` goes on from a fitted model: with "encoder"
            each row keeps its code, and only the decoder learns.

        Raises
        ------
        DataError
            If the model cannot be trained on X.
        SettingError
            If a setting is unknown, out of range, or does not fit another.
        TrainingError
            If the loss is not finite, with smaller steps too.
        KeyboardInterrupt
            If the user stops it; from the second epoch on, the best model so far is kept, and in an
            interactive session, such as a notebook, it is returned with a warning instead.
        """
        self._check_names()
        before = self.fitted_ if self.warm_start and "fitted_" in vars(self) else None
        run = Run.of(self.get_params(deep=False), checkpoint, freeze)
        if freeze is not None and before is None:
            raise SettingError(
                f"freeze={freeze!r} keeps a part of a fitted model, and there is none: set "
                "warm_start=True after a fit or attar.load."
            )
        with workers.all_or_none():
            data = self._read(X, part="train", kind=None if before is None else before.kind)
        if before is None:
            kind, summary, plan = self._plan(data, condition)
        else:
            kind, summary, plan = self._plan_again(data, before)
        encoded, seed = None, run.seed if before is None else before.seed
        if before is not None:
            encoded = before.conditioned(condition, summary.rows).condition
        else:
            warn_of_unused(kind)
            if plan.condition_encoder is not None:
                warn_of_unused(plan.condition_encoder.preparation.kind)
                encoded = plan.condition_encoder.prepare(condition, summary.rows)
        rows = training_data_of(data, kind, summary, run.validation_fraction, seed, encoded)
        callbacks = list(self.callbacks)
        verbose = self.verbose if workers.rank() == 0 else False
        if verbose:
            callbacks.append(shown_progress())
        if sys.stderr.isatty() if verbose == "auto" else verbose:
            for choice in plan.choices:
                print(choice, file=sys.stderr)
        try:
            self.fitted_ = fit(plan, rows, run, callbacks, before)
        except Interrupted as interruption:
            self.fitted_ = interruption.fitted
            if not hasattr(sys, "ps1"):
                raise
            warn(str(interruption))
        for callback in self.callbacks if workers.rank() == 0 else ():
            callback.on_fit(self.fitted_.training_summary.diagnostics.metrics)
        return self

    def fit_transform(
        self, X: Data, y: object = None, *, condition: Data | None = None, **settings: Any
    ) -> Rows:
        """Return the codes of X, after :meth:`fit` to it."""
        return self.fit(X, condition=condition, **settings).transform(X, condition=condition)

    @default_settings()
    def inspect(self, X: Data, *, condition: Data | None = None) -> Inspection:
        """Return what attar sees in X, and what :meth:`fit` would choose; it raises what fit does.

        Raises
        ------
        DataError
        SettingError
        """
        self._check_names()
        return Inspection.of(*self._plan(self._read(X, part="train"), condition))

    @default_settings()
    def transform(self, X: Data, *, condition: Data | None = None) -> Rows:
        """Return the codes of X, deterministic: (n, code_size), in X's precision.

        With ``set_output(transform="pandas")`` it is a frame: for rows of a frame with their own
        index, on which scikit-learn's pipelines rely, else with that of :meth:`encode`.

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        rows_of_frame = isinstance(X, pd.DataFrame) and isinstance(self._fitted.kind, Table)
        if self._gives_frames and not rows_of_frame:
            return cast("Rows", self.encode(X, condition=condition))
        return self._encoded(X, condition)

    @default_settings()
    def inverse_transform(self, Z: ArrayLike, *, condition: Data | None = None) -> Any:
        """Return the expected data of codes (n, code_size), in the form that was fitted.

        Raises
        ------
        DataError
            If the codes are not of this size, or there are none, or one is not finite.
        """
        fitted = self._fitted
        codes, size = np.asarray(native(Z)), fitted.predictor.code_size
        if codes.ndim != 2 or codes.shape[1] != size or codes.dtype.kind not in "fiu":
            raise DataError(
                f"Codes are numbers of shape (n, {size}), not {codes.dtype} of shape {codes.shape}."
            )
        if not len(codes) or not np.isfinite(codes).all():
            raise DataError("Codes must be finite numbers, of at least one row.")
        return fitted.conditioned(condition, len(codes)).restore(codes)

    @default_settings()
    def reconstruct(self, X: Data, *, condition: Data | None = None) -> Any:
        """Return the reconstruction of X, in the form that was fitted.

        Missing cells are predicted; columns that the model does not use are copied from X. Of a
        sparse matrix, expected values below half of the smallest stored one are left out, and
        integers are rounded; see :meth:`recommend` and :meth:`expected_values`.

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        return self._reconstructed(X, condition, lambda predictor, rows: None)

    @default_settings()
    def score_samples(self, X: Data, *, draws: int = 32, condition: Data | None = None) -> Rows:
        """Return the log-likelihood of each row, in nats of its prepared values: (n,).

        With a density it is the importance-weighted bound log Σ p(x, z) / q(z|x) / K over K fixed
        draws z (Burda et al., 2016), else minus the distortion. It is deterministic.

        A missing cell costs what known ones do on average: score = log p(x_known) + Σ_missing m_j +
        c, as in :class:`~attar.evaluation.scores.ScoreReference`. A category that the fit did not
        see, or another value in a constant column, costs at least what the rarest known one does.

        Parameters
        ----------
        X : table, array, ...
        draws : int
            K: the more, the tighter the bound.
        condition : label, array (n,) or table, default None

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        SettingError
            If so many draws would not fit into memory.
        """
        draws = positive_integer("number of draws", draws)
        reference, read = self._fitted.training_summary.reference, self._pieces(X, condition)
        return np.concatenate([log_likelihoods(p, rows, draws, reference) for p, rows, _ in read])

    def score(self, X: Data, y: object = None, *, condition: Data | None = None) -> float:
        """Return the mean of :meth:`score_samples`."""
        return float(self.score_samples(X, condition=condition).mean())

    @default_settings()
    def evaluate(
        self, X: Data, *, draws: int = 32, condition: Data | None = None
    ) -> dict[str, float]:
        """Return metrics of the model on rows, which should not be training rows.

        Errors are mean squared errors of prepared cells; ``pca_error`` is that of PCA with as many
        components, fitted to training rows. ``accuracy`` is the fraction of categories and booleans
        of a table that are reconstructed right. ``rate`` and ``nll_bound`` are in nats per row;
        ``bits_per_row`` is ``nll_bound`` in bits, and ``bits_per_dimension`` its share of a column
        or cell of the data. Perplexity is relative to the codebook's size. A model without a code
        reconstructs nothing, and has a likelihood only. X is read and prepared once.

        Parameters
        ----------
        X : table, array, ...
        draws : int
            Of each code, for ``nll_bound`` as in :meth:`score_samples`.
        condition : label, array (n,) or table, default None

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        pieces = ((predictor, rows) for predictor, rows, _ in self._pieces(X, condition))
        return self._evaluation(pieces, draws).metrics

    @default_settings()
    def evaluate_held_out(
        self, X: Data | Source, *, draws: int = 32, condition: Data | None = None
    ) -> Evaluation:
        """Return the evaluation of rows that the model was not trained on.

        Where X is the data of the fit, its validation rows are measured, at most some thousands;
        where there were none, training rows. Any other rows are all measured.

        Parameters
        ----------
        X, draws, condition
            As of :meth:`evaluate`.

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        fitted = self._fitted
        source = read(X, part="test", kind=fitted.kind)
        data = without_infinities(source.data) if self.infinite_as_missing else source.data
        rows = fitted.measured_rows(data)
        if rows is None:
            pieces = ((predictor, rows) for predictor, rows, _ in self._pieces(data, condition))
            return replace(self._evaluation(pieces, draws), rows_of=source.part or "given")
        measured = fitted.training_summary.measured
        predictor = fitted.conditioned(condition, measured.total).at(measured.places)
        part = "validation" if measured.held_out else "training"
        return replace(self._evaluation([(predictor, rows)], draws), rows_of=part, rows=rows)

    def diagnose(self, evaluation: Evaluation | None = None) -> list[Finding]:
        """Return the problems of the model in plain words, and what to do, the gravest first.

        Parameters
        ----------
        evaluation : Evaluation or None
            Of the rows to measure, as of :meth:`evaluate_held_out`; None for validation rows.
        """
        fitted = self._fitted
        diagnostics = fitted.training_summary.diagnostics
        if evaluation is not None:
            diagnostics = diagnostics.on(evaluation)
        return diagnose(diagnostics, fitted.history, fitted.recipe, fitted.network)

    def report(
        self, X: Data | Source, labels: Data | None = None, *, condition: Data | None = None
    ) -> Report:
        """Return a page of figures, which a notebook shows; see :func:`attar.report`.

        Parameters
        ----------
        X : table, array, ...
            Of the data of the fit the validation rows are shown, else all.
        labels : array (n,), default None
            The colours; None for the labels of a data set by name.
        condition : array (n,) or table, default None

        Raises
        ------
        DataError
            If X is not of the form that was fitted, or there is not one label per row.
        """
        check_is_fitted(self)
        return report_on(self, X, labels=labels, condition=condition)

    def save(self, path: str | Path) -> None:
        """Write the model to a file, whole or not at all.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        fitted = self._fitted
        storage.write_model(
            path, fitted.tensors(), {"settings": self._plain_settings(), **fitted.to_json()}
        )

    @classmethod
    @default_settings()
    def load(
        cls, path: str | Path, network: tuple[object, object] | None = None, *, device: str = "cpu"
    ) -> Self:
        """Return the estimator that :meth:`save` wrote, with bit for bit equal outputs.

        Parameters
        ----------
        path : path
        network : pair of torch modules or None
            The (encoder, decoder) of your own that was fitted, where it was one; its weights come
            from the file.
        device : str, default "cpu"
            Where the model computes: ``"cuda"``, ..., or ``"auto"`` for a GPU where there is one,
            in single precision.

        Raises
        ------
        FileError
            If there is no such file.
        ModelFileError
            If it is damaged, of another format, or no autoencoder of attar's.
        SettingError
            If the model needs a network of your own, or there is no such device.
        """
        place = device_of(device)
        tensors, description = storage.read_model(path)
        storage.check_task(path, description, None)
        if description.get("network", "") is None and network is None:
            raise SettingError(
                f"{path} was fitted with a custom network: load it with network=(encoder, decoder)."
            )
        with storage.restoring(path):
            settings = {name: Part.parsed(value) for name, value in description["settings"].items()}
            estimator = cls().set_params(**settings)
            custom = None if network is None else CustomNetwork.of(network)
            fitted = Fitted.restored(tensors, description, custom)
        if network is not None:
            estimator.network = network
        settings = estimator.get_params(deep=False)
        given = {name: settings[name] for name in MODEL}
        estimator.fitted_ = replace(fitted.on(place), given=given)
        return estimator

    @property
    def model_(self) -> Model:
        """The trained module of prepared values."""
        return self._attributes.predictor.model

    @property
    def code_size_(self) -> int:
        """The number of latent dimensions."""
        return self._attributes.predictor.code_size

    @property
    def choices_(self) -> list[Choice]:
        """What was chosen from the data, and why."""
        return self._attributes.choices

    @property
    def history_(self) -> pd.DataFrame:
        """The metrics of each epoch."""
        names = [field.name for field in fields(Epoch)]
        frame = pd.DataFrame(self._attributes.history, columns=names)
        return frame.astype({"validation_loss": float})

    @property
    def n_features_in_(self) -> int:
        """How many columns a table has, or how many cells a row of anything else."""
        return self._attributes.kind.dimensions

    @property
    def feature_names_in_(self) -> Rows:
        """The columns' names, where the data was a DataFrame whose column names are text."""
        kind = self._attributes.kind
        names = kind.names if isinstance(kind, Table) else None
        if names is None or not all(isinstance(name, str) for name in names):
            raise AttributeError("The data had no column names.")
        return np.array(names, dtype=object)

    @property
    def _n_features_out(self) -> int:
        return self.code_size_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags

    @property
    def _fitted(self) -> Fitted:
        check_is_fitted(self)
        return self.fitted_

    @property
    def _attributes(self) -> Fitted:
        """The fitted model, for attributes that must not exist before (scikit-learn's rule)."""
        if "fitted_" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} is not fitted yet.")
        return self.fitted_

    def _encoded(self, X: Data, condition: Data | None) -> Rows:
        return np.concatenate(
            [predictor.encode(rows) for predictor, rows, _ in self._pieces(X, condition)]
        )

    def _reconstructed(
        self, X: Data, condition: Data | None, level: Callable[[Predictor, Rows], float | None]
    ) -> Any:
        parts = [
            predictor.restore(predictor.encode(rows, level(predictor, rows)), passthrough)
            for predictor, rows, passthrough in self._pieces(X, condition)
        ]
        return parts[0] if len(parts) == 1 else self._fitted.kind.joined(parts)

    def _evaluation(self, pieces: Iterable[tuple[Predictor, Rows]], draws: int) -> Evaluation:
        fitted, provides = self._fitted, self._fitted.recipe.code.provides
        found = evaluate(
            fitted.predictor,
            pieces,
            fitted.training_summary.baseline,
            provides,
            positive_integer("number of draws", draws),
            "density" in provides and fitted.likelihood.density,
            fitted.training_summary.reference,
        )
        return found if fitted.recipe.compared else found.without_pca()

    def _read(self, X: Data, part: str, kind: Kind | None = None) -> Any:
        data: Any = read(X, part, kind=kind).data
        if kind is not None and not kind.accepts(kind_of(data)):
            raise DataError(kind.refusal(np.shape(data), kind_of(data)))
        return without_infinities(data) if self.infinite_as_missing else data

    def _plan(self, data: Any, condition: Data | None) -> tuple[Kind, Summary, Plan]:
        settings = self.get_params(deep=False)
        kind, summary = form_of(in_windows(data, window_of(settings)), self.columns)
        encoder = None if condition is None else ConditionEncoder.fit(condition, summary.rows)
        planner = Planner(settings, kind, summary, encoder)
        plan = planner.plan()
        return planner.kind, planner.summary, plan

    def _plan_again(self, data: Any, before: Fitted) -> tuple[Kind, Summary, Plan]:
        """Return form, summary and plan of training a fitted model further."""
        summary = summary_of(before.kind, data)
        return before.kind, summary, before.plan(self.get_params(deep=False), summary)

    def _pieces(self, X: Data, condition: Data | None) -> Iterator[tuple[Predictor, Rows, object]]:
        """Yield the predictor with its conditions, raw rows, and what is passed through."""
        fitted = self._fitted
        kind = fitted.kind
        data = self._read(X, part="test", kind=kind)
        for piece in kind.pieces(data):
            rows = kind.rows(piece)
            if not rows.shape[0]:
                raise DataError("Found array with 0 sample(s): give at least one row.")
            fitted.warn_of_gaps(rows)
            predictor = fitted.conditioned(condition, rows.shape[0])
            yield replace(predictor, changed=kind.changed(piece)), rows, kind.passthrough(piece)
