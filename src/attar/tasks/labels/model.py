"""A fitted model of labels: an autoencoder, and a head on what it says of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from attar.data.kind import Json
from attar.data.table import Table
from attar.estimator import Autoencoder
from attar.likelihoods import Language
from attar.storage import nested, unnested
from attar.tasks.coding import restored_autoencoder
from attar.tasks.estimator import TaskModel
from attar.tasks.labels.heads import ClassHead, LabelHead, NumberHead
from attar.tasks.neighbours import Array, Indices

HEADS: dict[str, type[LabelHead]] = {"classes": ClassHead, "numbers": NumberHead}


@dataclass(frozen=True)
class LabelModel(TaskModel):
    """An autoencoder of all rows, and a head that labelled ones were given to.

    Attributes
    ----------
    autoencoder : Autoencoder
    scale : array (d,)
        The standard deviations of features, in which codes are measured.
    head : LabelHead
    """

    autoencoder: Autoencoder
    scale: Array
    head: LabelHead

    name = "labels"

    @classmethod
    def fit(
        cls,
        autoencoder: Autoencoder,
        X: Any,
        labelled: Indices,
        targets: Array,
        head: type[LabelHead],
        seed: int,
    ) -> tuple[Self, Array]:
        """Return the model, and its scores of labelled rows without their own labels.

        Parameters
        ----------
        autoencoder : Autoencoder
            Fitted on X.
        X : object
            All rows.
        labelled : int array (m,)
            The places of labelled rows.
        targets : array (m, c)
            Indicators of classes, or standardized numbers.
        head : type of LabelHead
        seed : int
        """
        features = features_of(autoencoder, X)
        scale = features.std(0)
        prepared = max(0, features.shape[1] - autoencoder.code_size_)
        scale[:prepared] = 1.0  # they are in units of their own
        scale = np.where(scale > 0, scale, 1.0)
        fitted, held_out = head.fit(features / scale, labelled, targets, seed)
        return cls(autoencoder, scale, fitted), held_out

    def scores(self, X: Any) -> Array:
        """Return what the head says of rows (n, c)."""
        return self.head.scores(features_of(self.autoencoder, X) / self.scale)

    @property
    def dimensions(self) -> int:
        """How many values a row has."""
        return self.autoencoder.n_features_in_

    @property
    def columns(self) -> Sequence[object] | None:
        """The names of a table's columns."""
        return getattr(self.autoencoder, "feature_names_in_", None)

    def tensors(self) -> dict[str, Tensor]:
        """Return the autoencoder's numbers and the head's."""
        return {
            "scale": torch.from_numpy(self.scale),
            **nested("head", self.head.tensors()),
            **nested("autoencoder", self.autoencoder.fitted_.tensors()),
        }

    def to_json(self) -> Json:
        """Return what the autoencoder is, and of what the head is."""
        (head,) = (name for name, kind in HEADS.items() if isinstance(self.head, kind))
        return {"head": head, "autoencoder": self.autoencoder.fitted_.to_json()}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return the model of :meth:`tensors` and :meth:`to_json`."""
        of_autoencoder = unnested("autoencoder", tensors)
        autoencoder = restored_autoencoder(of_autoencoder, description["autoencoder"])
        head = HEADS[description["head"]].restored(unnested("head", tensors))
        return cls(autoencoder, tensors["scale"].numpy(), head)


def features_of(autoencoder: Autoencoder, X: Any) -> Array:
    """Return what is known of rows (n, d): of tables the prepared rows too, then the codes.

    Missing cells are what the autoencoder expects there. Of text only contexts count: which tokens
    are where, the other half of a code, says little of what they are about.
    """
    predictor, kind = autoencoder.fitted_.predictor, autoencoder.fitted_.kind
    if not isinstance(kind, Table):
        codes = autoencoder.transform(X).astype(np.float64)
        likelihood = autoencoder.fitted_.likelihood
        return codes[:, likelihood.superposed :] if isinstance(likelihood, Language) else codes
    rows = np.concatenate([kind.rows(piece) for piece in kind.pieces(X)])
    codes = predictor.encode(rows).astype(np.float64)
    prepared = predictor.preparation.prepare(rows).double()
    if prepared.isnan().any():
        prepared = prepared.where(~prepared.isnan(), predictor.decode(codes).double())
    return np.concatenate([prepared.flatten(1).numpy(), codes], 1)
