"""Autoencoder: the estimator that people hold."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin, clone
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from attar import storage
from attar.choices import Choice
from attar.data.corpus import corpus_of
from attar.data.infinite import without_infinities
from attar.data.kind import Kind, Rows
from attar.data.kinds import kind_of
from attar.data.source import read
from attar.data.stream import pieces
from attar.data.summary import Summary
from attar.data.table import Table
from attar.errors import DataError, SettingError
from attar.evaluation.diagnosis import Finding, diagnose
from attar.evaluation.figures import reconstruction
from attar.evaluation.likelihoods import log_likelihoods
from attar.fitted import Fitted
from attar.fitting import fit
from attar.inspection import Inspection
from attar.model import Model
from attar.parameters import Parameters
from attar.plan import Plan, Planner, Run
from attar.records import Epoch
from attar.sampling.samplers import new_codes
from attar.training.callbacks import ProgressBar


class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, Parameters):
    """An autoencoder of tables, images, series and sparse matrices, as a scikit-learn estimator.

    Every setting that is ``"auto"`` is chosen from the data; ``choices_`` says what and why.

    Parameters
    ----------
    recipe : str or Recipe, default "auto"
        The variant, by its name in the table of recipes (``attar recipes``); auto is ``"ae"``.
    code_size : int, default "auto"
        How many numbers a code has.
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
        ``"sgd"``, ``"rmsprop"``, ``"adam"`` or ``"adamw"``.
    schedule : str or Schedule, default "auto"
        ``"constant"``, ``"cosine"`` or ``"one-cycle"``.
    validation_fraction : float, default 0.1
        The share of rows that are not learnt from but measured after each epoch; 0 for none, and
        none where it makes fewer than five rows.
    early_stopping : bool, default True
        End when the measured loss has not improved for a third of the epochs.
    max_minutes : float, default None
        End after this time, with the schedule complete.
    device : str, default "auto"
        ``"cpu"``, ``"cuda"``, ...; auto takes a GPU where there is one.
    precision : str, default "auto"
        ``"float32"``, or ``"bfloat16"`` where torch holds it safe; auto takes the latter on CUDA.
    infinite_as_missing : bool, default False
        Whether infinite values are taken for missing ones, with a warning; else they are refused.
    random_state : int, RandomState or None, default None
        Equal seeds give equal weights.
    verbose : bool, default "auto"
        Whether to show progress and choices; auto does in a terminal.
    callbacks : sequence of Callback, default ()

    Attributes
    ----------
    model_ : Module
        The trained model of prepared values, for those who want to go on by hand.
    code_size_ : int
    choices_ : list of Choice
    history_ : list of Epoch
    n_features_in_ : int

    Examples
    --------
    >>> import attar
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> ae = attar.Autoencoder(code_size=2, epochs=20, random_state=0).fit(X)
    >>> ae.transform(X).shape
    (150, 2)
    """

    def __init__(
        self,
        recipe: Any = "auto",
        code_size: Any = "auto",
        *,
        network: Any = "auto",
        likelihood: Any = "auto",
        scaling: Any = "auto",
        corruption: Any = None,
        epochs: Any = "auto",
        batch_size: Any = "auto",
        learning_rate: Any = "auto",
        optimizer: Any = "auto",
        schedule: Any = "auto",
        validation_fraction: float = 0.1,
        early_stopping: bool = True,
        max_minutes: float | None = None,
        device: str = "auto",
        precision: str = "auto",
        infinite_as_missing: bool = False,
        random_state: Any = None,
        verbose: Any = "auto",
        callbacks: Sequence[Any] = (),
    ) -> None:
        self.recipe, self.code_size = recipe, code_size
        self.network, self.likelihood = network, likelihood
        self.scaling, self.corruption = scaling, corruption
        self.epochs, self.batch_size = epochs, batch_size
        self.learning_rate = learning_rate
        self.optimizer, self.schedule = optimizer, schedule
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.max_minutes = max_minutes
        self.device, self.precision = device, precision
        self.infinite_as_missing = infinite_as_missing
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(self, X: Any, y: Any = None, *, checkpoint: str | Path | None = None) -> Self:
        """Learn to bring X back from a small code.

        Parameters
        ----------
        X : table, array, sparse matrix, path, or name of a data set
            Rows of a frame, numbers (n, columns), images (n, height, width[, channels]), a sparse
            matrix, or :class:`attar.Series`. What is missing is left out of the loss.
        y : ignored
        checkpoint : path or None
            A file that keeps the state of the training while it runs. Where it is there already,
            training goes on from it, to the weights of an unbroken run. Delete it in the end.

        Raises
        ------
        DataError
            If X cannot be learnt from.
        SettingError
            If a setting is unknown, out of range, or does not fit another.
        TrainingError
            If the loss is no finite number, with smaller steps too.
        """
        data = self._read(X, part="train")
        kind, summary, plan = self._planned(data)
        run = Run.of(self.get_params(deep=False), checkpoint)
        corpus = corpus_of(data, kind, summary, run.validation_fraction, run.seed)
        callbacks = list(self.callbacks)
        if sys.stderr.isatty() if self.verbose == "auto" else self.verbose:
            callbacks.append(ProgressBar())
            for choice in plan.choices:
                print(choice, file=sys.stderr)
        self.fitted_ = fit(plan, corpus, run, callbacks)
        return self

    def inspect(self, X: Any) -> Inspection:
        """Return what attar sees in X, and what :meth:`fit` would choose; it raises what fit does.

        Raises
        ------
        DataError, SettingError
        """
        return Inspection.of(*self._planned(self._read(X, part="train")))

    def transform(self, X: Any) -> Rows:
        """Return the codes of X, without chance: (n, code_size), in X's precision.

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        applied = self.fitted.applied
        return np.concatenate([applied.encode(self._rows(piece)) for piece in self._pieces(X)])

    def inverse_transform(self, Z: Any) -> Any:
        """Return the expected data of codes (n, code_size), in the form that was fitted.

        Raises
        ------
        DataError
            If the codes are not of this size.
        """
        applied = self.fitted.applied
        codes = np.asarray(Z)
        if codes.ndim != 2 or codes.shape[1] != applied.code_size or codes.dtype.kind not in "fiu":
            raise DataError(
                f"Codes are numbers of shape (n, {applied.code_size}), not {codes.dtype} of shape "
                f"{codes.shape}."
            )
        return applied.restore(codes)

    def reconstruct(self, X: Any) -> Any:
        """Return X as the model brings it back, in the form that was fitted.

        Missing cells come back as predictions; columns that were not learnt as they are in X.

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        applied, kind = self.fitted.applied, self.fitted.kind
        parts = [
            applied.restore(applied.encode(self._rows(piece)), kind.aside(piece))
            for piece in self._pieces(X)
        ]
        return parts[0] if len(parts) == 1 else kind.joined(parts)

    def score_samples(self, X: Any) -> Rows:
        """Return how likely each row is, in nats of its prepared values: (n,).

        With a density it is the importance-weighted bound log Σ p(x, z) / q(z|x) / K over 32 fixed
        draws z (Burda et al., 2016), else minus the distortion. It is deterministic.

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        applied = self.fitted.applied
        parts = [log_likelihoods(applied, self._rows(piece)) for piece in self._pieces(X)]
        return np.concatenate(parts)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of :meth:`score_samples`."""
        return float(self.score_samples(X).mean())

    def sample(self, n: int = 1, random_state: Any = None) -> Any:
        """Return ``n`` new rows, in the form that was fitted.

        Codes are drawn from the prior, or from a mixture of gaussians fitted to the codes of rows
        that were learnt from.

        Raises
        ------
        SettingError
            If ``n`` is not a whole number above 0.
        """
        if isinstance(n, bool) or not hasattr(n, "__index__") or n < 1:
            raise SettingError(f"The number of samples must be a whole number above 0, not {n!r}.")
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        applied = self.fitted.applied
        code = applied.model.code
        return applied.restore(new_codes(code, self.fitted.study.codes, n, seed))

    def evaluate(self, X: Any) -> dict[str, float]:
        """Return measures of the model on rows, best not those that were learnt from.

        Errors are of prepared cells; ``pca_error`` is that of principal components with as many
        numbers, found on rows that were learnt from.

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        fitted = self.fitted
        rows = (self._rows(piece) for piece in self._pieces(X))
        figures = reconstruction(fitted.applied, fitted.study.baseline, rows)
        score = self.score(X)
        if "density" in fitted.recipe.code.provides and fitted.likelihood.density:
            return figures | {"nll_bound": -score}
        return figures | {"distortion": -score}

    def truncate(self, code_size: int) -> Self:
        """Return the estimator with its code cut to the first ``code_size`` numbers.

        Nothing is trained again: an ordered code has learnt every size at once.

        Raises
        ------
        SettingError
            If the code is not ordered, or has fewer numbers.
        """
        cut: Self = clone(self)
        cut.fitted_ = self.fitted.truncated(code_size)
        return cut

    def diagnose(self) -> list[Finding]:
        """Return what is wrong with the model in plain words, and what to do, gravest first."""
        return diagnose(self.fitted.study.facts, self.fitted.history)

    def save(self, path: str | Path) -> None:
        """Write the model to a file, whole or not at all.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        fitted = self.fitted
        facts = {"settings": self.plain_settings(), **fitted.to_json()}
        storage.write(path, fitted.tensors(), facts)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags

    @property
    def fitted(self) -> Fitted:
        """The fitted model with all that is known about it."""
        check_is_fitted(self)
        return self.fitted_

    @property
    def model_(self) -> Model:
        """The trained module of prepared values."""
        return self._learnt().applied.model

    @property
    def code_size_(self) -> int:
        """How many numbers a code has."""
        return self._learnt().applied.code_size

    @property
    def choices_(self) -> list[Choice]:
        """What was chosen from the data, and why."""
        return self._learnt().choices

    @property
    def history_(self) -> list[Epoch]:
        """The figures of each epoch."""
        return self._learnt().history

    @property
    def n_features_in_(self) -> int:
        """How many columns a table has, or how many cells a row of anything else."""
        kind = self._learnt().kind
        names = kind.names if isinstance(kind, Table) else None
        return int(np.prod(kind.shape)) if names is None else len(names)

    @property
    def feature_names_in_(self) -> Rows:
        """The columns' names, where the data was a DataFrame whose columns have words as names."""
        kind = self._learnt().kind
        names = kind.names if isinstance(kind, Table) else None
        if names is None or not all(isinstance(name, str) for name in names):
            raise AttributeError("The data had no column names.")
        return np.array(names, dtype=object)

    @property
    def _n_features_out(self) -> int:
        return self._learnt().applied.code_size

    def _read(self, X: Any, part: str, kind: Kind | None = None) -> Any:
        data = read(X, part, kind=kind).data
        return without_infinities(data) if self.infinite_as_missing else data

    def _planned(self, data: Any) -> tuple[Kind, Summary, Plan]:
        kind, summary = kind_of(data).of(pieces(data))
        return kind, summary, Planner(self.get_params(deep=False), kind, summary).plan()

    def _pieces(self, X: Any) -> Iterable[Any]:
        """Return the pieces of data, which is of the kind that was fitted."""
        kind = self.fitted.kind
        data = self._read(X, part="test", kind=kind)
        if not kind.accepts(kind_of(data)):
            raise DataError(
                f"The model was fitted on {kind.name}, but X is {kind_of(data).name} of shape "
                f"{np.shape(data)}."
            )
        return kind.pieces(data)

    def _rows(self, piece: Any) -> Rows:
        rows = self.fitted.kind.rows(piece)
        if not rows.shape[0]:
            raise DataError("Found array with 0 sample(s): there is nothing to do.")
        return rows

    def _learnt(self) -> Fitted:
        if "fitted_" not in vars(self):
            raise AttributeError("This Autoencoder is not fitted yet.")
        return self.fitted_
