"""CountScorer: rows of sparse matrices of counts, such as the words of texts, never made dense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse, stats
from torch import Tensor

from attar.data.kind import Json
from attar.data.kinds import form_of
from attar.data.source import Data, Source
from attar.data.sparse import SparseMatrix
from attar.errors import DataError, SettingError
from attar.plan import check_rows
from attar.storage import nested, unnested
from attar.tasks.anomalies.calibration import own_surprise, surprise
from attar.tasks.anomalies.densities import TRIMS
from attar.tasks.anomalies.neighbours import (
    AT_ONCE,
    CosineNeighbours,
    Mask,
    nearest,
    sampled,
)
from attar.tasks.anomalies.rows import FEWEST, INTERVAL, ROWS
from attar.tasks.anomalies.scorer import Array, Scorer, Settings, Test
from attar.tasks.estimator import pieces_of

# A column counts as if it were in so much of a row more; its mean as if in so many rows more.
UNSEEN, SHRINKAGE = 0.05, 5

# The weights of neighbours, cells and size.
WEIGHTS = (1.0, 1.0, 0.5)

# Of so many columns is said how they moved.
MOVED = 100


@dataclass(frozen=True)
class StoredCells:
    """How likely cells are to be stored, and how large they then are.

    A row with D stored cells has a column j of the share p_j with the probability 1 - exp(-D p_j),
    and a cell of at least x with that of a geometric distribution, q_j^(x - 1) of that.

    Attributes
    ----------
    rows : int array (columns,)
        How many rows have a column.
    geometric : array (columns,)
        q_j.
    """

    rows: Array
    geometric: Array

    @classmethod
    def of(cls, counts: sparse.csr_array) -> Self:
        """Return the cells of usual rows."""
        rows = np.bincount(counts.indices, minlength=counts.shape[1]).astype(np.float64)
        total = np.bincount(counts.indices, counts.data, counts.shape[1])
        usual = total.sum() / max(rows.sum(), 1.0)
        mean = (total + SHRINKAGE * usual) / (rows + SHRINKAGE)
        # Where all are 1, another is not impossible.
        return cls(rows, 1 - 1 / np.maximum(mean, 1.02))

    def present(self, counts: sparse.csr_array, own: NDArray[np.float64] | float = 0.0) -> Array:
        """Return the probability that each stored cell is one.

        Parameters
        ----------
        counts : CSR matrix (n, columns)
        own : array (n,) of 0 or 1
            Whether a row is one of those that were counted: it has no say in its own score.
        """
        stored = np.diff(counts.indptr).astype(np.float64)
        counted = np.repeat(own * np.ones(len(stored)), np.diff(counts.indptr))
        size = np.repeat(stored, np.diff(counts.indptr))
        total = self.rows.sum() - counted * size + UNSEEN * len(self.rows)
        share = (self.rows[counts.indices] - counted + UNSEEN) / total
        return np.asarray(-np.expm1(-size * share))

    def nats(self, counts: sparse.csr_array, own: NDArray[np.float64] | float = 0.0) -> Array:
        """Return -log P(at least this much) of each stored cell."""
        more = np.maximum(counts.data - 1, 0)
        found = -np.log(self.present(counts, own)) - more * np.log(self.geometric[counts.indices])
        return np.asarray(found)


@dataclass(frozen=True)
class CountLevel:
    """What some of the rows, those that are kept, say of others.

    Attributes
    ----------
    kept : array of bool (n,)
    cells : StoredCells
    size : float
        The median logarithm of the sum of a row.
    known : array (3, kept)
        The scores of kept rows, in which none had a say.
    """

    kept: Mask
    cells: StoredCells
    size: float
    known: Array

    def scores(
        self, counts: sparse.csr_array, near: Array, own: NDArray[np.float64] | float = 0.0
    ) -> Array:
        """Return what is calibrated: (3, n).

        Parameters
        ----------
        counts : CSR matrix (n, columns)
        near : array (n,)
            The mean similarity to the nearest rows.
        own : array (n,) of 0 or 1
        """
        stored = np.diff(counts.indptr)
        row = np.repeat(np.arange(len(stored)), stored)
        squares = np.bincount(row, self.cells.nats(counts, own) ** 2, len(stored))
        size = np.abs(sizes(counts) - self.size)
        return np.stack([1 - near, np.sqrt(squares / np.maximum(stored, 1)), size])

    def added(self, scores: Array) -> Array:
        """Return the weighted mean of calibrated scores."""
        pairs = zip(self.known, scores, strict=True)
        return np.average([surprise(own, new) for own, new in pairs], axis=0, weights=WEIGHTS)

    def own(self, scores: Array) -> Array:
        """Return the weighted mean of calibrated scores of rows of the fit, none by itself."""
        found, known = self.added(scores), [own_surprise(each) for each in self.known]
        found[self.kept] = np.average(known, axis=0, weights=WEIGHTS)
        return found

    def tensors(self) -> dict[str, Tensor]:
        """Return what cannot be computed at once."""
        return {"kept": torch.from_numpy(self.kept), "known": torch.from_numpy(self.known)}


@dataclass(frozen=True)
class CountScorer(Scorer):
    """What is usual in rows of counts.

    A score is the mean of -log p over three: one minus the mean cosine similarity to the nearest
    rows, of logarithmic counts that weigh more in rare columns; the root mean square of how
    unlikely a row's cells are; and how unusual their sum is.

    Attributes
    ----------
    kind : SparseMatrix
    counts : CSR matrix (n, columns)
        Those of the fit, in units of the smallest value.
    levels : list of CountLevel
    own : array (n,)
    seen : int
        How many rows it was fitted on, or updated with.

    References
    ----------
    Salton and Buckley, "Term-weighting approaches in automatic text retrieval", Information
    Processing and Management 1988.
    """

    kind: SparseMatrix
    counts: sparse.csr_array
    levels: list[CountLevel]
    own: Array
    seen: int

    name = "counts"

    @classmethod
    def fit(cls, data: Any, settings: Settings) -> Self:
        """Return what is usual in rows, of which at most 10,000 are used."""
        if settings.recipe is not None:
            raise SettingError("recipe is for tables and images, not sparse: leave it out.")
        kind, summary = form_of(data, settings.columns)
        assert isinstance(kind, SparseMatrix)
        if kind.partial:
            raise DataError(
                "AnomalyDetector takes sparse matrices whose absent cells are zero, as of counts, "
                "and not ones where they are missing."
            )
        check_rows(summary.rows, kind.shape)
        if summary.rows < FEWEST:
            raise DataError(
                f"X has {summary.rows} sample(s), and AnomalyDetector needs {FEWEST} at least to "
                "learn what is usual."
            )
        chosen = np.random.default_rng(settings.seed).permutation(summary.sample.shape[0])[:ROWS]
        counts = _counts(kind, summary.sample[np.sort(chosen)])
        if not (abs(counts[1:] - counts[:-1])).nnz:
            raise DataError("All rows of X are alike: there is nothing to tell them apart by.")
        return cls._of(kind, counts, summary.rows)

    @classmethod
    def _of(cls, kind: SparseMatrix, counts: sparse.csr_array, seen: int) -> Self:
        """Return what is usual in a sample of the rows that were seen."""
        n = counts.shape[0]
        bare = cls(kind, counts, [], np.zeros(n), seen)
        levels, own, order = [], [], np.arange(n)
        for trim in TRIMS:
            kept = np.zeros(n, bool)
            kept[order[: max(2, round(n * (1 - trim)))]] = True
            level = _level(counts, kept)
            near = np.concatenate(
                [nearest(part, kept) for part, _ in bare._neighbours.similar(counts, True)]
            )
            scores = level.scores(counts, near, kept.astype(np.float64))
            levels.append(replace(level, known=scores[:, kept]))
            own.append(levels[-1].own(scores))
            order = np.argsort(own[0], kind="stable")
        return cls(kind, counts, levels, np.mean(own, axis=0), seen)

    def updated(self, pieces: Iterator[Any], seed: int) -> Self:
        """Return what is usual in a sample of which each new row takes the place of any other."""
        rng = np.random.default_rng((seed, self.seen))
        counts, added = sampled(self.counts, map(self._counts, pieces), rng)
        return self._of(self.kind, counts, self.seen + added)

    @property
    def dimensions(self) -> int:
        """The number of columns."""
        return self.kind.width

    @property
    def columns(self) -> list[str] | None:
        """None: columns of a matrix have no names."""
        return None

    def pieces(self, X: Data | Source, infinite_as_missing: bool) -> Iterator[Any]:
        """Return matrices."""
        return pieces_of(X, self.kind)

    def score(self, piece: Any) -> Array:
        """Return how odd rows are."""
        counts, found = self._counts(piece), []
        starts = range(0, counts.shape[0], AT_ONCE)
        for start, (similar, same) in zip(starts, self._neighbours.similar(counts), strict=True):
            some, each = counts[start : start + AT_ONCE], []
            for level in self.levels:
                own = np.where(same < 0, 0.0, level.kept[same])
                each.append(level.added(level.scores(some, nearest(similar, level.kept), own)))
            found.append(np.mean(each, axis=0))
        return np.concatenate(found)

    def explain(self, piece: Any, start: int, most: int) -> pd.DataFrame:
        """Return the least likely stored cells of each row; missing where it has fewer."""
        counts, cells = self._counts(piece), self.levels[-1].cells
        nats, present = cells.nats(counts), cells.present(counts)
        stored, n = np.diff(counts.indptr), counts.shape[0]
        row = np.repeat(np.arange(n), stored)
        order = np.lexsort((-nats, row))
        rank = np.arange(len(row)) - np.repeat(counts.indptr[:-1], stored)
        first = order[rank < most]
        column, smallest = counts.indices[first], self.kind.smallest
        geometric = cells.geometric[column]
        # Quantiles of what a row with so many stored cells has there.
        tail = (1 - INTERVAL) / 2
        ends = []
        for outside in (1 - tail, tail):
            with np.errstate(divide="ignore"):
                beyond = np.floor(np.log(outside / present[first]) / np.log(geometric))
            ends.append(np.where(present[first] > outside, 1 + np.maximum(beyond, 0), 0))
        expected = present[first] / (1 - geometric)
        place = row[first] * most + rank[rank < most]
        table = pd.DataFrame({"row": np.repeat(np.arange(start, start + n), most)})
        columns = {
            "nats": surprise(self._least_likely, nats[first]),
            "value": smallest * counts.data[first],
        }
        columns |= {"expected": smallest * expected}
        columns |= {"low": smallest * ends[0], "high": smallest * ends[1]}
        table["column"] = pd.Series(column, place).reindex(table.index).astype("Int64")
        for title, values in columns.items():
            table[title] = pd.Series(values, place).reindex(table.index)
        return table

    def tests(self, pieces: Iterator[Any]) -> tuple[dict[str, Test], int]:
        """Return tests of the scores, the sums, and the shares of rows that have a column.

        Given how many of both have it, the number of new ones is binomial.
        """
        scores, logs, rows = [], [], np.zeros(self.kind.width)
        for piece in pieces:
            counts = self._counts(piece)
            scores.append(self.score(piece))
            logs.append(sizes(counts))
            rows += np.bincount(counts.indices, minlength=self.kind.width)
        new, old = sum(map(len, logs)), len(self.own)
        before = self.levels[0].cells.rows
        spread = stats.binom(before + rows, new / (new + old))
        p = np.minimum(1, 2 * np.minimum(spread.cdf(rows), spread.sf(rows - 1)))
        tests = {}
        pairs = {
            "(scores)": (self.own, np.concatenate(scores)),
            "(sums)": (sizes(self.counts), np.concatenate(logs)),
        }
        for name, pair in pairs.items():
            same = stats.ks_2samp(*pair)
            tests[name] = Test(float(same.statistic), float(same.pvalue))
        shift = np.abs(rows / new - before / old)
        for j in np.argsort(p, kind="stable")[:MOVED]:
            tests[str(j)] = Test(float(shift[j]), float(p[j]))
        return tests, self.kind.width + len(pairs)

    def tensors(self) -> dict[str, Tensor]:
        """Return the counts, and the scores of rows of the fit."""
        names = "data", "indices", "indptr"
        found = {name: torch.from_numpy(getattr(self.counts, name)) for name in names}
        for i, level in enumerate(self.levels):
            found |= nested(f"levels.{i}", level.tensors())
        return {**found, "own": torch.from_numpy(self.own)}

    def to_json(self) -> Json:
        """Return the form of the data."""
        return {"form": self.kind.to_json(), "seen": self.seen}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""
        kind, own = SparseMatrix.from_json(description["form"]), tensors["own"].numpy()
        parts = tuple(tensors[name].numpy() for name in ("data", "indices", "indptr"))
        counts, levels = sparse.csr_array(parts, (len(own), kind.width)), []
        for i in range(len(TRIMS)):
            stored = unnested(f"levels.{i}", tensors)
            level = _level(counts, stored["kept"].numpy())
            levels.append(replace(level, known=stored["known"].numpy()))
        return cls(kind, counts, levels, own, description["seen"])

    def _counts(self, piece: Any) -> sparse.csr_array:
        rows = self.kind.rows(piece)
        if not rows.shape[0]:
            raise DataError("Found array with 0 sample(s): give at least one row.")
        return _counts(self.kind, rows)

    @cached_property
    def _least_likely(self) -> Array:
        """How unlikely the least likely cell of each row of the fit is."""
        level = self.levels[-1]
        nats = level.cells.nats(self.counts, level.kept.astype(np.float64))
        cells = sparse.csr_array((nats, self.counts.indices, self.counts.indptr))
        return np.asarray(cells.max(axis=1).toarray().ravel(), np.float64)

    @cached_property
    def _neighbours(self) -> CosineNeighbours:
        return CosineNeighbours(self.counts)


def sizes(counts: sparse.csr_array) -> Array:
    """Return the logarithm of one more than the sum of each row."""
    return np.asarray(np.log1p(counts.sum(1)), np.float64)


def _level(counts: sparse.csr_array, kept: Mask) -> CountLevel:
    some = counts[np.flatnonzero(kept)]
    return CountLevel(kept, StoredCells.of(some), float(np.median(sizes(some))), np.zeros((3, 0)))


def _counts(kind: SparseMatrix, rows: sparse.csr_array) -> sparse.csr_array:
    """Return rows in units of the smallest value, without stored zeros."""
    counts = sparse.csr_array(rows, dtype=np.float64, copy=True)
    counts.eliminate_zeros()
    if (counts.data < 0).any():
        raise DataError(
            "The sparse matrix has negative values, and AnomalyDetector takes counts and other "
            "amounts: give other data as an array."
        )
    counts.data /= kind.smallest
    return counts
