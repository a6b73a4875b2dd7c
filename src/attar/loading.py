"""Loading: a model file becomes an estimator again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attar import storage
from attar.errors import ModelFileError, SettingError, first_line
from attar.estimator import Autoencoder
from attar.fitted import Fitted
from attar.networks import Modules
from attar.parts import Part


def load(path: str | Path, network: tuple[Any, Any] | None = None) -> Autoencoder:
    """Return the estimator that :meth:`Autoencoder.save` wrote, with bit for bit equal outputs.

    Parameters
    ----------
    path : path
    network : pair of torch modules or None
        The (encoder, decoder) of your own that was fitted, where it was one; its weights come
        from the file.

    Raises
    ------
    FileError
        If there is no such file.
    ModelFileError
        If it is damaged, of a newer format, or no model of attar's.
    SettingError
        If the model needs a network of your own.
    """
    tensors, facts = storage.read(path)
    if facts.get("network", "") is None and network is None:
        raise SettingError(
            f"{path} was fitted with a network of its maker's own: load it with "
            "network=(encoder, decoder)."
        )
    try:
        settings = {name: Part.parsed(value) for name, value in facts["settings"].items()}
        estimator = Autoencoder(**settings)
        own = None if network is None else Modules.of(network)
        estimator.fitted_ = Fitted.restored(tensors, facts, own)
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ModelFileError(
            f"{path} describes a model that cannot be built: {first_line(error)}."
        ) from None
    if network is not None:
        estimator.network = network
    return estimator
