"""The report: figures of a fitted model, on one self-contained page."""
