"""Clusterer: clusters of any data, by the neighbours of codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClusterMixin
from sklearn.utils import Tags
from torch import Tensor

from attar import storage
from attar.checks import positive_integer
from attar.data.kind import Json, Kind
from attar.data.kinds import kind_of
from attar.data.source import Data, Source, read, without_infinities
from attar.data.table import Table
from attar.errors import DataError, warn
from attar.estimator import Autoencoder
from attar.isolation import default_settings, one_thread
from attar.recipe import Recipe
from attar.recipes import resolve
from attar.tasks.clusters.partition import number_of_modes, partition
from attar.tasks.clusters.rows import CodePoints, PreparedPoints, RowPoints
from attar.tasks.coding import fitted_autoencoder
from attar.tasks.estimator import TaskEstimator, TaskModel, pieces_of
from attar.tasks.neighbours import Array, Indices, Landmarks, NeighbourGraph
from attar.training.callbacks import Callback
from attar.training.runtime import memory_kept

# At most so many different rows are the points of the graph.
LANDMARKS = 20_000

OF_NAME: dict[str, type[CodePoints] | type[PreparedPoints]] = {
    one.name: one for one in (CodePoints, PreparedPoints)
}


@dataclass(frozen=True)
class ClusterModel(TaskModel):
    """Points in clusters, among which other rows find their neighbours.

    Attributes
    ----------
    points : RowPoints
    landmarks : Landmarks
        Different points.
    clusters : int array (m,)
        From 0, the largest, on.
    """

    points: RowPoints
    landmarks: Landmarks
    clusters: Indices

    name = "clusters"

    @classmethod
    def fit(cls, points: RowPoints, found: Tensor, clusters: int | None, seed: int) -> Self:
        """Return the clusters of points (n, d); None for as many as the density has modes."""
        different = torch.unique(found, dim=0)
        if len(different) > LANDMARKS:
            chosen = np.random.default_rng(seed).permutation(len(different))[:LANDMARKS]
            different = different[np.sort(chosen)]
        m = len(different)
        if m == 1:
            warn("All rows of X are equal: they are one cluster.")
            return cls(points, Landmarks(different, np.ones(1)), np.zeros(1, np.intp))
        graph = NeighbourGraph.of(different)
        number = number_of_modes(graph) if clusters is None else min(clusters, m)
        model = cls(points, graph.landmarks, partition(graph, number, seed))
        if clusters is not None and model.number < clusters:
            warn(f"The {m:,} different rows of X are {model.number} clusters, not {clusters}.")
        return model

    @cached_property
    def number(self) -> int:
        """How many clusters there are."""
        return int(self.clusters.max()) + 1

    def located(self, piece: Any) -> tuple[Array, Array]:
        """Return the points of rows (n, d), and the probabilities of clusters (n, clusters).

        These are the shares of clusters in the affinities of rows to landmarks. The nearest ones
        count. A row of the fit counts more than its neighbours.
        """
        with one_thread():
            points = self.points.of(piece)
            weights = self.landmarks.weights(points)
        return points.numpy(), np.asarray(weights @ np.eye(self.number)[self.clusters])

    @property
    def kind(self) -> Kind:
        """The form of the data."""
        return self.points.kind

    @property
    def dimensions(self) -> int:
        """Columns of a table, else cells."""
        return self.kind.dimensions

    @property
    def columns(self) -> list[str] | None:
        """The columns of a table that has names."""
        names: list[str] | None = getattr(self.kind, "names", None)
        return names

    def tensors(self) -> dict[str, Tensor]:
        """Return landmarks, and the numbers of what makes points."""
        return {
            **storage.nested("landmarks", self.landmarks.tensors()),
            "clusters": torch.from_numpy(self.clusters.astype(np.int64)),
            **storage.nested("points", self.points.tensors()),
        }

    def to_json(self) -> Json:
        """Return what makes points."""
        return {"points": self.points.name, "form": self.points.to_json()}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""
        points = OF_NAME[description["points"]].restored(
            storage.unnested("points", tensors), description["form"]
        )
        landmarks = Landmarks.restored(storage.unnested("landmarks", tensors))
        return cls(points, landmarks, tensors["clusters"].numpy().astype(np.intp))


class Clusterer(ClusterMixin, TaskEstimator):
    """Finds the clusters of tables, images, series, sparse matrices, sound and text.

    Rows are points: codes of an autoencoder, or prepared rows of a table. Each is joined to its 15
    nearest neighbours. A partition of this graph starts at the modes of the density, another at the
    eigenvectors of the Laplacian; points then move to the cluster where modularity grows most, and
    the partition of smaller normalized cut is taken. Clusters may have any shape and size.

    Parameters
    ----------
    n_clusters : int, default "auto"
        The number of clusters. Auto: as many as the density of points has modes that are not noise
        of a sample; clusters that overlap count as one.
    recipe : str, Recipe or None, default "auto"
        Of the autoencoder. None: prepared rows of a table. Auto is None for tables, ``"features"``
        for images and sound, and what :class:`attar.Autoencoder` chooses for all else.
    code_size, epochs : int, default "auto"
        Of the autoencoder.
    max_minutes : float, default None
        The time of its training at most.
    autoencoder : Autoencoder, default None
        One in place of these settings: fitted, and then used as it is, or to be fitted.
    columns : mapping, default None
        What columns of a table are; as of :class:`attar.Autoencoder`.
    infinite_as_missing : bool, default False
    callbacks : sequence of Callback, default ()
        Of the training of the autoencoder, where none is given.
    random_state : int, RandomState or None, default None

    Attributes
    ----------
    labels_ : int array (n,)
        The cluster of each row, from 0, which is the largest, on: what :meth:`predict` returns.
    n_clusters_ : int
    autoencoder_ : Autoencoder or None
    n_features_in_ : int
    feature_names_in_ : array of str

    Examples
    --------
    >>> import attar
    >>> from sklearn.datasets import make_moons
    >>> X, y = make_moons(400, noise=0.05, random_state=0)
    >>> clusterer = attar.Clusterer(random_state=0).fit(X)
    >>> clusterer.n_clusters_
    2
    >>> bool((clusterer.labels_ == y).all() or (clusterer.labels_ == 1 - y).all())
    True

    References
    ----------
    McConville et al., "N2D: (not too) deep clustering via clustering the local manifold of an
    autoencoded embedding", ICPR 2020. Chazal, Guibas, Oudot and Skraba, "Persistence-based
    clustering in Riemannian manifolds", Journal of the ACM 60, 2013. Newman, "Equivalence between
    modularity optimization and maximum likelihood methods for community detection", Physical
    Review E 94, 2016.
    """

    task = "clusters"

    def __init__(
        self,
        n_clusters: int | Literal["auto"] = "auto",
        recipe: str | Recipe | None = "auto",
        *,
        code_size: int | Literal["auto"] = "auto",
        epochs: int | Literal["auto"] = "auto",
        max_minutes: float | None = None,
        autoencoder: Autoencoder | None = None,
        columns: Mapping[str, str] | None = None,
        infinite_as_missing: bool = False,
        callbacks: Sequence[Callback] = (),
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_clusters, self.recipe, self.autoencoder = n_clusters, recipe, autoencoder
        self.code_size, self.epochs, self.max_minutes = code_size, epochs, max_minutes
        self.columns, self.infinite_as_missing = columns, infinite_as_missing
        self.callbacks, self.random_state = callbacks, random_state

    @default_settings()
    def fit(self, X: Data, y: object = None) -> Self:
        """Find the clusters of X.

        Parameters
        ----------
        X : table, array, sparse matrix, Series, Sounds, texts, path, or name of a data set
            Of more than 20,000 different rows a random sample makes the graph; the others have
            the clusters of their neighbours.
        y : ignored

        Raises
        ------
        DataError
            If X has fewer rows than clusters, or no points can be made of it.
        SettingError
            If a setting is out of range.
        """
        clusters = None
        if self.n_clusters != "auto":
            clusters = positive_integer("n_clusters", self.n_clusters, "'auto' or ")
        if self.recipe not in (None, "auto"):
            resolve(self.recipe)
        data: Any = read(X, "train").data
        data = without_infinities(data) if self.infinite_as_missing else data
        self._seed = self._drawn_seed()
        points = self._points(data)
        found = torch.cat([points.of(piece) for piece in points.kind.pieces(data)])
        if clusters is not None and clusters > len(found):
            raise DataError(
                f"X has {len(found)} rows, and cannot have {clusters} clusters: lower n_clusters."
            )
        with one_thread(), memory_kept():
            self.model_ = ClusterModel.fit(points, found, clusters, self._seed)
        self.labels_ = self.predict(data)
        return self

    @default_settings()
    def predict(self, X: Data | Source) -> NDArray[np.int64]:
        """Return the most probable cluster of each row: (n,).

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        likeliest: NDArray[np.int64] = self.memberships(X).argmax(1)
        return likeliest

    @default_settings()
    def memberships(self, X: Data | Source) -> Array:
        """Return the probability of each cluster for each row: (n, n_clusters_).

        It is the cluster's share in the affinities exp(-r² / σᵢσⱼ) to the 15 nearest rows of the
        fit, where r is the distance, and σ that to the seventh neighbour. A row of the fit itself
        counts more than the others together.

        Raises
        ------
        DataError
            If X is not of the form that was fitted.
        """
        model = self._fitted.model_
        return np.concatenate([model.located(piece)[1] for piece in self.pieces(X)])

    def pieces(self, X: Data | Source) -> Iterator[Any]:
        """Return X as the user has it, from wherever it is, in pieces that fit into memory."""
        return pieces_of(X, self._fitted.model_.kind, self.infinite_as_missing)

    @property
    def n_clusters_(self) -> int:
        """The number of clusters."""
        return self._attributes.model_.number

    @property
    def autoencoder_(self) -> Autoencoder | None:
        """The autoencoder whose codes are compared; None where prepared rows are."""
        points = self._attributes.model_.points
        return points.autoencoder if isinstance(points, CodePoints) else None

    @property
    def sizes_(self) -> Indices:
        """How many rows of the fit each cluster has: (n_clusters_,)."""
        labels = self._attributes.labels_
        return np.bincount(labels, minlength=self.n_clusters_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    def _dimensions(self) -> int:
        return self.model_.dimensions

    @property
    def _columns(self) -> Sequence[object] | None:
        return self.model_.columns

    def _points(self, data: Any) -> RowPoints:
        """Return what makes points of rows, fitted."""
        of_table = issubclass(kind_of(data), Table)
        auto = self.recipe == "auto" and self.autoencoder is None
        if self.recipe is None or (auto and of_table):
            if not of_table:
                raise DataError(
                    f"recipe=None is for tables, and the data are {kind_of(data).name}: leave it "
                    "out."
                )
            return PreparedPoints.fit(data, self.columns)
        autoencoder = fitted_autoencoder(
            self.autoencoder,
            data,
            self.recipe,
            code_size=self.code_size,
            epochs=self.epochs,
            max_minutes=self.max_minutes,
            columns=self.columns,
            callbacks=self.callbacks,
            random_state=self._seed,
        )
        return CodePoints(autoencoder)

    def _described(self) -> tuple[dict[str, Tensor], Json]:
        tensors = {**self.model_.tensors(), "labels": torch.from_numpy(self.labels_)}
        return tensors, {
            "data": self.model_.kind.name,
            "rows": len(self.labels_),
            "sizes": self.sizes_.tolist(),
            "model": self.model_.to_json(),
            "label": vars(self).get("label_"),
        }

    def _restore(self, tensors: Mapping[str, Tensor], description: Json) -> None:
        self.model_ = ClusterModel.restored(tensors, description["model"])
        self.labels_ = tensors["labels"].numpy()
        self.label_: str | None = description["label"]
