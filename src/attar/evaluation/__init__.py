"""Evaluation: metrics, the PCA baseline, and diagnostics of a fitted model."""

from attar.evaluation.disentanglement import Dci, dci, factor_score, mig, sap
from attar.evaluation.generation import (
    Memorization,
    Overlap,
    frechet_distance,
    memorization,
    overlap,
)
from attar.evaluation.information import active_units, mutual_information
from attar.evaluation.metrics import (
    accuracy,
    bits_per_dimension,
    mean_squared_error,
    perplexity,
    psnr,
    relative_perplexity,
    ssim,
    usage,
)
from attar.evaluation.probes import neighbour_accuracy, probe_accuracy

__all__ = [
    "Dci",
    "Memorization",
    "Overlap",
    "accuracy",
    "active_units",
    "bits_per_dimension",
    "dci",
    "factor_score",
    "frechet_distance",
    "mean_squared_error",
    "memorization",
    "mig",
    "mutual_information",
    "neighbour_accuracy",
    "overlap",
    "perplexity",
    "probe_accuracy",
    "psnr",
    "relative_perplexity",
    "sap",
    "ssim",
    "usage",
]
