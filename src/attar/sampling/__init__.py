"""New codes: from the prior, or from what is fitted to the codes."""

from attar.sampling.autoregressive import Autoregressive
from attar.sampling.flow import FittedFlow
from attar.sampling.kernel import KernelDensity
from attar.sampling.manifold import Manifold
from attar.sampling.sampler import Draw, Sampler
from attar.sampling.samplers import FromPrior, GaussianMixture
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
