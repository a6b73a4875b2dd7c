"""Parts that don't fit together are refused in one sentence that names both, and what would fit."""

import numpy as np
import pytest

import attar
from attar.bounds import ImportanceWeighted
from attar.codes import Gaussian, Point, Riemannian, Sphere, VectorQuantized
from attar.codes.ball import WrappedNormal
from attar.codes.sphere import UniformSphere
from attar.conditions import Joined
from attar.corruptions import Patches
from attar.errors import SettingError
from attar.likelihoods import Bernoulli
from attar.networks import Linear
from attar.penalties import (
    L2,
    Adversarial,
    Contractive,
    DensityRatio,
    DipI,
    MaximumMeanDiscrepancy,
    TotalCorrelation,
)
from attar.priors import StandardNormal, Vamp
from attar.recipe import Recipe
from attar.sampling import Autoregressive, FromPrior, Manifold

MISFITS = {
    "a Jacobian of discrete codes": (
        Recipe(VectorQuantized(), penalties=(Contractive(),)),
        "penalty 'contractive' needs a deterministic code, but the code 'vq' is none: use it with "
        ".*'point'",
    ),
    "moments of a point": (
        Recipe(Point(), penalties=(DipI(),)),
        "'dip-i' needs a code with a Gaussian posterior, but the code 'point' is none.*'gaussian'",
    ),
    "correlation on a sphere": (
        Recipe(Sphere(), penalties=(TotalCorrelation(),)),
        "penalty 'total-correlation' needs .* but the code 'sphere' is none",
    ),
    "a distance to no prior": (
        Recipe(Point(), penalties=(MaximumMeanDiscrepancy(),)),
        "penalty 'mmd' needs a code with a prior, but the code 'point' is none: use it with .*"
        "'gaussian'.*'point' with prior='standard-normal'",
    ),
    "a critic of no prior": (
        Recipe(Point(), penalties=(Adversarial(),)),
        "penalty 'adversarial' needs a code with a prior",
    ),
    "a critic of points": (
        Recipe(Point(), penalties=(DensityRatio(),)),
        "penalty 'factor' needs a code with a density, but the code 'point' is none",
    ),
    "weights without density": (
        Recipe(Point(), bound=ImportanceWeighted(3)),
        "bound 'iwae' needs a code with a density, but the code 'point' is none",
    ),
    "pseudo-inputs of points": (
        Recipe(Point(prior=Vamp())),
        "prior 'vamp' needs a code with a Gaussian posterior, but the code 'point' is none",
    ),
    "pseudo-inputs with a condition": (
        Recipe(Gaussian(prior=Vamp()), condition=Joined()),
        "prior 'vamp' encodes rows of its own, which have no condition",
    ),
    "a flat code on a sphere": (
        Recipe(Gaussian(prior=UniformSphere())),
        "prior 'uniform-sphere' needs a code on a sphere, but the code 'gaussian' is none: use it "
        "with 'sphere'",
    ),
    "a flat code in a ball": (
        Recipe(Gaussian(prior=WrappedNormal())),
        "prior 'wrapped-normal' needs a code in a ball, but the code 'gaussian' is none: use it "
        "with 'poincare'",
    ),
    "one penalty twice": (
        Recipe(Point(), penalties=(L2(1e-4), L2(1e-3))),
        "penalty 'l2' is given more than once",
    ),
    "a negative weight of the rate": (
        Recipe(Gaussian(beta=-1.0)),
        "beta of .* must be 0 or a number above",
    ),
    "samples of a missing prior": (
        Recipe(Point(), sampler=FromPrior()),
        "sampler 'prior' needs a code with a prior, but the code 'point' is none: use it with .*"
        "'vq'.*'point' with prior='standard-normal', or use sampler='mixture'",
    ),
    "symbols of a gaussian": (
        Recipe(Gaussian(), sampler=Autoregressive()),
        "sampler 'autoregressive' needs a discrete code, but the code 'gaussian' is none.*'vq'",
    ),
    "a manifold of a gaussian": (
        Recipe(Gaussian(), sampler=Manifold()),
        "'manifold' needs a code with a Riemannian metric, but .*: use it with 'riemannian', or",
    ),
    "anchors with a condition": (
        Recipe(Riemannian(), condition=Joined()),
        "code 'riemannian' encodes rows of its own, which have no condition",
    ),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_misfits_are_refused(misfit):
    recipe, sentence = MISFITS[misfit]
    size = 0 if recipe.condition is None else 2
    with pytest.raises(SettingError, match=sentence) as refusal:
        recipe.build((8,), 4, Linear(), Bernoulli(), condition_size=size)
    assert str(refusal.value).count(". ") == 0


@pytest.mark.parametrize("code", [Sphere(), VectorQuantized(), Point(prior=StandardNormal())])
def test_codes_with_a_prior_of_their_own_are_drawn_from_it(code):
    Recipe(code, sampler=FromPrior()).check()


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"code": "vq"}, "code of a recipe must be a Code, not 'vq'"),
        ({"bound": None}, "bound of a recipe must be a Bound"),
        ({"sampler": "manifold"}, "sampler of a recipe must be a Sampler"),
        ({"penalties": Contractive()}, "penalties of a recipe must be a tuple"),
    ],
)
def test_what_is_no_part_is_refused(parts, sentence):
    with pytest.raises(SettingError, match=sentence):
        attar.Autoencoder(Recipe(**parts), epochs=1, verbose=False).fit(np.ones((9, 3)).cumsum(0))


def test_what_asks_for_hidden_cells_alone_needs_a_likelihood_that_can():
    rows = np.random.default_rng(0).poisson(2.0, (50, 6))
    wrong = attar.Autoencoder(Recipe(corruption=Patches()), likelihood="multinomial", epochs=1)
    with pytest.raises(
        SettingError, match=r"'multinomial' needs complete.*'patches' puts only masked"
    ):
        wrong.set_params(scaling="none", verbose=False).fit(rows)


def test_symbols_take_sizes_of_their_own():
    rows = np.random.default_rng(0).random((60, 10))
    with pytest.raises(SettingError, match=r"'vq' code must be a multiple of 4.*size of 4 or 8"):
        attar.Autoencoder("vq-vae", 6, epochs=1, verbose=False).fit(rows)
    chosen = attar.Autoencoder("vq-vae", epochs=1, verbose=False).fit(rows)
    assert chosen.code_size_ % 4 == 0
