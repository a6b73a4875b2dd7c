"""The preparation that a kind of data needs."""

from __future__ import annotations

from attar.data.kind import Kind
from attar.data.preparation import Preparation
from attar.data.scaling import Scaler, Scaling
from attar.data.sparse import Sparse, SparsePreparation
from attar.data.summary import Summary


def preparation(kind: Kind, scaling: Scaling, summary: Summary) -> Preparation:
    """Return the preparation that suits data of a kind and summary."""
    return _type(kind).fit(kind, scaling, summary)


def restored(kind: Kind, scaler: Scaler) -> Preparation:
    """Return the preparation that has this scaler."""
    return _type(kind)(kind, scaler)


def _type(kind: Kind) -> type[Preparation]:
    return SparsePreparation if isinstance(kind, Sparse) else Preparation
