"""Expectation: what an autoencoder that was trained to bring back hidden cells expects of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attar.data.cells import Boolean, Category, Cell
from attar.data.kind import Json
from attar.data.table import MixedTable
from attar.errors import AttarWarning
from attar.estimator import Autoencoder
from attar.fitted import Fitted
from attar.recipe import Recipe
from attar.tasks.gaps.spaces import Space

# The code's size at most. Of rows without gaps, such a share of cells is hidden.
CODE_SIZE, HIDDEN = 64, 0.1


@dataclass(frozen=True)
class Expectation:
    """An autoencoder of values.

    Attributes
    ----------
    autoencoder : Autoencoder
        Of frames whose columns are the features' numbers, or levels of each column.
    mean : Tensor (features,)
        Of what it does not know, as it did not vary.
    """

    autoencoder: Autoencoder
    mean: Tensor

    @classmethod
    def fit(cls, space: Space, values: Tensor, recipe: str | Recipe, seed: int) -> Self:
        """Return an autoencoder fitted on values (n, features), NaN where one is missing."""
        hidden = values.clone()
        if not hidden.isnan().any():
            generator = torch.Generator().manual_seed(seed)
            for at in space.segments:
                hidden[torch.rand(len(values), generator=generator) < HIDDEN, at] = torch.nan
        frame = _frame(space, hidden)
        levels = {str(name): "categorical" for name, of in frame.dtypes.items() if of == "category"}
        autoencoder = Autoencoder(
            recipe,
            code_size=min(CODE_SIZE, values.shape[1]),
            columns=levels or None,
            random_state=seed,
            verbose=False,
        )
        with _silent():
            return cls(autoencoder.fit(frame), values.nanmean(0).nan_to_num())

    @torch.no_grad()
    def __call__(self, space: Space, values: Tensor, each: bool = False) -> Tensor:
        """Return what is expected of values (n, features), NaN where one is missing.

        Parameters
        ----------
        space : Space
        values : Tensor
        each : bool
            Whether each column is hidden when it is expected, so that known values are too: with so
            many others, by chance, as are missing.
        """
        if not each:
            return self._expected(space, values)
        found, columns = torch.empty_like(values), len(space.segments)
        first = torch.tensor([at.start for at in space.segments])
        together = max(1, round(float(values[:, first].isnan().float().mean()) * columns))
        order = torch.randperm(columns, generator=torch.Generator().manual_seed(columns))
        for group in torch.split(order, together):
            hidden, places = values.clone(), [space.segments[j] for j in group.tolist()]
            for at in places:
                hidden[:, at] = torch.nan
            expected = self._expected(space, hidden)
            for at in places:
                found[:, at] = expected[:, at]
        return found

    def _expected(self, space: Space, values: Tensor) -> Tensor:
        predictor = self.autoencoder.fitted_.predictor
        with _silent():
            rows = predictor.preparation.kind.rows(_frame(space, values))
            prepared = torch.cat(list(predictor.decoded(predictor.encode(rows)))).cpu()
        table = predictor.preparation.kind
        assert isinstance(table, MixedTable)
        raw = torch.from_numpy(np.asarray(predictor.preparation.raw(prepared), np.float64))
        found = self.mean.repeat(len(values), 1)
        for i, (cell, at) in enumerate(zip(table.cells, table.expansion.segments, strict=True)):
            start = int(cell.name)
            if isinstance(cell, Category):
                for level, place in zip(cell.categories, range(at.start, at.stop), strict=True):
                    if level != "no":
                        found[:, start + int(level)] = prepared[:, place].float()
            else:
                found[:, start] = raw[:, i].float()
        return found

    def tensors(self) -> dict[str, Tensor]:
        """Return weights and means."""
        own = {f"fitted.{name}": x for name, x in self.autoencoder.fitted_.tensors().items()}
        return {**own, "mean": self.mean}

    def to_json(self) -> Json:
        """Return what the autoencoder is."""
        return self.autoencoder.fitted_.to_json()

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return the expectation of :meth:`tensors` and :meth:`to_json`."""
        weights = {name.removeprefix("fitted."): x for name, x in tensors.items() if name != "mean"}
        autoencoder = Autoencoder(verbose=False)
        autoencoder.fitted_ = Fitted.restored(weights, description, None)
        return cls(autoencoder, tensors["mean"])


def _frame(space: Space, values: Tensor) -> pd.DataFrame:
    """Return values as a frame, each column named after its first feature."""
    columns: dict[str, object] = {}
    for cell, at in zip(space.table.cells, space.table.expansion.segments, strict=True):
        columns |= _columns(cell, at.start, values[:, at])
    return pd.DataFrame(columns)


def _columns(cell: Cell, start: int, values: Tensor) -> dict[str, object]:
    if isinstance(cell, Boolean | Category):
        level = values.argmax(1) if values.shape[1] > 1 else values[:, 0].nan_to_num().round()
        codes: list[int] = torch.where(values.isnan().any(1), -1, level).int().tolist()
        # A yes is the only feature of its column.
        names = [str(i) for i in range(values.shape[1])] if values.shape[1] > 1 else ["no", "0"]
        return {str(start): pd.Categorical.from_codes(codes, pd.Index(names))}
    return {str(start + i): values[:, i].double().numpy() for i in range(values.shape[1])}


@contextmanager
def _silent() -> Iterator[None]:
    """Leave out what autoencoders have to say of data: it was said of the same data before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttarWarning)
        yield
