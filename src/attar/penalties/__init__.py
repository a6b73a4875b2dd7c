"""Penalties: what is punished besides error and rate."""

from attar.penalties.adversarial import Adversarial, LearnedSimilarity, Permuted
from attar.penalties.base import Critic, Penalty, PenaltyTerm, sum_of
from attar.penalties.covariance import DipI, DipII, TotalCorrelation
from attar.penalties.mmd import Discrepancy, GaussianKernel, InverseMultiquadratic, Kernel, Sliced
from attar.penalties.smoothness import (
    L1,
    L2,
    CodeNorm,
    Contractive,
    DecoderGradient,
    DecoderWeights,
)

__all__ = [
    "L1",
    "L2",
    "Adversarial",
    "CodeNorm",
    "Contractive",
    "Critic",
    "DecoderGradient",
    "DecoderWeights",
    "DipI",
    "DipII",
    "Discrepancy",
    "GaussianKernel",
    "InverseMultiquadratic",
    "Kernel",
    "LearnedSimilarity",
    "Penalty",
    "PenaltyTerm",
    "Permuted",
    "Sliced",
    "TotalCorrelation",
    "sum_of",
]
