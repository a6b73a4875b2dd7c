"""Tuning: a search for the settings with which an autoencoder is best on held-out rows."""

from attar.tuning.study import Tuning, tune

__all__ = ["Tuning", "tune"]
