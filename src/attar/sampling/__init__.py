"""Samplers: distributions of new codes, the prior or one fitted to the training codes."""

from attar.sampling.autoregressive import Autoregressive
from attar.sampling.base import Draw, Sampler
from attar.sampling.density import FittedFlow, FromPrior, GaussianMixture, KernelDensity
from attar.sampling.frames import FrameSymbols
from attar.sampling.manifold import Manifold
from attar.sampling.two_stage import TwoStage

__all__ = [
    "Autoregressive",
    "Draw",
    "FittedFlow",
    "FrameSymbols",
    "FromPrior",
    "GaussianMixture",
    "KernelDensity",
    "Manifold",
    "Sampler",
    "TwoStage",
]
