"""Penalties: what is punished besides error and rate."""

from attar.penalties.adversarial import Adversarial
from attar.penalties.contractive import Contractive
from attar.penalties.correlation import TotalCorrelation
from attar.penalties.decoder import CodeNorm, DecoderGradient, DecoderWeights
from attar.penalties.discrepancy import Discrepancy
from attar.penalties.kernels import GaussianKernel, InverseMultiquadratic, Kernel
from attar.penalties.moments import DipI, DipII
from attar.penalties.penalty import Critic, Penalty, PenaltyTerm, sum_of
from attar.penalties.permuted import Permuted
from attar.penalties.similarity import LearnedSimilarity
from attar.penalties.sliced import Sliced
from attar.penalties.weights import L1, L2

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
