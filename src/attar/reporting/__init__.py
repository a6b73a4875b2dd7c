"""The report: figures of a fitted model, on one self-contained page."""

from attar.reporting.sections import report

__all__ = ["report"]
