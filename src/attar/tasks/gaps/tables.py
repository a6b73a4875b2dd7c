"""TableImputation: rows of a table, filled by what others say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attar import storage
from attar.data.kind import Json, Rows, warn_of_unused
from attar.data.kinds import form_of, restored
from attar.data.margins import Margins
from attar.data.preparation import DensePreparation
from attar.data.scaling import Scaler
from attar.data.table import Table
from attar.errors import DataError
from attar.plan import check_rows
from attar.tasks.gaps.cells import gaps_of, mended, used
from attar.tasks.gaps.completion import Completion
from attar.tasks.gaps.imputation import (
    Array,
    ImputationModel,
    ImputationSettings,
    error_table,
)
from attar.tasks.gaps.spaces import Space


@dataclass(frozen=True)
class TableImputation(ImputationModel):
    """What fills rows of a table.

    Attributes
    ----------
    completion : Completion
    margins : Margins
        The distributions of the columns.
    missing : array (columns,)
        The shares of cells that were missing.
    """

    completion: Completion
    margins: Margins
    missing: Array

    name = "table"

    @classmethod
    def fit(cls, data: Any, settings: ImputationSettings) -> Self:
        """Return what fills rows like these."""
        table, summary = form_of(data, settings.columns)
        assert isinstance(table, Table)
        warn_of_unused(table)
        check_rows(summary.rows, table.shape)
        space = Space.fit(table, summary)
        values = space.values(summary.sample)
        missing = values[:, [at.start for at in space.segments]].isnan().double().mean(0)
        completion = Completion.fit(
            space, values, settings.recipe, settings.seed, settings.mask_model
        )
        return cls(completion, Margins.of(summary.sample, table), missing.numpy())

    @property
    def kind(self) -> Table:
        """The form of the table."""
        return self.completion.space.table

    @property
    def columns(self) -> Sequence[object] | None:
        """The names of a frame's columns."""
        return self.kind.names

    @property
    def rows(self) -> int:
        """The rows that are looked up in."""
        return len(self.completion.keys.rows)

    @property
    def errors(self) -> pd.DataFrame:
        """Of numbers the root mean squared error, of levels the share of wrong ones."""
        completion = self.completion
        both = (completion.scores.double().numpy(), completion.baseline.double().numpy())
        numeric = np.array(completion.space.numeric)
        error, baseline = (np.where(numeric, score, 1 - score) for score in both)
        measure = np.where(numeric, "RMSE", "error rate")
        names = [name for name, _ in self.kind.parts]
        return error_table(names, measure, error, baseline, self.missing)

    def filled(self, piece: Any) -> tuple[Any, int]:
        """Return rows filled by expected numbers and the most likely levels."""
        rows = self._rows(piece)
        missing = gaps_of(self.kind, rows)
        values = self.completion(self.completion.space.values(rows))[0]
        return mended(self.kind, piece, self._raw(values), missing), int(missing.sum())

    def drawn(self, piece: Any, number: int, seed: int) -> list[Any]:
        """Return rows filled by draws, several times."""
        rows = self._rows(piece)
        missing, values = gaps_of(self.kind, rows), self.completion.space.values(rows)
        drawn = self.completion.drawn(values, number, seed)
        return [mended(self.kind, piece, self._raw(one), missing) for one in drawn]

    def uncertainty(self, piece: Any, level: float) -> pd.DataFrame:
        """Return the cells that are filled, and how sure these are."""
        completion, table, rows = self.completion, self.kind, self._rows(piece)
        space, missing = completion.space, gaps_of(table, rows)
        values, deviations = completion(space.values(rows))
        ends = values, *completion.limits(values, deviations, level)
        frames = [table.restore(self._raw(end)) for end in ends]
        parts = []
        for j, ((name, at), numeric) in enumerate(zip(table.parts, space.numeric, strict=True)):
            ordered = numeric and not space.texts[j]
            own = np.flatnonzero(missing[:, j])
            value, low, high = (_column(table, frame, name, at.start)[own] for frame in frames)
            found = values[own][:, at].double().numpy()
            sure = np.maximum(found, 1 - found)[:, 0] if found.shape[1] == 1 else found.max(1)
            part = pd.DataFrame({"row": own, "column": name})
            part["value"] = value.astype(object)
            part["low"] = low.astype(object) if ordered else None
            part["high"] = high.astype(object) if ordered else None
            part["probability"] = np.nan if space.texts[j] else level if numeric else sure
            parts.append(part)
        return pd.concat(parts).sort_values("row", kind="stable", ignore_index=True)

    def size(self, piece: Any) -> int:
        """Return how many rows there are."""
        return len(self._rows(piece))

    def tensors(self) -> dict[str, Tensor]:
        """Return those of the completion, and the margins, the scaler and the missing shares."""
        return {
            **storage.nested("completion", self.completion.tensors()),
            **storage.nested("margins", self.margins.tensors()),
            **storage.nested("scaler", self.completion.space.preparation.scaler.state_dict()),
            **storage.nested("kind", self.kind.tensors()),
            "missing": torch.from_numpy(self.missing),
        }

    def to_json(self) -> Json:
        """Return the form of the table, and what the autoencoder is."""
        return {"columns": self.kind.to_json(), "completion": self.completion.to_json()}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""
        form = Table.from_json(description["columns"])
        table = form.with_tensors(storage.unnested("kind", tensors))
        assert isinstance(table, Table)
        prepared = restored(table, Scaler.restored(storage.unnested("scaler", tensors)))
        assert isinstance(prepared, DensePreparation)
        own = storage.unnested("completion", tensors)
        space = Space.restored(prepared, table, storage.unnested("space", own))
        return cls(
            Completion.restored(space, own, description["completion"]),
            Margins.restored(storage.unnested("margins", tensors), table),
            tensors["missing"].numpy(),
        )

    def _rows(self, piece: Any) -> Rows:
        rows = self.kind.rows(piece)
        if not len(rows):
            raise DataError("Found array with 0 sample(s): give at least one row.")
        return rows

    def _raw(self, values: Tensor) -> Rows:
        return self.margins.possible(self.completion.space.raw(values))


def _column(table: Table, frame: Any, name: str, place: int) -> Rows:
    """Return a column of a restored table."""
    if isinstance(frame, np.ndarray):
        return np.asarray(frame[:, used(table)[place][0]])
    return np.asarray(frame[name].to_numpy())
