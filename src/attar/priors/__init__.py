"""Priors: where codes are expected to lie."""

from attar.priors.flow import Flow
from attar.priors.mixture import Mixture
from attar.priors.normal import StandardNormal
from attar.priors.prior import Prior, PriorModule
from attar.priors.vamp import Vamp

__all__ = ["Flow", "Mixture", "Prior", "PriorModule", "StandardNormal", "Vamp"]
