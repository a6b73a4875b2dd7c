"""How good is it: measures, the linear baseline, and a diagnosis in words."""

from attar.evaluation.disentanglement import Dci, dci, factor_score, mig, sap
from attar.evaluation.generation import Overlap, frechet_distance, overlap
from attar.evaluation.information import active_units, mutual_information
from attar.evaluation.measures import accuracy, bits_per_dimension, mean_squared_error, psnr
from attar.evaluation.memorization import Memorization, memorization
from attar.evaluation.probes import neighbour_accuracy, probe_accuracy
from attar.evaluation.ssim import ssim
from attar.evaluation.symbols import perplexity, relative_perplexity, usage

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
