"""Exports: programs of other libraries that do what a fitted model does, preparation included."""

from attar.exporting.files import Exported, export

__all__ = ["Exported", "export"]
