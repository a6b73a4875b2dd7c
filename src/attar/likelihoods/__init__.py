"""Likelihoods: the decoder's output is a distribution over the data."""

from attar.likelihoods.bernoulli import Bernoulli, BernoulliProbability
from attar.likelihoods.categorical import Categorical
from attar.likelihoods.circular import Circular
from attar.likelihoods.column import Column
from attar.likelihoods.counts import Multinomial, Poisson
from attar.likelihoods.discretized import Discretized
from attar.likelihoods.gaussian import Gaussian, LearnedGaussian
from attar.likelihoods.likelihood import Likelihood, LikelihoodModule
from attar.likelihoods.mixed import Mixed
from attar.likelihoods.mixture import LogisticMixture
from attar.likelihoods.robust import Huber, Laplace
from attar.likelihoods.similarity import MultiScaleSimilarity
from attar.likelihoods.student import StudentT

__all__ = [
    "Bernoulli",
    "BernoulliProbability",
    "Categorical",
    "Circular",
    "Column",
    "Discretized",
    "Gaussian",
    "Huber",
    "Laplace",
    "LearnedGaussian",
    "Likelihood",
    "LikelihoodModule",
    "LogisticMixture",
    "Mixed",
    "MultiScaleSimilarity",
    "Multinomial",
    "Poisson",
    "StudentT",
]
