"""The report: figures of a fitted model, on one self-contained page."""

from attar.report.sections import write_report

__all__ = ["write_report"]
