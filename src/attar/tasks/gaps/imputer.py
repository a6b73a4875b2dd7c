"""Imputer: the missing cells of tables, series and pictures, filled by what the others say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from torch import Tensor

from attar.checks import positive_integer
from attar.data.images import Images
from attar.data.kind import Json
from attar.data.kinds import kind_of
from attar.data.series import Windows
from attar.data.source import Data, Source, read, without_infinities
from attar.data.table import Table
from attar.errors import DataError, SettingError, warn
from attar.isolation import default_settings, one_thread
from attar.recipe import Recipe
from attar.recipes import resolve
from attar.tasks.estimator import TaskEstimator, pieces_of
from attar.tasks.gaps.imputation import ImputationModel, ImputationSettings
from attar.tasks.gaps.pictures import PictureImputation
from attar.tasks.gaps.pooling import Pooled, pool
from attar.tasks.gaps.series import SeriesImputation
from attar.tasks.gaps.tables import TableImputation
from attar.training.runtime import memory_kept

OF_KIND: dict[str, type[ImputationModel]] = {
    Table.name: TableImputation,
    Images.name: PictureImputation,
    Windows.name: SeriesImputation,
}


class Imputer(OneToOneFeatureMixin, TransformerMixin, TaskEstimator):
    """Fills the missing cells of tables, series and images; known cells stay as they are.

    A cell of a table is imputed by kernel regression over training rows, with a metric that is
    learned for each column, on the residuals of linear regressions and an autoencoder, whose mixing
    weights are learned for each column too. All is trained on known cells that are masked with the
    pattern of other rows, and is applied to its own imputations again, three times. It is fitted on
    incomplete rows, and fills new ones.

    Series and pictures are Gaussian: missing cells have their conditional mean given the known
    ones, of a stationary process of all channels, or around the mean of pictures that are alike.

    Parameters
    ----------
    recipe : str, Recipe or None, default "denoising-masking"
        Of the autoencoder, which takes part from 1,000 rows of a table on. None: without one.
    columns : mapping, default None
        What columns of a table are; as of :class:`attar.Autoencoder`.
    infinite_as_missing : bool, default False
    mask_model : bool, default False
        Whether cells of a table may be missing because of their value: the log-odds that one is
        missing are then linear in it (self-masking), or differ between levels. It is not used for
        columns whose gaps a logistic regression on the other columns explains better. These cannot
        be told apart if there is only one other column: then self-masking is assumed.
    random_state : int, RandomState or None, default None

    Attributes
    ----------
    errors_ : DataFrame
        For each column the ``measure`` ("RMSE" in standard deviations, or "error rate" of levels),
        the ``error`` of held-out cells, that of the mean or the most frequent level as the
        ``baseline``, and the ``share`` of cells that were missing in X.
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
    imputation for nonresponse in surveys", Wiley 1987. Little and Rubin, "Statistical analysis with
    missing data", Wiley 2002. Kim and Yu, "A semiparametric estimation of mean functionals with
    nonignorable missing data", JASA 2011.
    """

    task = "gaps"

    def __init__(
        self,
        recipe: str | Recipe | None = "denoising-masking",
        *,
        columns: Mapping[str, str] | None = None,
        infinite_as_missing: bool = False,
        mask_model: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.recipe, self.columns = recipe, columns
        self.infinite_as_missing, self.mask_model = infinite_as_missing, mask_model
        self.random_state = random_state

    @default_settings()
    @one_thread()
    @memory_kept()
    def fit(self, X: Data, y: object = None) -> Self:
        """Learn from the known cells of X.

        Parameters
        ----------
        X : table, Series, array, path, or name of a data set
            Of more than 20,000 rows, or 10,000 pictures, a random sample is used.
        y : ignored

        Raises
        ------
        DataError
            If X is sparse, too short, or holds pictures that are too large.
        """
        if self.recipe is not None:
            resolve(self.recipe)
        data: Any = read(X, "train").data
        data = without_infinities(data) if self.infinite_as_missing else data
        kind = kind_of(data).name
        if kind not in OF_KIND:
            raise DataError(
                f"Imputer takes tables, series and images, not {kind} data: give an array."
            )
        self._seed = self._drawn_seed()
        fixed = ImputationSettings(self.columns, self.recipe, self._seed, self.mask_model)
        self.model_: ImputationModel = OF_KIND[kind].fit(data, fixed)
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
        found = [self.model_.filled(piece) for piece in self.pieces(X)]
        if not sum(gaps for _, gaps in found):
            warn("X has no missing cell that was learned: a copy is returned.")
        return self._joined([filled for filled, _ in found])

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
        number = positive_integer("n_imputations", n_imputations)
        found = [
            self.model_.drawn(piece, number, self._seed + i)
            for i, piece in enumerate(self.pieces(X))
        ]
        return [self._joined(list(parts)) for parts in zip(*found, strict=True)]

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
            ``row`` (of series the number of the point), ``column``, ``value``, ``low`` and
            ``high``, the ends of an interval of numbers, and ``probability``: of the interval, or
            of the level.
        """
        if not 0 < level < 1:
            raise SettingError(f"The level of an interval is in (0, 1), not {level}.")
        parts, start = [], 0
        for piece in self.pieces(X):
            part = self.model_.uncertainty(piece, level)
            parts.append(part.assign(row=part["row"] + start))
            start += self.model_.size(piece)
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

    def pieces(self, X: Data | Source) -> Iterator[Any]:
        """Return X as the user has it, from wherever it is, in pieces that fit into memory."""
        return pieces_of(X, self._fitted.model_.kind, self.infinite_as_missing)

    @property
    def errors_(self) -> pd.DataFrame:
        """The error of hidden cells, and the share of missing ones, column by column."""
        return self._attributes.model_.errors

    @property
    def _dimensions(self) -> int:
        return self.model_.dimensions

    @property
    def _columns(self) -> Sequence[object] | None:
        return self.model_.columns

    def _described(self) -> tuple[dict[str, Tensor], Json]:
        form = {"name": self.model_.name, **self.model_.to_json()}
        return self.model_.tensors(), {
            "data": self.model_.name,
            "form": form,
            "rows": self.model_.rows,
            "seed": self._seed,
        }

    def _restore(self, tensors: Mapping[str, Tensor], description: Json) -> None:
        model = {one.name: one for one in OF_KIND.values()}[description["form"]["name"]]
        self.model_ = model.restored(tensors, description["form"])
        self._seed = int(description["seed"])

    def _joined(self, parts: list[Any]) -> Any:
        return parts[0] if len(parts) == 1 else self.model_.kind.joined(parts)
