"""Likelihoods: the decoder's output is a distribution over the data."""

from attar.likelihoods.alphabets import Alphabet, Derived, Levels, OneHot
from attar.likelihoods.base import ColumnLikelihood, Likelihood, LikelihoodModule
from attar.likelihoods.causal import Causal
from attar.likelihoods.continuous import (
    Circular,
    FixedGaussian,
    HeteroscedasticGaussian,
    Huber,
    Laplace,
    LearnedGaussian,
    StudentT,
)
from attar.likelihoods.discrete import (
    Bernoulli,
    BernoulliProbability,
    Categorical,
    Discretized,
    Multinomial,
    Poisson,
)
from attar.likelihoods.images import LogisticMixture, MultiScaleSimilarity
from attar.likelihoods.language import Language
from attar.likelihoods.mixed import Mixed
from attar.likelihoods.spectra import MultiScaleMel

__all__ = [
    "Alphabet",
    "Bernoulli",
    "BernoulliProbability",
    "Categorical",
    "Causal",
    "Circular",
    "ColumnLikelihood",
    "Derived",
    "Discretized",
    "FixedGaussian",
    "HeteroscedasticGaussian",
    "Huber",
    "Language",
    "Laplace",
    "LearnedGaussian",
    "Levels",
    "Likelihood",
    "LikelihoodModule",
    "LogisticMixture",
    "Mixed",
    "MultiScaleMel",
    "MultiScaleSimilarity",
    "Multinomial",
    "OneHot",
    "Poisson",
    "StudentT",
]
