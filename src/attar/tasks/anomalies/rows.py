"""RowScorer: rows of a table and images, each compared with those of the fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from attar import storage
from attar.data.images import Images
from attar.data.kind import Json, Kind, Rows, warn_of_unused
from attar.data.kinds import form_of, kind_from_json, restored
from attar.data.preparation import DensePreparation
from attar.data.scaling import Scaler
from attar.data.source import Data, Source
from attar.data.table import MixedTable, Table
from attar.errors import DataError, warn
from attar.plan import check_rows
from attar.tasks.anomalies.densities import Outlyingness
from attar.tasks.anomalies.features import Features
from attar.tasks.anomalies.labels import warn_of_labels
from attar.tasks.anomalies.members import Members
from attar.tasks.anomalies.regions import Regions
from attar.tasks.anomalies.scorer import AnomalyMaps, Array, Scorer, Settings, Test, same
from attar.tasks.estimator import pieces_of

# At most so many rows are looked up and described by mixtures.
ROWS = 10_000

# Fewer rows say nothing of what is usual.
FEWEST = 10

# An interval of what was expected holds so much of its probability.
INTERVAL = 0.9

# So many images are explained at once.
AT_ONCE = 1 << 12


@dataclass(frozen=True)
class RowScorer(Scorer):
    """What is usual in rows of a table or images.

    Attributes
    ----------
    features : Features
    outlyingness : Outlyingness
    seen : int
        How many rows it was fitted on, or updated with.
    members : Members or None
        Autoencoders, where they were asked for.
    regions : Regions or None
        Of images.
    """

    features: Features
    outlyingness: Outlyingness
    seen: int
    members: Members | None = None
    regions: Regions | None = None

    name = "rows"

    @classmethod
    def fit(cls, data: Any, settings: Settings) -> Self:
        """Return what is usual in rows, of which at most 10,000 are used."""
        kind, summary = form_of(data, settings.columns)
        warn_of_unused(kind)
        check_rows(summary.rows, kind.shape)
        if summary.rows < FEWEST:
            raise DataError(
                f"X has {summary.rows} sample(s), and AnomalyDetector needs {FEWEST} at least to "
                "learn what is usual."
            )
        chosen = np.random.default_rng(settings.seed).permutation(len(summary.sample))[:ROWS]
        features = Features.fit(kind, summary)
        raw = summary.sample[np.sort(chosen)]
        rows = features.of(raw)
        if (rows == rows[0]).all():
            raise DataError("All rows of X are alike: there is nothing to tell them apart by.")
        if isinstance(kind, Table):
            warn_of_labels(kind, raw, rows)
        outlyingness = Outlyingness.fit(rows, features.one_unit, settings.seed)
        found = cls(features, outlyingness, summary.rows)
        if isinstance(kind, Images):
            usual = raw[found.outlyingness.levels[-1].kept]
            found = replace(found, regions=Regions.fit(features.filled(usual)))
        if settings.recipe is None:
            return found
        members = Members.fit(settings, lambda at: kind.restore(raw[at]), found.own)
        return replace(found, members=members)

    def updated(self, pieces: Iterator[Any], seed: int) -> Self:
        """Return what is usual in a sample of which each new row takes the place of any other."""
        rng = np.random.default_rng((seed, self.seen))
        rows, seen = self.outlyingness.rows, self.seen
        for piece in pieces:
            self.kind.changed(piece)
            new = self.features.of(self._rows(piece))
            seen += len(new)
            room = max(0, ROWS - len(rows))
            rows, new = np.concatenate([rows, new[:room]]), new[room:]
            rows[rng.integers(0, len(rows), len(new))] = new
        outlyingness = Outlyingness.fit(rows, self.features.one_unit, seed)
        return replace(self, outlyingness=outlyingness, seen=seen)

    @property
    def own(self) -> Array:  # type: ignore[override]
        """How odd the rows of the fit are."""
        own = self.outlyingness.own
        return own if self.members is None else self.members.own(own)

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        """The form of the rows."""
        return self.features.kind

    @property
    def dimensions(self) -> int:
        """Columns of a table, else cells."""
        return self.kind.dimensions

    @property
    def columns(self) -> list[str] | None:
        """The columns of a table that has names."""
        names: list[str] | None = getattr(self.kind, "names", None)
        return names

    def pieces(self, X: Data | Source, infinite_as_missing: bool) -> Iterator[Any]:
        """Return tables or images that fit into memory."""
        return pieces_of(X, self.kind, infinite_as_missing)

    def score(self, piece: Any) -> Array:
        """Return the outlyingness of rows; more of those that change a constant column."""
        rows = self._rows(piece)
        odd = self.outlyingness.score(self.features.of(rows))
        if self.members is not None:  # which see used columns only, as in the fit
            odd = self.members.score(odd, self.kind.restore(rows))
        changed = self.kind.changed(piece)
        # For a changed constant column, the smallest p-value.
        return odd if changed is None else odd + changed * np.log(len(self.own) + 1)

    def explain(self, piece: Any, start: int, most: int) -> pd.DataFrame:
        """Return the columns, or regions, that the others of each row make least likely."""
        rows = self._rows(piece)
        if self.regions is None:
            return self._columns(piece, rows, start, most)
        parts = [
            self._regions(self.regions, rows[i : i + AT_ONCE], start + i, most)
            for i in range(0, len(rows), AT_ONCE)
        ]
        return pd.concat(parts, ignore_index=True)

    def _columns(self, piece: Any, rows: Rows, start: int, most: int) -> pd.DataFrame:
        features, columns = self.features, self.features.columns
        found = self.outlyingness.explain(features.of(rows), [at for _, at in columns], most)
        reach = stats.norm.ppf((1 + INTERVAL) / 2) * found.deviation
        ends = found.expected, found.expected - reach, found.expected + reach
        kind = features.kind
        own = kind.ordered(piece) if isinstance(kind, MixedTable) else kind.restore(rows)
        raw = (features.preparation.raw(torch.from_numpy(part)) for part in ends)
        names = np.array([name for name, _ in columns], object)
        places, width = found.columns, found.columns.shape[1]
        table: dict[str, Any] = {
            "row": np.repeat(np.arange(start, start + len(rows)), width),
            "column": names[places].ravel(),
            "nats": found.nats.ravel(),
        }
        shown = [own, *(kind.restore(part) for part in raw)]
        for title, part in zip(("value", "expected", "low", "high"), shown, strict=True):
            table[title] = _cells(part, names, places)
        return pd.DataFrame(table)

    def _regions(self, regions: Regions, rows: Rows, start: int, most: int) -> pd.DataFrame:
        found = regions.least_likely(self.features.filled(rows), most)
        reach = stats.norm.ppf((1 + INTERVAL) / 2) * found.deviation
        ends = found.value, found.expected, found.expected - reach, found.expected + reach
        table: dict[str, Any] = {
            "row": np.repeat(np.arange(start, start + len(rows)), found.y.shape[1]),
            "y": found.y.ravel(),
            "x": found.x.ravel(),
            "nats": found.nats.ravel(),
        }
        for title, part in zip(("value", "expected", "low", "high"), ends, strict=True):
            prepared = torch.from_numpy(part.reshape(-1, part.shape[2], 1, 1))
            table[title] = self.features.preparation.raw(prepared).mean((1, 2, 3))
        return pd.DataFrame(table)

    def maps(self, piece: Any) -> AnomalyMaps:
        """Return where images are odd."""
        if self.regions is None:
            return super().maps(piece)
        nats, expected = self.regions.maps(self.features.filled(self._rows(piece)))
        raw = self.features.preparation.raw(torch.from_numpy(expected))
        return AnomalyMaps(nats, self.kind.restore(raw))

    def tests(self, pieces: Iterator[Any]) -> tuple[dict[str, Test], int]:
        """Return Kolmogorov-Smirnov tests of the scores and of each feature."""
        rows = np.concatenate([self.features.of(self._rows(piece)) for piece in pieces])
        before = self.outlyingness.rows
        tests = {"(scores)": same(self.outlyingness.own, self.outlyingness.score(rows))}
        for name, at in self.features.columns:
            pairs = zip(before[:, at].T, rows[:, at].T, strict=True)
            tests[name] = min((same(*pair) for pair in pairs), key=lambda test: test.pvalue)
        return tests, rows.shape[1]

    def tensors(self) -> dict[str, Tensor]:
        """Return the scaler, the outlyingness, and what stands for missing values."""
        regions = {} if self.regions is None else self.regions.tensors()
        return {
            **storage.nested("regions", regions),
            **storage.nested("kind", self.features.kind.tensors()),
            **storage.nested("scaler", self.features.preparation.scaler.state_dict()),
            **storage.nested("outlyingness", self.outlyingness.tensors()),
            "fill": torch.from_numpy(self.features.fill),
            **({} if self.members is None else storage.nested("members", self.members.tensors())),
        }

    def to_json(self) -> Json:
        """Return the form of the data."""
        kind = self.kind
        members = None if self.members is None else self.members.to_json()
        form = {"kind": kind.name, "form": kind.to_json()}
        return {**form, "seen": self.seen, "members": members}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""
        form = {"name": description["kind"], **description["form"]}
        kind = kind_from_json(form, storage.unnested("kind", tensors))
        prepared = restored(kind, Scaler.restored(storage.unnested("scaler", tensors)))
        assert isinstance(prepared, DensePreparation)
        outlyingness = Outlyingness.restored(storage.unnested("outlyingness", tensors))
        features = Features(prepared, tensors["fill"].numpy())
        regions = storage.unnested("regions", tensors)
        found = cls(
            features,
            outlyingness,
            description["seen"],
            regions=Regions.restored(regions) if regions else None,
        )
        if description["members"] is None:
            return found
        own = storage.unnested("members", tensors)
        return replace(found, members=Members.restored(own, description["members"]))

    def _rows(self, piece: Any) -> Rows:
        """Return raw rows, with a warning of those that have no known cell."""
        rows = self.kind.rows(piece)
        if not len(rows):
            raise DataError("Found array with 0 sample(s): give at least one row.")
        empty = np.isnan(rows.reshape(len(rows), -1)).all(1).sum() if rows.size else 0
        if empty:
            warn(
                f"{empty:,} of {len(rows):,} rows have no known cell, which makes them as "
                "usual as can be: leave them out."
            )
        return rows


def _cells(frame: Any, names: Rows, order: NDArray[np.intp]) -> list[Any]:
    """Return some cells of each row of a table."""
    if isinstance(frame, np.ndarray):
        places = [int(str(name)[1:]) for name in names]
        return [frame[i, places[c]] for i, row in enumerate(order) for c in row]
    columns = [frame[name].to_numpy() for name in names]
    return [columns[c][i] for i, row in enumerate(order) for c in row]
