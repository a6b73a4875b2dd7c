"""New codes: from the prior, or from what is fitted to the codes."""

from attar.sampling.autoregressive import Autoregressive
from attar.sampling.base import Draw, Sampler
from attar.sampling.density import FittedFlow, FromPrior, GaussianMixture, KernelDensity
from attar.sampling.manifold import Manifold
from attar.sampling.two_stage import TwoStage

__all__ = [
    "Autoregressive",
    "Draw",
    "FittedFlow",
    "FromPrior",
    "GaussianMixture",
    "KernelDensity",
    "Manifold",
    "Sampler",
    "TwoStage",
]
