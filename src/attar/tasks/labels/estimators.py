"""Classifier and Regressor: rows that are labelled, and many that are not."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import Tags
from torch import Tensor

from attar.data.kind import Json
from attar.data.source import Data, Source, has_column, read, with_label, without_infinities
from attar.errors import DataError, warn
from attar.estimator import Autoencoder
from attar.isolation import default_settings
from attar.recipe import Recipe
from attar.tasks.coding import fitted_autoencoder
from attar.tasks.estimator import TaskEstimator, pieces_of
from attar.tasks.labels.heads import ClassHead, LabelHead, NumberHead
from attar.tasks.labels.model import LabelModel
from attar.tasks.labels.targets import Classes, Mask, Numbers
from attar.tasks.neighbours import Array
from attar.training.callbacks import Callback


class LabelEstimator(TaskEstimator):
    """What Classifier and Regressor have in common: they differ in what a label is.

    Attributes
    ----------
    held_out_ : dict of str to float
        How well each labelled row is predicted without its own label.
    label_ : str or None
        The column that labels were taken from, which is left out of X.
    """

    # What learns from the labels.
    head: ClassVar[type[LabelHead]]

    def __init__(
        self,
        recipe: str | Recipe = "auto",
        *,
        code_size: int | Literal["auto"] = "auto",
        epochs: int | Literal["auto"] = "auto",
        max_minutes: float | None = None,
        autoencoder: Autoencoder | None = None,
        columns: Mapping[str, str] | None = None,
        infinite_as_missing: bool = False,
        callbacks: Sequence[Callback] = (),
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.recipe, self.autoencoder = recipe, autoencoder
        self.code_size, self.epochs, self.max_minutes = code_size, epochs, max_minutes
        self.columns, self.infinite_as_missing = columns, infinite_as_missing
        self.callbacks, self.random_state = callbacks, random_state

    @default_settings()
    def fit(self, X: Data, y: ArrayLike) -> Self:
        """Learn from all rows of X, and from those that have a label.

        Parameters
        ----------
        X : table, array, sparse matrix, images, Series, list of str, path, or name of a data set
        y : array (n,)
            A label of each row. Unknown ones are -1 among integers, NaN, None, or an empty text.

        Raises
        ------
        DataError
            If no label is known, or the labels are not of one kind, or X cannot be learned from.
        SettingError
            If a setting is unknown or out of range.
        """
        known, targets = self._targets(y)
        self.label_: str | None = None
        if isinstance(y, pd.Series) and isinstance(y.name, str) and has_column(X, y.name):
            self.label_ = y.name
            warn(f"Column {y.name!r} of X is what is to be predicted: it is left out.")
        seed, source = self._drawn_seed(), self._without_labels(read(X, "train"))
        data: Any = source.data
        data = without_infinities(data) if self.infinite_as_missing else data
        shape = getattr(data, "shape", None)
        if shape:
            _check_rows(shape[0], len(known))
        autoencoder = fitted_autoencoder(
            self.autoencoder,
            data,
            self.recipe,
            code_size=self.code_size,
            epochs=self.epochs,
            max_minutes=self.max_minutes,
            columns=self.columns,
            callbacks=self.callbacks,
            random_state=seed,
        )
        _check_rows(autoencoder.fitted_.training_summary.measured.total, len(known))
        places = np.flatnonzero(known)
        self.model_, scores = LabelModel.fit(autoencoder, data, places, targets, self.head, seed)
        self.held_out_ = self._measured(scores, targets)
        return self

    @property
    def autoencoder_(self) -> Autoencoder:
        """The autoencoder whose codes the head was given."""
        return self._attributes.model_.autoencoder

    @abstractmethod
    def _targets(self, y: ArrayLike) -> tuple[Mask, Array]:
        """Return which rows have a label, and the targets (m, c) of these."""

    @abstractmethod
    def _measured(self, scores: Array, targets: Array) -> dict[str, float]:
        """Return metrics of labelled rows (m, c), each predicted without its own label."""

    @default_settings()
    def _scores(self, X: Data | Source) -> Array:
        """Return what the head says of rows (n, c), of whatever size the data is."""
        return np.concatenate([self.model_.scores(piece) for piece in self.pieces(X)])

    def pieces(self, X: Data | Source) -> Iterator[Any]:
        """Return X as the user has it, from wherever it is, in pieces that fit into memory."""
        kind = self._fitted.model_.autoencoder.fitted_.kind
        opened = self._without_labels(read(X, "test", kind=kind))
        return pieces_of(opened, kind, self.infinite_as_missing)

    def _without_labels(self, source: Source) -> Source:
        named = self.label_ is not None and has_column(source.data, self.label_)
        return with_label(source, self.label_) if named else source

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    def _dimensions(self) -> int:
        return self.model_.dimensions

    @property
    def _columns(self) -> Sequence[object] | None:
        return self.model_.columns

    def _described(self) -> tuple[dict[str, Tensor], Json]:
        return self.model_.tensors(), {
            "form": {"name": self.model_.name, **self.model_.to_json()},
            "label": self.label_,
            "held_out": self.held_out_,
        }

    def _restore(self, tensors: Mapping[str, Tensor], description: Json) -> None:
        self.model_ = LabelModel.restored(tensors, description["form"])
        self.label_, self.held_out_ = description["label"], description["held_out"]


class Classifier(ClassifierMixin, LabelEstimator):
    """A classifier of rows of which few are labelled: what the others are like helps.

    An autoencoder is fitted to all rows. On its codes, and on the prepared columns of tables, a
    head learns from the labels:

    - kernel ridge regression, one of whose kernels is that of the graph of nearest neighbours of
      all rows (label propagation),
    - multinomial logistic regression,
    - a random forest.

    Their scores are added with weights of the least log-loss of labelled rows, each predicted
    without its own label, which makes probabilities calibrated.

    Parameters
    ----------
    recipe : str or Recipe, default "auto"
        Of the autoencoder. Auto is ``"features"`` for images and sound, and what
        :class:`attar.Autoencoder` chooses for all else.
    code_size, epochs : int, default "auto"
        Of the autoencoder, as is ``max_minutes``.
    max_minutes : float, default None
    autoencoder : Autoencoder, default None
        One in place of these settings: fitted, and then used as it is, or to be fitted.
    columns : mapping, default None
        What columns of a table are; as of :class:`attar.Autoencoder`.
    infinite_as_missing : bool, default False
    callbacks : sequence of Callback, default ()
        Of the training of the autoencoder, where none is given.
    random_state : int, RandomState or None, default None

    Attributes
    ----------
    classes_ : array (c,)
        In order.
    held_out_ : dict of str to float
        ``accuracy`` and ``log_loss`` (nats) of labelled rows, each predicted without its own label.
    label_ : str or None
        The column that labels were taken from, which is left out of X.
    n_features_in_ : int
    feature_names_in_ : array of str

    Examples
    --------
    >>> import attar
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> few = np.where(np.arange(150) % 10 == 0, y, -1)
    >>> classifier = attar.Classifier(epochs=5, random_state=0).fit(X, few)
    >>> classifier.score(X, y) > 0.85
    True

    References
    ----------
    Zhu, Lafferty and Ghahramani, "Semi-supervised learning: from Gaussian fields to Gaussian
    processes", CMU-CS-03-175, 2003. Breiman, "Stacked regressions", Machine Learning 24, 1996.
    """

    task = "labels"
    head = ClassHead

    def predict_proba(self, X: Data | Source) -> Array:
        """Return the probabilities of the classes, in the order of ``classes_``: (n, c).

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        return np.asarray(softmax(self._scores(X), axis=1))

    def predict(self, X: Data | Source) -> NDArray[Any]:
        """Return the most likely class of each row (n,).

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        return self._fitted._classes.named(self._scores(X).argmax(1))

    @property
    def classes_(self) -> NDArray[Any]:
        """The classes, in order."""
        return self._attributes._classes.values

    def _targets(self, y: ArrayLike) -> tuple[Mask, Array]:
        self._classes, known, places = Classes.of(y)
        return known, np.eye(len(self._classes.values))[places]

    def _measured(self, scores: Array, targets: Array) -> dict[str, float]:
        right = scores.argmax(1) == targets.argmax(1)
        loss, _ = ClassHead.loss(scores, targets)
        return {"accuracy": float(right.mean()), "log_loss": loss / len(scores)}

    def _described(self) -> tuple[dict[str, Tensor], Json]:
        tensors, description = super()._described()
        return tensors, description | {"classes": self._classes.to_json()}

    def _restore(self, tensors: Mapping[str, Tensor], description: Json) -> None:
        super()._restore(tensors, description)
        self._classes = Classes.from_json(description["classes"])


class Regressor(RegressorMixin, LabelEstimator):
    """A regressor of rows of which few are labelled: what the others are like helps.

    It is :class:`attar.Classifier` for numbers: kernel ridge regression and a random forest, on the
    codes of an autoencoder that is fitted to all rows, and on the prepared columns of tables.

    Parameters
    ----------
    recipe : str or Recipe, default "auto"
        Of the autoencoder. Auto is ``"features"`` for images and sound, and what
        :class:`attar.Autoencoder` chooses for all else.
    code_size, epochs : int, default "auto"
        Of the autoencoder, as is ``max_minutes``.
    max_minutes : float, default None
    autoencoder : Autoencoder, default None
        One in place of these settings: fitted, and then used as it is, or to be fitted.
    columns : mapping, default None
        What columns of a table are; as of :class:`attar.Autoencoder`.
    infinite_as_missing : bool, default False
    callbacks : sequence of Callback, default ()
        Of the training of the autoencoder, where none is given.
    random_state : int, RandomState or None, default None

    Attributes
    ----------
    held_out_ : dict of str to float
        ``rmse`` and ``r2`` of labelled rows, each predicted without its own label.
    label_ : str or None
        The column that labels were taken from, which is left out of X.
    n_features_in_ : int
    feature_names_in_ : array of str

    Examples
    --------
    >>> import attar
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> y = X[:, 0] - 2 * X[:, 1]
    >>> few = np.where(np.arange(300) % 10 == 0, y, np.nan)
    >>> regressor = attar.Regressor(epochs=5, random_state=0).fit(X, few)
    >>> regressor.score(X, y) > 0.95
    True

    References
    ----------
    As of :class:`attar.Classifier`.
    """

    task = "numbers"
    head = NumberHead

    def predict(self, X: Data | Source) -> Array:
        """Return the expected number of each row (n,), in the unit of the labels.

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        return self._fitted._numbers.named(self._scores(X)[:, 0])

    def _targets(self, y: ArrayLike) -> tuple[Mask, Array]:
        self._numbers, known, numbers = Numbers.of(y)
        return known, numbers[:, None]

    def _measured(self, scores: Array, targets: Array) -> dict[str, float]:
        error = float(((scores - targets) ** 2).mean())
        # Targets are in units of their standard deviation.
        return {"rmse": self._numbers.scale * error**0.5, "r2": 1 - error}

    def _described(self) -> tuple[dict[str, Tensor], Json]:
        tensors, description = super()._described()
        return tensors, description | {"numbers": asdict(self._numbers)}

    def _restore(self, tensors: Mapping[str, Tensor], description: Json) -> None:
        super()._restore(tensors, description)
        self._numbers = Numbers(**description["numbers"])


def _check_rows(rows: int, labels: int) -> None:
    if rows != labels:
        raise DataError(
            f"y has {labels:,} labels, and X has {rows:,} rows (of series and sound, windows): "
            "give a label for each, and mark unknown ones."
        )
