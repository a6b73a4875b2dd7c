"""Displays of fitted estimators, as those of scikit-learn."""

from attar.plotting.base import Plot
from attar.plotting.codes import CodeMapDisplay, ErrorBySizeDisplay, LossDisplay
from attar.plotting.rows import ReconstructionDisplay, TraversalDisplay
from attar.plotting.scores import AnomalyMapDisplay, AnomalyScoreDisplay, ReliabilityDisplay
from attar.plotting.tasks import ClusterDisplay, ForecastDisplay, ImputationDisplay

__all__ = [
    "AnomalyMapDisplay",
    "AnomalyScoreDisplay",
    "ClusterDisplay",
    "CodeMapDisplay",
    "ErrorBySizeDisplay",
    "ForecastDisplay",
    "ImputationDisplay",
    "LossDisplay",
    "Plot",
    "ReconstructionDisplay",
    "ReliabilityDisplay",
    "TraversalDisplay",
]
