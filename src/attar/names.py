"""The names of settings and parts, known without torch: a typo is answered before anything loads.

A test holds them against the parts themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attar.errors import SettingError, unknown

# The table of recipes.py, which `make recipes` writes down.
TABLE: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("recipes.json").read_text("utf-8")
)
RECIPES = tuple(str(row["name"]) for row in TABLE)
LIKELIHOODS = (
    *("bernoulli", "bernoulli-probability", "categorical", "causal", "circular", "discretized"),
    *("gaussian", "heteroscedastic-gaussian", "huber", "language", "laplace"),
    *("learned-gaussian", "logistic-mixture", "mixed", "ms-ssim"),
    *("multi-scale-mel", "multinomial", "poisson", "student-t"),
)
SAMPLERS = (
    *(
        "autoregressive",
        "flow",
        "frame-symbols",
        "kernel-density",
        "manifold",
        "mixture",
        "prior",
        "two-stage",
    ),
)
# The settings that name a part, with the names of the family.
PARTS = {
    "recipe": RECIPES,
    "network": (
        "asymmetric",
        "bag",
        "conv",
        "gru",
        "lapped",
        "layered",
        "linear",
        "mlp",
        "spectral",
        "spectrogram",
        "tcn",
        "text-transformer",
        "transformer",
    ),
    "likelihood": LIKELIHOODS,
    "scaling": ("between", "min-max", "none", "robust", "standard", "symmetric"),
    "corruption": (
        *("augmentation", "distortion", "gaussian-noise", "masking", "patches"),
        *("salt-and-pepper", "spectrogram-augmentation", "splicing", "swap-noise"),
    ),
    "optimizer": (
        *("adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "asgd", "muon"),
        *("nadam", "radam", "rmsprop", "rprop", "sgd"),
    ),
    "schedule": ("constant", "cosine", "one-cycle"),
}
SETTINGS = (
    *("recipe", "code_size", "network", "likelihood", "scaling", "corruption", "epochs"),
    *("batch_size", "learning_rate", "optimizer", "schedule", "validation_fraction"),
    *("early_stopping", "max_minutes", "device", "precision", "infinite_as_missing", "columns"),
    *("warm_start", "random_state", "verbose", "callbacks"),
)
# Where the losses of a fit can be written to.
TRACKERS = ("mlflow", "tensorboard", "trackio")
# What the setting `columns` may make of a column of a table.
COLUMNS = ("boolean", "categorical", "datetime", "id", "ignore", "number", "text")


def check(settings: Mapping[str, object]) -> None:
    """Refuse settings that do not exist, and parts that no family has.

    Raises
    ------
    SettingError
        With the nearest known name.
    """
    for setting, value in settings.items():
        head, _, inner = setting.partition("__")
        if head not in SETTINGS:
            raise unknown("setting", head, SETTINGS)
        if setting == "columns":
            check_columns(value)
        names = PARTS.get(head, ())
        if names and not inner and isinstance(value, str) and value not in (*names, "auto"):
            raise unknown(head, value, names)


def check_tracker(assignment: str) -> None:
    """Refuse what is not ``name:place`` of a tracker, such as ``tensorboard:runs``.

    Raises
    ------
    SettingError
        With the nearest known name.
    """
    name, _, place = assignment.partition(":")
    if name not in TRACKERS:
        raise unknown("tracker", name, TRACKERS)
    if not place:
        raise SettingError(f"A tracker needs a place: {name}:PLACE, such as tensorboard:runs.")


def check_columns(columns: object) -> None:
    """Refuse a setting ``columns`` that does not map names of columns to their kinds.

    Raises
    ------
    SettingError
        With the nearest known kind.
    """
    if columns is None:
        return
    if not isinstance(columns, Mapping):
        raise SettingError(
            f"columns maps names to kinds, such as {{'zip': 'categorical'}}, not {columns!r}."
        )
    for kind in columns.values():
        if kind not in COLUMNS:
            raise unknown("kind of column", kind, COLUMNS)
