"""Every error and warning that attar raises.

::

    AttarError
    ├── DataError (ValueError)          the data cannot be learned from, or does not fit the model
    ├── SettingError (ValueError)       a setting is unknown, out of range, or does not fit another
    ├── TrainingError (RuntimeError)    training broke down
    ├── ClusterError (RuntimeError)     a cluster cannot be reached, or its workers ended
    └── FileError (OSError)             a file cannot be read or written
        ├── ModelFileError              a model file is damaged, too new, or not a model file
        └── ArchiveError                a compressed file is damaged, too new, or of another model

    AttarWarning (UserWarning)          something works, but not as the user may believe
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

# Frames of these files are not the user's program.
OURS = (str(Path(__file__).parent), contextlib.__file__)


class AttarError(Exception):
    """The root: catch this to catch everything that attar raises."""


class DataError(AttarError, ValueError):
    """The data cannot be learned from, or does not fit the fitted model."""


class SettingError(AttarError, ValueError):
    """A setting is unknown, out of range, or does not fit another."""


class TrainingError(AttarError, RuntimeError):
    """Training broke down."""


class ClusterError(AttarError, RuntimeError):
    """A cluster cannot be reached, or its workers ended."""


class FileError(AttarError, OSError):
    """A file cannot be read or written."""


class ModelFileError(FileError):
    """A model file is damaged, of a newer format, or no model file at all."""


class ArchiveError(FileError):
    """A compressed file is damaged, too new, of another model, or no compressed file."""


class AttarWarning(UserWarning):
    """Something works, but not as the user may believe."""


def warn(message: str) -> None:
    """Raise an :class:`AttarWarning` at the line of the user's program that called attar."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(OURS):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, AttarWarning, stacklevel=level)


# What things are called elsewhere; the first that is known where it is asked for is suggested.
ELSEWHERE = {
    **dict.fromkeys(("bottleneck", "bottleneck_dim", "bottleneck_size"), ("code_size",)),
    **dict.fromkeys(("encoding_dim", "embedding_dim", "n_components", "z_dim"), ("code_size",)),
    **dict.fromkeys(("hidden_dim", "latent_dim", "latent_dims", "latent_size"), ("code_size",)),
    **dict.fromkeys(("architecture", "encoder", "layers", "model", "net"), ("network",)),
    **dict.fromkeys(("criterion", "distribution", "loss", "loss_fn"), ("likelihood",)),
    **dict.fromkeys(("normalization", "normalize", "preprocessing"), ("scaling",)),
    **dict.fromkeys(("iterations", "max_epochs", "max_iter"), ("epochs",)),
    **dict.fromkeys(("lr", "step_size"), ("learning_rate",)),
    **dict.fromkeys(("lr_scheduler", "scheduler"), ("schedule",)),
    **dict.fromkeys(("seed", "rng", "random_seed"), ("random_state",)),
    **dict.fromkeys(("amp", "dtype", "mixed_precision"), ("precision",)),
    **dict.fromkeys(("test_size", "val_fraction", "val_split"), ("validation_fraction",)),
    **dict.fromkeys(("cuda", "gpu", "use_gpu"), ("device",)),
    "noise": ("corruption", "gaussian-noise"),
    "patience": ("early_stopping",),
    "max_time": ("max_minutes",),
    "variant": ("recipe",),
    **dict.fromkeys(("cnn", "conv2d", "convolutional", "resnet", "unet"), ("conv",)),
    **dict.fromkeys(("dense", "fc", "feedforward"), ("mlp",)),
    **dict.fromkeys(("lstm", "recurrent", "rnn"), ("gru",)),
    **dict.fromkeys(("attention", "vit"), ("transformer",)),
    **dict.fromkeys(("conv1d", "temporal", "wavenet"), ("tcn", "conv")),
    "embedding": ("bag",),
    **dict.fromkeys(("l2", "mean_squared_error", "mse", "normal"), ("gaussian", "rae-l2")),
    **dict.fromkeys(("l1", "mae", "mean_absolute_error"), ("laplace", "masked")),
    **dict.fromkeys(("bce", "binary", "binary_crossentropy"), ("bernoulli",)),
    **dict.fromkeys(("ce", "cross_entropy", "crossentropy", "softmax"), ("categorical",)),
    **dict.fromkeys(("smooth_l1",), ("huber",)),
    **dict.fromkeys(("heteroscedastic", "nll"), ("learned-gaussian",)),
    **dict.fromkeys(("msssim", "ssim"), ("ms-ssim", "msssim-vae")),
    **dict.fromkeys(("t", "studentt"), ("student-t",)),
    **dict.fromkeys(("z-score", "zscore"), ("standard",)),
    **dict.fromkeys(("0-1", "unit"), ("min-max",)),
    **dict.fromkeys(("category", "factor", "nominal", "object", "str", "string"), ("categorical",)),
    **dict.fromkeys(("float", "int", "integer", "numeric"), ("number",)),
    **dict.fromkeys(("drop", "skip"), ("ignore",)),
    **dict.fromkeys(("identifier", "index", "key"), ("id",)),
    **dict.fromkeys(("date", "time", "timestamp"), ("datetime",)),
    "bool": ("boolean",),
    **dict.fromkeys(("dropout", "mask"), ("masking",)),
    **dict.fromkeys(("linear_decay", "warmup"), ("one-cycle",)),
    **dict.fromkeys(("autoencoder", "basic", "vanilla"), ("ae",)),
    "cae": ("contractive",),
    "cvae": ("conditional",),
    "dae": ("denoising",),
    "gmm": ("mixture", "mixture-prior"),
    "kde": ("kernel-density",),
    **dict.fromkeys(("sae", "sparse"), ("sparse-topk",)),
    "tcvae": ("beta-tcvae",),
    "variational": ("vae",),
    "wae": ("wae-mmd",),
}


def unknown(what: str, name: object, known: Iterable[str]) -> SettingError:
    """Return the error for an unknown name, with the nearest known one suggested."""
    choices = sorted(known)
    aliases = ELSEWHERE.get(str(name).lower(), ())
    near = [alias for alias in aliases if alias in choices]
    near = near or get_close_matches(str(name), choices, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(choices)}."
    return SettingError(f"There is no {what} named {name!r}: {hint}")


def first_line(error: object) -> str:
    """Return what an error says, in one line without a full stop."""
    said = getattr(error, "strerror", None) or str(error)
    return (said.strip().splitlines() or [type(error).__name__])[0].rstrip(".")
