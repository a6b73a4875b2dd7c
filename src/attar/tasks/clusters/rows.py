"""Rows as points whose distances say how alike they are: prepared rows of tables, or codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from attar import storage
from attar.data.kind import Json, Kind, Rows, warn_of_unused
from attar.data.kinds import form_of, kind_from_json, restored
from attar.data.preparation import DensePreparation
from attar.data.scaling import Scaler
from attar.errors import DataError
from attar.estimator import Autoencoder
from attar.plan import check_rows
from attar.tasks.anomalies.features import Features
from attar.tasks.coding import restored_autoencoder


class RowPoints(ABC):
    """What makes points of rows."""

    # The name in files.
    name: ClassVar[str]

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """The form of the data."""

    @abstractmethod
    def of(self, piece: Any) -> Tensor:
        """Return the points of rows in the user's form: (n, d), in single precision."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Return the numbers that :meth:`restored` needs."""

    @abstractmethod
    def to_json(self) -> Json:
        """Return all else that :meth:`restored` needs."""

    @classmethod
    @abstractmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""


@dataclass(frozen=True)
class PreparedPoints(RowPoints):
    """Rows of a table: numbers standardized, categories one-hot, medians for missing values."""

    features: Features

    name = "prepared rows"

    @classmethod
    def fit(cls, data: Any, columns: Mapping[str, str] | None) -> Self:
        """Return what makes points of rows such as those of a table."""
        kind, summary = form_of(data, columns)
        warn_of_unused(kind)
        check_rows(summary.rows, kind.shape)
        return cls(Features.fit(kind, summary))

    @property
    def kind(self) -> Kind:
        """The form of the table."""
        return self.features.kind

    def of(self, piece: Any) -> Tensor:
        """Return prepared rows."""
        rows: Rows = self.kind.rows(piece)
        if not len(rows):
            raise DataError("Found array with 0 sample(s): give at least one row.")
        return torch.from_numpy(self.features.of(rows)).float()

    def tensors(self) -> dict[str, Tensor]:
        """Return the scaling, and medians."""
        return {
            **storage.nested("kind", self.kind.tensors()),
            **storage.nested("scaler", self.features.preparation.scaler.state_dict()),
            "fill": torch.from_numpy(self.features.fill),
        }

    def to_json(self) -> Json:
        """Return the form of the table."""
        return {"name": self.kind.name, **self.kind.to_json()}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""
        kind = kind_from_json(description, storage.unnested("kind", tensors))
        prepared = restored(kind, Scaler.restored(storage.unnested("scaler", tensors)))
        assert isinstance(prepared, DensePreparation)
        return cls(Features(prepared, tensors["fill"].numpy()))


@dataclass(frozen=True)
class CodePoints(RowPoints):
    """The codes of an autoencoder."""

    autoencoder: Autoencoder

    name = "codes"

    @property
    def kind(self) -> Kind:
        """The form of the data that the autoencoder was fitted on."""
        return self.autoencoder.fitted_.kind

    def of(self, piece: Any) -> Tensor:
        """Return codes."""
        return torch.from_numpy(np.asarray(self.autoencoder.transform(piece))).float()

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights."""
        return self.autoencoder.fitted_.tensors()

    def to_json(self) -> Json:
        """Return what the autoencoder is."""
        return self.autoencoder.fitted_.to_json()

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""
        return cls(restored_autoencoder(tensors, description))
