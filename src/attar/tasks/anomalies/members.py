"""Members: autoencoders of a recipe as further scores beside neighbours and mixtures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.kind import Json
from attar.errors import AttarWarning
from attar.estimator import Autoencoder
from attar.fitted import Fitted
from attar.storage import nested, unnested
from attar.tasks.anomalies.calibration import own_surprise, surprise
from attar.tasks.anomalies.densities import COMPONENTS, FOLDS, NEAREST, Array, Neighbours
from attar.tasks.anomalies.scorer import Settings

# The oddest rows of the fit that no member learns.
ODDEST = 0.05

# Scores that members are added to: the neighbours' and the mixtures'.
BESIDE = 1 + len(COMPONENTS)


@dataclass(frozen=True)
class Member:
    """An autoencoder, and the codes of the rows that it was fitted on.

    Attributes
    ----------
    autoencoder : Autoencoder
    codes : array (n, d)
    """

    autoencoder: Autoencoder
    codes: Array

    @classmethod
    def fit(cls, settings: Settings, X: Any, part: int) -> Self:
        """Return an autoencoder of a recipe, fitted on X."""
        assert settings.recipe is not None
        autoencoder = Autoencoder(
            settings.recipe,
            columns=settings.columns,
            random_state=settings.seed + part,
            verbose=False,
        ).fit(X)
        return cls(autoencoder, autoencoder.transform(X).astype(np.float64))

    @cached_property
    def _spread(self) -> Array:
        deviation = self.codes.std(0)
        return np.where(deviation > 0, deviation, 1.0)

    @cached_property
    def _neighbours(self) -> Neighbours:
        return Neighbours(self.codes / self._spread, NEAREST)

    def scores(self, X: Any) -> Array:
        """Return minus the log-likelihood of rows, and how far codes are from others: (2, n)."""
        nats = -self.autoencoder.score_samples(X)
        if not self.codes.shape[1]:
            return np.stack([nats, np.zeros(len(nats))])
        near, _ = self._neighbours.near(self.autoencoder.transform(X) / self._spread)
        return np.stack([nats, near.mean(1)])


@dataclass(frozen=True)
class Members:
    """What autoencoders say of rows: each was fitted on other thirds of those of the fit.

    Attributes
    ----------
    each : list of Member
    known : array (2, n)
        Scores of the rows of the fit, by members that were not fitted on them.
    """

    each: list[Member]
    known: Array

    @classmethod
    def fit(cls, settings: Settings, take: Callable[[NDArray[np.intp]], Any], own: Array) -> Self:
        """Return members fitted on rows but the oddest ones.

        Parameters
        ----------
        settings : Settings
        take : callable
            From places of rows of the fit to the rows, in the user's own form.
        own : array (n,)
            How odd these rows are without members.
        """
        parts = np.random.default_rng(settings.seed).permutation(len(own)) % FOLDS
        kept, each, known = own <= np.quantile(own, 1 - ODDEST), [], np.empty((2, len(own)))
        with _told_once():
            for part in range(FOLDS):
                others = take(np.flatnonzero(kept & (parts != part)))
                each.append(Member.fit(settings, others, part))
                places = np.flatnonzero(parts == part)
                known[:, places] = each[-1].scores(take(places))
        return cls(each, known)

    def own(self, odd: Array) -> Array:
        """Return how odd rows of the fit are, given how odd they are without members."""
        return _added(odd, [own_surprise(known) for known in self.known])

    def score(self, odd: Array, X: Any) -> Array:
        """Return how odd rows are, given how odd they are without members."""
        with _told_once():
            found = np.mean([member.scores(X) for member in self.each], axis=0)
        return _added(odd, [surprise(*pair) for pair in zip(self.known, found, strict=True)])

    def tensors(self) -> dict[str, Tensor]:
        """Return scores, codes and weights."""
        found = {"known": torch.from_numpy(self.known)}
        for i, member in enumerate(self.each):
            found[f"{i}.codes"] = torch.from_numpy(member.codes)
            found |= nested(f"{i}.fitted", member.autoencoder.fitted_.tensors())
        return found

    def to_json(self) -> list[Json]:
        """Return what each autoencoder is."""
        return [member.autoencoder.fitted_.to_json() for member in self.each]

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: list[Json]) -> Self:
        """Return the members of :meth:`tensors` and :meth:`to_json`."""
        each = []
        for i, of_member in enumerate(description):
            autoencoder = Autoencoder(verbose=False)
            weights = unnested(f"{i}.fitted", tensors)
            autoencoder.fitted_ = Fitted.restored(weights, of_member, None)
            each.append(Member(autoencoder, tensors[f"{i}.codes"].numpy()))
        return cls(each, tensors["known"].numpy())


def _added(odd: Array, surprises: list[Array]) -> Array:
    return np.asarray((BESIDE * odd + sum(surprises)) / (BESIDE + len(surprises)))


@contextmanager
def _told_once() -> Iterator[None]:
    """Leave out what members have to say of data: it was said of the same data before."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AttarWarning)
        yield
