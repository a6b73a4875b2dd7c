"""Every error and warning that attar raises.

::

    AttarError
    ├── DataError (ValueError)          the data cannot be learned from, or does not fit the model
    ├── SettingError (ValueError)       a setting is unknown, out of range, or does not fit another
    ├── TrainingError (RuntimeError)    training broke down
    └── FileError (OSError)             a file cannot be read or written
        └── ModelFileError              a model file is damaged, too new, or not a model file

    AttarWarning (UserWarning)          something works, but not as the user may believe
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AttarError(Exception):
    """The root: catch this to catch everything that attar raises."""


class DataError(AttarError, ValueError):
    """The data cannot be learned from, or does not fit the fitted model."""


class SettingError(AttarError, ValueError):
    """A setting is unknown, out of range, or does not fit another."""


class TrainingError(AttarError, RuntimeError):
    """Training broke down."""


class FileError(AttarError, OSError):
    """A file cannot be read or written."""


class ModelFileError(FileError):
    """A model file is damaged, of a newer format, or no model file at all."""


class AttarWarning(UserWarning):
    """Something works, but not as the user may believe."""


def unknown(what: str, name: object, known: Iterable[str]) -> SettingError:
    """Return the error for an unknown name, with the nearest known one suggested."""
    choices = sorted(known)
    near = get_close_matches(str(name), choices, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(choices)}."
    return SettingError(f"There is no {what} named {name!r}: {hint}")


def first_line(error: object) -> str:
    """Return what an error says, in one line without a full stop."""
    said = getattr(error, "strerror", None) or str(error)
    return (said.strip().splitlines() or [type(error).__name__])[0].rstrip(".")
