"""The autoencoder of a task that works on codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.base import clone
from torch import Tensor

from attar.data.images import Images
from attar.data.kind import Json
from attar.data.kinds import kind_of
from attar.data.recordings import SoundWindows
from attar.estimator import Autoencoder
from attar.fitted import Fitted
from attar.recipe import Recipe


def fitted_autoencoder(
    autoencoder: Autoencoder | None, data: Any, recipe: str | Recipe, **settings: Any
) -> Autoencoder:
    """Return an autoencoder that is fitted, as it is, else one that is fitted to data.

    Parameters
    ----------
    autoencoder : Autoencoder or None
        One that is not fitted is cloned.
    data : object
        All rows.
    recipe : str or Recipe
        Where there is no autoencoder. Auto is ``"features"`` for images and sound, and what
        :class:`attar.Autoencoder` chooses for all else.
    **settings : object
        Of the autoencoder, where there is none.
    """
    if autoencoder is None:
        if recipe == "auto" and issubclass(kind_of(data), Images | SoundWindows):
            recipe = "features"
        return Autoencoder(recipe, **settings, verbose=False).fit(data)
    return autoencoder if "fitted_" in vars(autoencoder) else clone(autoencoder).fit(data)


def restored_autoencoder(tensors: Mapping[str, Tensor], description: Json) -> Autoencoder:
    """Return the autoencoder of a model file."""
    autoencoder = Autoencoder(verbose=False)
    autoencoder.fitted_ = Fitted.restored(tensors, description, None)
    return autoencoder
