"""The study of a fresh model: its codes, the linear baseline, and the facts for a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attar.applied import Applied
from attar.data.kind import Rows
from attar.data.summary import Moments
from attar.evaluation.baseline import Baseline
from attar.evaluation.diagnosis import Facts
from attar.evaluation.measures import mean_squared_error

MEASURED = 2048

# So many codes of rows that were learnt from are kept, and at most so many numbers of them.
KEPT, NUMBERS = 8192, 1 << 19


@dataclass(frozen=True)
class Study:
    """What is worth knowing about a fresh model.

    Attributes
    ----------
    codes : array (m, d)
        The codes of some rows that were learnt from.
    numbers : int array (m,)
        Which rows of the data these are.
    baseline : Baseline
        Up to twice as many principal components as the code has numbers, of all rows given.
    facts : Facts
    """

    codes: Rows
    numbers: Rows
    baseline: Baseline
    facts: Facts

    @classmethod
    def of(
        cls,
        applied: Applied,
        learnt: Rows,
        numbers: Rows,
        applied_apart: Applied,
        apart: Rows,
        *,
        held_out: bool,
        best_epoch: int,
        ordered: bool = False,
    ) -> Study:
        """Return the study of a model on rows that it learnt from and rows that it did not.

        Parameters
        ----------
        applied, applied_apart : Applied
            The model, told of the rows that it learnt from, and of the others.
        numbers : int array (n,)
            Which rows of the data ``learnt`` are.
        learnt, apart : rows (n, *cells)
            The baseline is found on all rows given, the rest on at most 2,048 of each.
        held_out : bool
            Whether the rows apart were truly held out.
        best_epoch : int
        ordered : bool
            Whether the first numbers of a code are a code by themselves.
        """
        preparation = applied.preparation
        train = preparation.prepare(learnt).numpy()
        baseline = Baseline.fit(train, most=2 * applied.code_size)
        kept = max(MEASURED, min(KEPT, NUMBERS // applied.code_size))
        codes, numbers = applied.encode(learnt[:kept]).astype(np.float32), numbers[:kept]
        learnt, apart, train = learnt[:MEASURED], apart[:MEASURED], train[:MEASURED]
        test = preparation.prepare(apart).numpy()
        others = applied_apart.encode(apart).astype(np.float32)
        names, columns = preparation.kind.with_unit(train)
        facts = Facts(
            error=mean_squared_error(test, applied_apart.decode(others).numpy()),
            train_error=mean_squared_error(train, applied.decode(codes[:MEASURED]).numpy()),
            pca_errors=baseline.errors(test),
            held_out=held_out,
            carried=_carried(applied_apart, others, test),
            column_scales=Moments.of(columns).deviation.tolist(),
            column_names=names,
            best_epoch=best_epoch,
            size_errors=_size_errors(applied_apart, others, test) if ordered else [],
        )
        return cls(codes, numbers, baseline, facts)


def _size_errors(applied: Applied, codes: Rows, prepared: Rows) -> list[float]:
    """Return the error with the first 0, 1, 2, ... numbers of the code."""
    errors = []
    for k in range(codes.shape[1] + 1):
        first = codes.copy()
        first[:, k:] = 0
        errors.append(mean_squared_error(prepared, applied.decode(first).numpy()))
    return errors


def _carried(applied: Applied, codes: Rows, prepared: Rows) -> list[float]:
    """Return how much the error grows when a code dimension is held at its mean, for each."""
    few = slice(0, max(32, 4096 // codes.shape[1]))
    codes, prepared = codes[few], prepared[few]
    whole = mean_squared_error(prepared, applied.decode(codes).numpy())
    grown = []
    for j, mean in enumerate(codes.mean(0)):
        without = codes.copy()
        without[:, j] = mean
        grown.append(mean_squared_error(prepared, applied.decode(without).numpy()) - whole)
    return grown
