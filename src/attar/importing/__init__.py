"""Imports: models that other libraries trained become estimators."""

from attar.importing.models import from_keras

__all__ = ["from_keras"]
