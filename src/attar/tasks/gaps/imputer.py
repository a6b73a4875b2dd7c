"""Imputer: the missing cells of a table, filled by what the others say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from attar import storage
from attar.checks import positive_integer
from attar.data.kind import Rows, warn_of_unused
from attar.data.kinds import form_of, kind_of, restored
from attar.data.margins import Margins
from attar.data.preparation import DensePreparation
from attar.data.scaling import Scaler
from attar.data.source import Data, Source, read, without_infinities
from attar.data.table import Table
from attar.errors import DataError, SettingError, warn
from attar.isolation import default_settings, one_thread
from attar.parts import Part
from attar.plan import check_rows
from attar.recipe import Recipe
from attar.recipes import resolve
from attar.tasks.gaps.cells import gaps_of, mended, used
from attar.tasks.gaps.completion import Completion
from attar.tasks.gaps.pooling import Pooled, pool
from attar.tasks.gaps.spaces import Space
from attar.training.runtime import memory_kept

Array = NDArray[np.float64]


class Imputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Fills the missing cells of tables with columns of any type; known cells stay as they are.

    A cell is looked up in rows that are alike, where each column has a measure of its own of what
    alike is: a mean of their values with learned weights. What linear regressions and an
    autoencoder expect of the cell is added, and taken off these rows' values, in shares that are
    learned for each column too. All is learned from known cells that are hidden as other rows lack
    them, and then is applied again to rows that it filled, until they settle. It is fitted on
    incomplete rows, and fills new ones.

    Parameters
    ----------
    recipe : str, Recipe or None, default "denoising-masking"
        Of the autoencoder, which takes part from 1,000 rows on. None: without one.
    columns : mapping, default None
        What columns of a table are; as of :class:`attar.Autoencoder`.
    infinite_as_missing : bool, default False
    random_state : int, RandomState or None, default None

    Attributes
    ----------
    errors_ : DataFrame
        For each column the ``error`` of hidden cells: of numbers the root mean squared one in
        standard deviations, of levels the share of wrong ones; and the ``share`` of cells that were
        missing in X.
    n_features_in_ : int
    feature_names_in_ : array of str

    Examples
    --------
    >>> import attar
    >>> import numpy as np
    >>> x = np.linspace(0, 1, 200)
    >>> X = np.column_stack([x, x**2])
    >>> X[[20, 100], [1, 0]] = np.nan
    >>> filled = attar.Imputer(random_state=0).fit_transform(X)
    >>> bool(abs(filled[20, 1] - x[20] ** 2) < 0.02), bool(abs(filled[100, 0] - x[100]) < 0.02)
    (True, True)

    References
    ----------
    Troyanskaya et al., "Missing value estimation methods for DNA microarrays", Bioinformatics 17,
    2001. Vinyals et al., "Matching networks for one shot learning", NeurIPS 2016. Rubin, "Multiple
    imputation for nonresponse in surveys", Wiley 1987.
    """

    def __init__(
        self,
        recipe: str | Recipe | None = "denoising-masking",
        *,
        columns: Mapping[str, str] | None = None,
        infinite_as_missing: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.recipe, self.columns = recipe, columns
        self.infinite_as_missing, self.random_state = infinite_as_missing, random_state

    @default_settings()
    @one_thread()
    @memory_kept()
    def fit(self, X: Data, y: object = None) -> Self:
        """Learn from the known cells of X.

        Parameters
        ----------
        X : table, array, path, or name of a data set
            Of more than 20,000 rows, a random sample is used.
        y : ignored

        Raises
        ------
        DataError
            If X is no table.
        """
        if self.recipe is not None:
            resolve(self.recipe)
        data: Any = read(X, "train").data
        data = without_infinities(data) if self.infinite_as_missing else data
        kind, summary = form_of(data, self.columns)
        if not isinstance(kind, Table):
            raise DataError(
                f"Imputer takes tables, not {kind.name} data: give a table or an array of rows."
            )
        warn_of_unused(kind)
        check_rows(summary.rows, kind.shape)
        space = Space.fit(kind, summary)
        values = space.values(summary.sample)
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.margins_ = Margins.of(summary.sample, kind)
        self.completion_ = Completion.fit(space, values, self.recipe, self._seed)
        missing = values[:, [at.start for at in space.segments]].isnan().double().mean(0)
        self.missing_: Array = missing.numpy()
        return self

    @default_settings()
    @one_thread()
    @memory_kept()
    def transform(self, X: Data | Source) -> Any:
        """Return X with its missing cells filled by what is expected, or the most likely level.

        Known cells are those of X, bit for bit; columns that have no value in the fit, and those
        that are not used, stay as they are.

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        fitted, found, gaps = self._fitted, [], 0
        for piece in self.pieces(X):
            rows = self._rows(piece)
            missing = gaps_of(fitted._table, rows)
            gaps += missing.sum()
            found.append(mended(fitted._table, piece, fitted._filled(rows), missing))
        if not gaps:
            warn("X has no missing cell that was learned: a copy is returned.")
        return fitted._joined(found)

    @default_settings()
    @one_thread()
    @memory_kept()
    def impute_many(self, X: Data, n_imputations: int = 5) -> list[Any]:
        """Return X several times, its missing cells filled by draws.

        Draws differ as much as the missing values are uncertain, and columns of a row are drawn
        together. Analyse each, and :meth:`pool` the estimates.

        Parameters
        ----------
        X : table, array, path, or name of a data set
        n_imputations : int

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        number, fitted = positive_integer("n_imputations", n_imputations), self._fitted
        space, found = fitted.completion_.space, []
        for i, piece in enumerate(self.pieces(X)):
            rows = self._rows(piece)
            missing, values = gaps_of(fitted._table, rows), space.values(rows)
            drawn = fitted.completion_.drawn(values, number, fitted._seed + i)
            raw = [fitted.margins_.possible(space.raw(one)) for one in drawn]
            found.append([mended(fitted._table, piece, one, missing) for one in raw])
        return [fitted._joined(list(parts)) for parts in zip(*found, strict=True)]

    @default_settings()
    @one_thread()
    @memory_kept()
    def uncertainty(self, X: Data | Source, level: float = 0.9) -> pd.DataFrame:
        """Return the missing cells of X, and how sure what they are filled with is.

        Parameters
        ----------
        X : table, array, path, or name of a data set
        level : float
            The probability of intervals, calibrated on hidden cells.

        Returns
        -------
        DataFrame
            ``row``, ``column``, ``value``, ``low`` and ``high``, the ends of an interval of
            numbers, and ``probability``: of the interval, or of the level.
        """
        if not 0 < level < 1:
            raise SettingError(f"The level of an interval is in (0, 1), not {level}.")
        parts, start = [], 0
        for piece in self.pieces(X):
            rows = self._rows(piece)
            parts.append(self._uncertain(rows, level, start))
            start += len(rows)
        return pd.concat(parts, ignore_index=True)

    @staticmethod
    def pool(estimates: Sequence[ArrayLike], variances: Sequence[ArrayLike]) -> Pooled:
        """Return estimates of several imputations as one, by Rubin's rules.

        Parameters
        ----------
        estimates, variances : sequence of array
            One for each imputation: coefficients, say, and their squared standard errors.
        """
        return pool(estimates, variances)

    def save(self, path: str | Path) -> None:
        """Write the imputer to a file, from which :meth:`load` restores it.

        Raises
        ------
        FileError
            If the place cannot be written to.
        """
        fitted, settings = self._fitted, self.get_params(deep=False)
        del settings["random_state"]
        if isinstance(self.recipe, Recipe):
            settings["recipe"] = self.recipe.to_json()
        table = fitted._table
        scaler = fitted.completion_.space.preparation.scaler
        tensors = {
            **storage.nested("completion", fitted.completion_.tensors()),
            **storage.nested("margins", fitted.margins_.tensors()),
            **storage.nested("scaler", scaler.state_dict()),
            "missing": torch.from_numpy(fitted.missing_),
        }
        description = {
            "task": "gaps",
            "settings": settings,
            "form": {"name": table.name, "columns": table.to_json()},
            "completion": fitted.completion_.to_json(),
            "rows": len(fitted.completion_.keys.rows),
            "seed": fitted._seed,
        }
        storage.write_model(path, tensors, description)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the imputer that :meth:`save` wrote, which fills alike.

        Raises
        ------
        FileError
            If there is no such file.
        ModelFileError
            If it is damaged, or holds no imputer.
        """
        tensors, description = storage.read_model(path)
        storage.check_task(path, description, "gaps")
        with storage.restoring(path):
            settings = description["settings"]
            imputer = cls(**{**settings, "recipe": Part.parsed(settings["recipe"])})
            table = Table.from_json(description["form"]["columns"])
            prepared = restored(table, Scaler.restored(storage.unnested("scaler", tensors)))
            assert isinstance(prepared, DensePreparation)
            assert isinstance(table, Table)
            own = storage.unnested("completion", tensors)
            space = Space.restored(prepared, table, storage.unnested("space", own))
            imputer.completion_ = Completion.restored(space, own, description["completion"])
            imputer.margins_ = Margins.restored(storage.unnested("margins", tensors), table)
            imputer.missing_ = tensors["missing"].numpy()
            imputer._seed = int(description["seed"])
        return imputer

    def pieces(self, X: Data | Source) -> Iterator[Any]:
        """Yield X as the user has it, from wherever it is, in pieces that fit into memory."""
        table = self._fitted._table
        data: Any = read(X, "test", kind=table).data
        if not table.accepts(kind_of(data)):
            raise DataError(table.refusal(np.shape(data), kind_of(data)))
        yield from table.pieces(without_infinities(data) if self.infinite_as_missing else data)

    @property
    def errors_(self) -> pd.DataFrame:
        """The error of hidden cells, and the share of missing ones, column by column."""
        completion = self._attributes.completion_
        scores = completion.scores.double().numpy()
        numeric = np.array(completion.space.numeric)
        names = [name for name, _ in completion.space.table.parts]
        error = np.where(numeric, scores, 1 - scores)
        return pd.DataFrame({"column": names, "error": error, "share": self.missing_})

    @property
    def n_features_in_(self) -> int:
        """How many columns there are."""
        return self._attributes._table.dimensions

    @property
    def feature_names_in_(self) -> NDArray[np.object_]:
        """The names of a table's columns."""
        names = self._attributes._table.names
        if names is None:
            raise AttributeError("The rows have no column names.")
        return np.array(names, object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _rows(self, piece: Any) -> Rows:
        rows = self._fitted._table.rows(piece)
        if not len(rows):
            raise DataError("Found array with 0 sample(s): give at least one row.")
        return rows

    def _filled(self, rows: Rows) -> Rows:
        """Return raw rows without gaps."""
        space = self.completion_.space
        return self.margins_.possible(space.raw(self.completion_(space.values(rows))[0]))

    def _uncertain(self, rows: Rows, level: float, start: int) -> pd.DataFrame:
        completion, table = self._fitted.completion_, self._fitted._table
        space, missing = completion.space, gaps_of(table, rows)
        values, deviations = completion(space.values(rows))
        ends = values, *completion.limits(values, deviations, level)
        frames = [table.restore(self.margins_.possible(space.raw(end))) for end in ends]
        parts = []
        for j, ((name, at), numeric) in enumerate(zip(table.parts, space.numeric, strict=True)):
            own = np.flatnonzero(missing[:, j])
            value, low, high = (_column(table, frame, name, at.start)[own] for frame in frames)
            found = values[own][:, at].double().numpy()
            sure = np.maximum(found, 1 - found)[:, 0] if found.shape[1] == 1 else found.max(1)
            part = pd.DataFrame({"row": own + start, "column": name})
            part["value"] = value.astype(object)
            part["low"] = low.astype(object) if numeric else None
            part["high"] = high.astype(object) if numeric else None
            part["probability"] = level if numeric else sure
            parts.append(part)
        return pd.concat(parts).sort_values("row", kind="stable", ignore_index=True)

    def _joined(self, parts: list[Any]) -> Any:
        return parts[0] if len(parts) == 1 else self._table.joined(parts)

    @property
    def _table(self) -> Table:
        return self.completion_.space.table

    @property
    def _fitted(self) -> Self:
        check_is_fitted(self, "completion_")
        return self

    @property
    def _attributes(self) -> Self:
        """The fitted imputer, for attributes that must not exist before (scikit-learn's rule)."""
        if "completion_" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} is not fitted yet.")
        return self


def _column(table: Table, frame: Any, name: str, place: int) -> Rows:
    """Return a column of a restored table."""
    if isinstance(frame, np.ndarray):
        return np.asarray(frame[:, used(table)[place][0]])
    return np.asarray(frame[name].to_numpy())
