"""Exports: programs of other libraries that do what a fitted model does, preparation included."""

from attar.exporting.files import Exported, export, to_keras

__all__ = ["Exported", "export", "to_keras"]
