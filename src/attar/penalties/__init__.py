"""Penalties: terms of the loss besides distortion and rate."""

from attar.penalties.adversarial import Adversarial, DensityRatio, LearnedSimilarity
from attar.penalties.base import Critic, Penalty, PenaltyTerm, sum_of
from attar.penalties.covariance import DipI, DipII, TotalCorrelation
from attar.penalties.mmd import (
    GaussianKernel,
    InverseMultiquadratic,
    Kernel,
    MaximumMeanDiscrepancy,
    SlicedWasserstein,
)
from attar.penalties.smoothness import (
    L1,
    L2,
    CodeNorm,
    Contractive,
    DecoderGradient,
    DecoderWeights,
)
from attar.penalties.views import Views

__all__ = [
    "L1",
    "L2",
    "Adversarial",
    "CodeNorm",
    "Contractive",
    "Critic",
    "DecoderGradient",
    "DecoderWeights",
    "DensityRatio",
    "DipI",
    "DipII",
    "GaussianKernel",
    "InverseMultiquadratic",
    "Kernel",
    "LearnedSimilarity",
    "MaximumMeanDiscrepancy",
    "Penalty",
    "PenaltyTerm",
    "SlicedWasserstein",
    "TotalCorrelation",
    "Views",
    "sum_of",
]
