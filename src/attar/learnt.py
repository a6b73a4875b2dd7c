"""What a fitted estimator knows, and how data comes to its model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from attar.applied import Applied
from attar.choices import Choice
from attar.data.infinite import without_infinities
from attar.data.kind import Kind, Rows
from attar.data.kinds import kind_of
from attar.data.source import read
from attar.data.table import Table
from attar.errors import DataError, SettingError
from attar.fitted import Fitted
from attar.model import Model
from attar.parameters import Parameters
from attar.records import Epoch


class Learnt(Parameters):
    """An estimator that holds a fitted model."""

    fitted_: Fitted
    infinite_as_missing: bool

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

    def _worked(self, X: Any, condition: Any) -> Iterator[tuple[Applied, Rows, Any]]:
        """Yield data in pieces: the model told of its condition, raw rows, and what lies aside."""
        kind = self.fitted.kind
        data = self._read(X, part="test", kind=kind)
        if not kind.accepts(kind_of(data)):
            raise DataError(
                f"The model was fitted on {kind.name}, but X is {kind_of(data).name} of shape "
                f"{np.shape(data)}."
            )
        for piece in kind.pieces(data):
            rows = kind.rows(piece)
            if not rows.shape[0]:
                raise DataError("Found array with 0 sample(s): there is nothing to do.")
            yield self.told(condition, rows.shape[0]), rows, kind.aside(piece)

    def told(self, condition: Any, rows: int) -> Applied:
        """Return the model with its preparation, told of the condition of so many rows.

        Raises
        ------
        SettingError
            If a condition is missing, or the model knows none.
        DataError
            If it is of another form or number of rows.
        """
        fitted = self.fitted
        if fitted.conditioning is not None and condition is None:
            raise SettingError(
                "The model was fitted with a condition: give condition=..., a label for each row "
                "or one for all."
            )
        if fitted.conditioning is None and condition is not None:
            raise SettingError(
                "The model was fitted without a condition: fit with fit(X, condition=...) first."
            )
        if fitted.conditioning is None:
            return fitted.applied
        return replace(fitted.applied, told=fitted.conditioning.prepare(condition, rows))

    def _learnt(self) -> Fitted:
        if "fitted_" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} is not fitted yet.")
        return self.fitted_
