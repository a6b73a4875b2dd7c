"""Scores: log-likelihoods of rows, comparable between rows of which different cells are known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from attar.data.cells import Category
from attar.data.kind import Kind, Rows
from attar.data.sparse import SparseMatrix
from attar.data.table import Table
from attar.errors import SettingError
from attar.evaluation.metrics import log_mean_exp
from attar.model import Model
from attar.predictor import Predictor, traces_of
from attar.records import Batch, Trace
from attar.training.runtime import memory_kept

Array = NDArray[np.float64]

# All draws are held in memory at once, with at most so many values.
MOST_VALUES = 1 << 27

# Costs are measured on so many rows at most, and on so many at least where training rows must
# join those held out; each with so many sets of hidden cells, few where none were missing in the
# fit, and with so many draws of its code.
MOST_ROWS, FEWEST_ROWS, HIDINGS, FEW_HIDINGS, DRAWS = 512, 512, 8, 2, 8

# Never on more cells in all, but always on some rows.
MOST_CELLS, SOME_ROWS = 1 << 23, 16

# A row whose score is further below the median than so many interquartile ranges, of at least a
# nat, says nothing about what is usual.
FAR = 100.0

# The offset is piecewise linear between at most so many numbers of known cells.
KNOTS = 6


@dataclass(frozen=True)
class ScoreReference:
    """What a row's cells cost on average, which makes scores of incomplete rows comparable.

    With O the known cells of a row x, and m_j the mean log-density of cell j given the code,

        score(x) = log p(x_O) + Σ_{j not in O} m_j + c(d) - c(|O|),

    so that a missing cell counts as much as a known one does on average. The offset c(k) is what
    else the mean score changes by when cells of a row are hidden at random until k of d are known:
    the rate, and cells that predict each other. The score of a complete row is log p(x), and that
    of a row of which nothing is known is the mean score.

    A category that the fit did not see has the probability of the rarest one of its column,
    divided by one more than that one's frequency; and a column that was constant in n rows, but
    has another value, costs log(n + 1).

    Attributes
    ----------
    cells : array (cells,)
        m_j of each prepared cell.
    known, offset : array (k,)
        Numbers of known raw cells, ascending, and c of each.
    rarest : int array (categorical cells, 2)
        The rarest category of each categorical cell of a table, and its frequency.
    rows : int
        n, how many rows were fitted.
    """

    cells: Array
    known: Array
    offset: Array
    rarest: NDArray[np.int64]
    rows: int

    @classmethod
    @torch.no_grad()
    def of(cls, parts: Sequence[tuple[Predictor, Rows]], train: Rows, total: int) -> Self:
        """Return the reference of a model.

        Parameters
        ----------
        parts : sequence of pairs
            A predictor with the conditions of rows, and the raw rows: first those held out of
            training, then others, which are used where the former are few.
        train : rows (n, *cells)
            Those in which the frequencies of categories are counted.
        total : int
            How many rows were fitted.
        """
        kind = parts[0][0].preparation.kind
        width, reference = math.prod(kind.shape), cls.without_missing(kind, train, total)
        if isinstance(kind, SparseMatrix) and not kind.partial:
            return reference
        chosen, most = [], max(SOME_ROWS, min(MOST_ROWS, MOST_CELLS // (HIDINGS * DRAWS * width)))
        for predictor, rows in parts:
            some = slice(0, most)
            if rows[some].shape[0]:
                chosen.append((predictor.at(some), _floating(rows[some])))
            most = min(FEWEST_ROWS, most) - sum(rows.shape[0] for _, rows in chosen)
            if most <= 0:
                break
        reference = replace(reference, cells=reference._cells(chosen))
        known, scores = reference._with_hidden_cells(chosen)
        knots = np.unique(np.quantile(known, np.linspace(0, 1, KNOTS)).round())
        return replace(reference, known=knots, offset=_offsets(knots, known, scores))

    @classmethod
    def without_missing(cls, kind: Kind, train: Rows, total: int) -> Self:
        """Return the reference of a model whose rows have no missing cells; see :meth:`of`."""
        none = np.zeros(1)
        return cls(np.zeros(math.prod(kind.shape)), none, none, _rarest(kind, train, total), total)

    def tensors(self) -> dict[str, Tensor]:
        """Return everything by name."""
        return {name: torch.as_tensor(value) for name, value in vars(self).items()}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the reference that :meth:`tensors` wrote down."""
        cells, known, offset = (tensors[name].numpy() for name in ("cells", "known", "offset"))
        return cls(cells, known, offset, tensors["rarest"].numpy(), int(tensors["rows"]))

    def scores(
        self, predictor: Predictor, prepared: tuple[Model, Rows, Batch], noise: Tensor
    ) -> Array:
        """Return the scores of raw rows (B, *cells) and the batch of them: (B,)."""
        model, rows, batch = prepared
        batch, surcharge = self._with_rarest(predictor.preparation.kind, rows, batch)
        scores: Array = log_likelihood(model, batch, noise, predictor.chunk) - surcharge
        if batch.observed is None or batch.observed.all():
            return scores
        missing = (~batch.observed).flatten(1).cpu().numpy()
        known = np.append(_known(rows), math.prod(rows.shape[1:]))
        offset = np.interp(known, self.known, self.offset)
        completed: Array = scores + missing @ self.cells + (offset[-1] - offset[:-1])
        return completed

    def surcharge(self, predictor: Predictor) -> Array:
        """Return what those columns of each row cost that are no longer constant."""
        if predictor.changed is None:
            return np.zeros(1)
        return predictor.changed.astype(np.float64) * math.log(self.rows + 1)

    def deficits(self, predictor: Predictor, rows: Rows) -> Array:
        """Return by how much the log-density of each prepared cell is below its mean: (n, cells).

        It is 0 for missing cells.
        """
        densities = np.concatenate(list(_densities(predictor, rows)))
        deficits: Array = np.nan_to_num(self.cells - densities)
        return deficits

    def _cells(self, parts: Sequence[tuple[Predictor, Rows]]) -> Array:
        """Return the mean log-density of each cell; the mean of all cells for one never known."""
        scores = np.concatenate([self._scores(predictor, rows) for predictor, rows in parts])
        found = [cells for predictor, rows in parts for cells in _densities(predictor, rows)]
        low, middle, high = np.percentile(scores, [25, 50, 75])
        cells = np.concatenate(found)[scores >= middle - FAR * max(1.0, high - low)]
        count, sums = (~np.isnan(cells)).sum(0), np.nansum(cells, 0)
        mean = sums.sum() / max(1, count.sum())
        means: Array = np.where(count > 0, sums / np.maximum(count, 1), mean)
        return means

    def _with_hidden_cells(self, parts: Sequence[tuple[Predictor, Rows]]) -> tuple[Array, Array]:
        """Return numbers of known cells and scores: of rows, then with cells of them hidden.

        Both are (1 + hidings, n). All cells of a row are hidden once.
        """
        generator = np.random.default_rng(0)
        known, scores = [], []
        for predictor, rows in parts:
            n = rows.shape[0]
            hidings = HIDINGS if predictor.model.missing else FEW_HIDINGS
            shares = generator.random((hidings, n))
            shares[0] = 1
            some = [rows, *(_hidden(rows, share, generator) for share in shares)]
            stacked = predictor.preparation.stacked(some)
            repeated = predictor.at(np.tile(np.arange(n), len(some)))
            known.append(_known(stacked).reshape(-1, n))
            scores.append(self._scores(repeated, stacked).reshape(-1, n))
        return np.concatenate(known, 1), np.concatenate(scores, 1)

    def _scores(self, predictor: Predictor, rows: Rows) -> Array:
        noise = fixed_noise(predictor.model, DRAWS)
        found = [self.scores(predictor, one, noise) for one in predictor.batches(rows)]
        return np.concatenate(found)

    def _with_rarest(self, kind: Kind, rows: Rows, batch: Batch) -> tuple[Batch, Array]:
        """Return the batch with the rarest category in place of those that the fit did not see.

        Only in the target; and what each row costs besides.
        """
        surcharge = np.zeros(len(batch.target))
        target = batch.target
        for place, (cell, segment) in enumerate(categorical(kind)):
            unseen = rows[:, cell] < 0
            if unseen.any():
                target = target.clone() if target is batch.target else target
                rarest, frequency = self.rarest[place].tolist()
                target[torch.from_numpy(unseen).to(target.device), segment.start + rarest] = 1
                surcharge += unseen * math.log(frequency + 1)
        return replace(batch, target=target), surcharge


@torch.no_grad()
def _densities(predictor: Predictor, rows: Rows) -> Iterator[Array]:
    """Yield the log-density of each prepared cell, NaN where missing, chunk by chunk."""
    for trace in predictor.traces(rows, fixed_noise(predictor.model, DRAWS)):
        densities = trace.log_prob(trace.parameters, trace.batch.target).mean(0)
        if trace.batch.observed is not None:
            densities = densities.masked_fill(~trace.batch.observed, torch.nan)
        yield densities.flatten(1).double().cpu().numpy()


@torch.no_grad()
def log_likelihoods(
    predictor: Predictor, rows: Rows, draws: int, reference: ScoreReference | None = None
) -> Rows:
    """Return the log-likelihood of rows (n, *cells), or its bound, in nats: (n,).

    The bound of a random code is log Σ p(x, z) / q(z|x) / K over K fixed draws z, the same for
    every row: it is deterministic, and that of a row does not depend on the others. A reference
    makes rows with missing cells comparable.

    Raises
    ------
    SettingError
        If so many draws would not fit into memory.

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016.
    """
    noise = fixed_noise(predictor.model, draws)
    batches = predictor.batches(rows)
    found = np.concatenate([scores_of(predictor, one, noise, reference) for one in batches])
    return found if reference is None else found - reference.surcharge(predictor)


def scores_of(
    predictor: Predictor,
    prepared: tuple[Model, Rows, Batch],
    noise: Tensor,
    reference: ScoreReference | None,
) -> Array:
    """Return the log-likelihoods of a batch, comparable where there is a reference."""
    if reference is not None:
        return reference.scores(predictor, prepared, noise)
    model, _, batch = prepared
    return log_likelihood(model, batch, noise, predictor.chunk)


def log_likelihood(model: Model, batch: Batch, noise: Tensor, chunk: int) -> Array:
    """Return the log-likelihood of a batch, or its bound under given draws (K, 1, d)."""
    total = np.full(len(batch.target), -np.inf)
    with memory_kept():
        for some in torch.split(noise, chunk):
            traces = traces_of(model, batch, some, chunk)
            weights = [log_mean_exp(_log_weights(trace)) for trace in traces]
            total = np.logaddexp(total, np.concatenate(weights) + math.log(len(some)))
    mean: Array = total - math.log(len(noise))
    return mean


def fixed_noise(model: Model, draws: int) -> Tensor:
    """Return fixed standard normal draws (K, 1, d), in antithetic pairs.

    Raises
    ------
    SettingError
        If they would not fit into memory.
    """
    size = model.noise_size
    most = MOST_VALUES // max(1, size)
    if not 1 <= draws <= most:
        raise SettingError(
            f"{draws:,} draws of {size:,} values do not fit into memory: use 1 to {most:,} draws."
        )
    if not size:  # all draws would be the same
        return torch.empty(1, 1, 0)
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(-(-draws // 2), 1, size, generator=generator)
    return torch.cat([half, -half])[:draws]


def _log_weights(trace: Trace) -> Rows:
    """Return log p(x, z) / q(z|x), or log p(x|z) where a code is deterministic: (K, B)."""
    coded, weights = trace.coded, trace.log_likelihood
    if coded.log_q is not None and coded.log_p is not None:
        weights = weights + coded.log_p - coded.log_q
    return weights.double().cpu().numpy()


def _offsets(knots: Array, known: Array, scores: Array) -> Array:
    """Return the offsets c at knots, from scores of rows and of the same rows with hidden cells.

    They are the least-squares solution of c(|O'|) - c(|O|) = score(x_O') - score(x_O).
    """
    hats = np.stack([np.interp(known, knots, hat) for hat in np.eye(len(knots))], -1)
    slopes, growth = hats[1:] - hats[0], scores[1:] - scores[0]
    offsets: Array = np.linalg.lstsq(slopes.reshape(-1, len(knots)), growth.ravel())[0]
    return offsets


def categorical(kind: Kind) -> list[tuple[int, slice]]:
    """Return which raw cells are categories, and the prepared cells of each."""
    if not isinstance(kind, Table):
        return []
    both = enumerate(zip(kind.cells, kind.expansion.segments, strict=True))
    return [(i, segment) for i, (cell, segment) in both if isinstance(cell, Category)]


def _rarest(kind: Kind, train: Rows, total: int) -> NDArray[np.int64]:
    """Return the rarest category of each categorical cell, and how often it is among all rows."""
    found = []
    for cell, segment in categorical(kind):
        known = train[:, cell][~np.isnan(train[:, cell])].astype(np.intp)
        counts = np.bincount(known, minlength=segment.stop - segment.start)
        found.append((counts.argmin(), round(counts.min() * total / len(train))))
    return np.array(found, np.int64).reshape(-1, 2)


def _known(rows: Rows) -> Array:
    """Return how many raw cells of each row are known."""
    if isinstance(rows, sparse.csr_array):
        stored: Array = np.diff(rows.indptr).astype(np.float64)
        return stored
    known: Array = (~np.isnan(rows)).reshape(len(rows), -1).sum(1, dtype=np.float64)
    return known


def _hidden(rows: Rows, share: Array, generator: np.random.Generator) -> Rows:
    """Return rows of which a share (n,) of the known cells is missing, chosen at random."""
    if isinstance(rows, sparse.csr_array):
        cells = rows.tocoo()
        kept = generator.random(cells.nnz) >= share[cells.row]
        entries = cells.data[kept], (cells.row[kept], cells.col[kept])
        hidden: Rows = sparse.csr_array(entries, rows.shape)
        return hidden
    shares = share.reshape(-1, *[1] * (rows.ndim - 1))
    return np.where(generator.random(rows.shape) < shares, rows.dtype.type(np.nan), rows)


def _floating(rows: Rows) -> Rows:
    """Return rows in which a cell can be missing."""
    return rows if rows.dtype.kind == "f" else rows.astype(np.result_type(rows, np.float16))
