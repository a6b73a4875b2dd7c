"""Autoencoder: the estimator that people hold."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin, clone
from sklearn.utils import Tags

from attar import storage
from attar.applied import Applied
from attar.checks import positive_integer
from attar.data.conditioning import Conditioning
from attar.data.corpus import corpus_of
from attar.data.kind import Kind, Rows
from attar.data.kinds import kind_of
from attar.data.stream import pieces
from attar.data.summary import Summary
from attar.errors import DataError
from attar.evaluation.coding import coding
from attar.evaluation.diagnosis import Finding, diagnose
from attar.evaluation.figures import reconstruction
from attar.evaluation.likelihoods import log_likelihoods
from attar.evaluation.measures import bits_per_dimension
from attar.fitting import fit
from attar.generative import Generative
from attar.inspection import Inspection
from attar.plan import Plan, Planner, Run
from attar.training.callbacks import ProgressBar


class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, Generative):
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
        What the networks learn in: ``"float32"``, ``"bfloat16"``, or the latter where it is faster.
        All else is in single precision at least, and so is the trained model.
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

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        condition: Any = None,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Learn to bring X back from a small code.

        Parameters
        ----------
        X : table, array, sparse matrix, path, or name of a data set
            Rows of a frame, numbers (n, columns), images (n, height, width[, channels]), a sparse
            matrix, or :class:`attar.Series`. What is missing is left out of the loss.
        y : ignored
        condition : array (n,) or table (n, columns), default None
            What encoder and decoder are told of each row besides, such as a label. It must then be
            given wherever the model is used.
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
        kind, summary, plan = self._planned(data, condition)
        run = Run.of(self.get_params(deep=False), checkpoint)
        told = None
        if plan.conditioning is not None:
            told = plan.conditioning.prepare(condition, summary.rows)
        corpus = corpus_of(data, kind, summary, run.validation_fraction, run.seed, told)
        callbacks = list(self.callbacks)
        if sys.stderr.isatty() if self.verbose == "auto" else self.verbose:
            callbacks.append(ProgressBar())
            for choice in plan.choices:
                print(choice, file=sys.stderr)
        self.fitted_ = fit(plan, corpus, run, callbacks)
        return self

    def inspect(self, X: Any, *, condition: Any = None) -> Inspection:
        """Return what attar sees in X, and what :meth:`fit` would choose; it raises what fit does.

        Raises
        ------
        DataError
        """
        return Inspection.of(*self._planned(self._read(X, part="train"), condition))

    def transform(self, X: Any, *, condition: Any = None) -> Rows:
        """Return the codes of X, without chance: (n, code_size), in X's precision.

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        worked = self._worked(X, condition)
        return np.concatenate([applied.encode(rows) for applied, rows, _ in worked])

    def inverse_transform(self, Z: Any, *, condition: Any = None) -> Any:
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
        return self.told(condition, len(codes)).restore(codes)

    def reconstruct(self, X: Any, *, condition: Any = None) -> Any:
        """Return X as the model brings it back, in the form that was fitted.

        Missing cells come back as predictions; columns that were not learnt as they are in X.

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        parts = [
            applied.restore(applied.encode(rows), aside)
            for applied, rows, aside in self._worked(X, condition)
        ]
        return parts[0] if len(parts) == 1 else self.fitted.kind.joined(parts)

    def score_samples(self, X: Any, *, draws: int = 32, condition: Any = None) -> Rows:
        """Return how likely each row is, in nats of its prepared values: (n,).

        With a density it is the importance-weighted bound log Σ p(x, z) / q(z|x) / K over K fixed
        draws z (Burda et al., 2016), else minus the distortion. It is deterministic.

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
        draws = positive_integer("The number of draws", draws)
        worked = self._worked(X, condition)
        return np.concatenate(
            [log_likelihoods(applied, rows, draws) for applied, rows, _ in worked]
        )

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of :meth:`score_samples`."""
        return float(self.score_samples(X).mean())

    def evaluate(self, X: Any, *, draws: int = 32, condition: Any = None) -> dict[str, float]:
        """Return measures of the model on rows, best not those that were learnt from.

        Errors are of prepared cells; ``pca_error`` is that of principal components with as many
        numbers, found on rows that were learnt from. ``accuracy`` is the share of levels and flags
        of a table that come back right. ``rate`` and ``nll_bound`` are in nats a row; perplexity is
        relative to the codebook's size.

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
        fitted, provides = self.fitted, self.fitted.recipe.code.provides

        def pieces() -> Iterator[tuple[Applied, Rows]]:
            return ((applied, rows) for applied, rows, _ in self._worked(X, condition))

        figures = reconstruction(fitted.applied, fitted.study.baseline, pieces())
        figures |= coding(pieces(), provides)
        score = float(self.score_samples(X, draws=draws, condition=condition).mean())
        if "density" in provides and fitted.likelihood.density:
            bits = bits_per_dimension(-score, prod(fitted.kind.shape))
            return figures | {"nll_bound": -score, "bits_per_dimension": bits}
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

    def _planned(self, data: Any, condition: Any) -> tuple[Kind, Summary, Plan]:
        kind, summary = kind_of(data).of(pieces(data))
        conditioning = None
        if condition is not None:
            conditioning = Conditioning.fit(condition, summary.rows)
        settings = self.get_params(deep=False)
        return kind, summary, Planner(settings, kind, summary, conditioning).plan()
