"""Likelihoods: the decoder's output is a distribution over the data."""

from attar.likelihoods.bernoulli import Bernoulli, BernoulliProbability
from attar.likelihoods.gaussian import Gaussian, LearnedGaussian
from attar.likelihoods.likelihood import Likelihood, LikelihoodModule
from attar.likelihoods.robust import Huber, Laplace

__all__ = [
    "Bernoulli",
    "BernoulliProbability",
    "Gaussian",
    "Huber",
    "Laplace",
    "LearnedGaussian",
    "Likelihood",
    "LikelihoodModule",
]
