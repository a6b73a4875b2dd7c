"""The table: every published variant is one expression of parts.

To add a variant, add a row. The command line's choices, the page of recipes, the citations and the
tests are all made from this table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from attar.codes import Code, Gaussian, Ordered, Point, SparseKL, SparseL1, TopK
from attar.corruptions import Corruption, Masking
from attar.errors import SettingError, unknown
from attar.likelihoods import Likelihood
from attar.model import Model
from attar.networks import Network
from attar.objective import Objective
from attar.parts import Part
from attar.penalties import L2, Contractive, Penalty


@dataclass(frozen=True)
class Recipe(Part, name="recipe"):
    """A variant of the autoencoder, as an expression of parts.

    Parameters
    ----------
    code : Code
        How features become a code, and what it costs.
    corruption : Corruption or None
        What is done to the input before encoding, in training.
    penalties : tuple of Penalty
        What is punished besides error and rate.
    """

    code: Code = field(default_factory=Point)
    corruption: Corruption | None = None
    penalties: tuple[Penalty, ...] = ()

    def build(
        self,
        shape: tuple[int, ...],
        code_size: int,
        network: Network,
        likelihood: Likelihood,
        gaps: bool = False,
    ) -> Objective:
        """Return the objective, and in it the model, for rows of a shape.

        With ``gaps`` the encoder is told which cells are observed.

        Raises
        ------
        SettingError
            If the parts don't fit together.
        """
        self.check()
        seen = (2 * shape[0], *shape[1:]) if gaps else shape
        model = Model(
            network.encoder(seen, self.code.width(code_size)),
            self.code.build(code_size),
            network.decoder(self.code.shown(code_size), likelihood.parameters(shape)),
            likelihood.build(),
            None if self.corruption is None else self.corruption.build(),
            gaps,
        )
        penalties = {
            penalty.name: penalty.build(model.encoder, model.code, model.decoder)
            for penalty in self.penalties
        }
        return Objective(model, self.code.beta, penalties)

    def check(self) -> None:
        """Refuse parts that don't fit together.

        Raises
        ------
        SettingError
            If a penalty needs a code without chance and this one is random.
        """
        for penalty in self.penalties:
            if "point" in penalty.needs and "density" in self.code.provides:
                raise SettingError(
                    f"The penalty {penalty.name!r} needs a code without chance, but the code "
                    f"{self.code.name!r} is random: use it with 'point', 'sparse-l1', 'sparse-kl' "
                    "or 'topk'."
                )


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes
    ----------
    recipe : Recipe
    summary : str
        What it is, in one line.
    citation : str
        Where it was published.
    """

    recipe: Recipe
    summary: str
    citation: str


TABLE: dict[str, Row] = {
    "ae": Row(
        Recipe(Point()),
        "The plain autoencoder: a small code, and the least error.",
        "Hinton and Salakhutdinov, Reducing the dimensionality of data with neural networks, "
        "Science 313, 2006.",
    ),
    "denoising": Row(
        Recipe(Point(), corruption=Masking(0.25)),
        "Sees damaged rows and must bring back the clean ones.",
        "Vincent, Larochelle, Bengio and Manzagol, Extracting and composing robust features with "
        "denoising autoencoders, ICML 2008.",
    ),
    "sparse-l1": Row(
        Recipe(SparseL1(beta=0.1), penalties=(L2(1e-4),)),
        "Few units are active for any row, since activity has its price.",
        "Olshausen and Field, Emergence of simple-cell receptive field properties by learning a "
        "sparse code for natural images, Nature 381, 1996.",
    ),
    "sparse-kl": Row(
        Recipe(SparseKL(target=0.1, beta=1.0)),
        "Each unit is drawn to the same small mean activity.",
        "Ng, Sparse autoencoder, CS294A lecture notes, Stanford 2011.",
    ),
    "sparse-topk": Row(
        Recipe(TopK(k=8)),
        "Only the k largest units of a row are kept, and none stays dead.",
        "Makhzani and Frey, k-Sparse autoencoders, ICLR 2014.",
    ),
    "contractive": Row(
        Recipe(Point("sigmoid"), penalties=(Contractive(0.1),)),
        "The code hardly moves when the row moves a little.",
        "Rifai, Vincent, Muller, Glorot and Bengio, Contractive auto-encoders: explicit invariance "
        "during feature extraction, ICML 2011.",
    ),
    "ordered": Row(
        Recipe(Ordered()),
        "The numbers come in order of what they carry: the first k are a code, for every k.",
        "Rippel, Gelbart and Adams, Learning ordered representations with nested dropout, ICML "
        "2014.",
    ),
    "vae": Row(
        Recipe(Gaussian()),
        "Each code is a gaussian drawn to a common one, so that new data can be made.",
        "Kingma and Welling, Auto-encoding variational Bayes, ICLR 2014.",
    ),
    "beta-vae": Row(
        Recipe(Gaussian(beta=4.0)),
        "A variational autoencoder that pays more for its code, to separate its factors.",
        "Higgins et al., beta-VAE: learning basic visual concepts with a constrained variational "
        "framework, ICLR 2017.",
    ),
}


def names() -> Iterator[str]:
    """Yield the name of each recipe, in the table's order."""
    yield from TABLE


def recipe(name: str) -> Recipe:
    """Return the recipe of this name.

    Raises
    ------
    SettingError
        If there is none; the nearest name is suggested.
    """
    if name not in TABLE:
        raise unknown("recipe", name, TABLE)
    return TABLE[name].recipe


def resolve(choice: object) -> Recipe:
    """Return the recipe that a user means by a name of the table or by a Recipe.

    Raises
    ------
    SettingError
        If it is neither.
    """
    return recipe(choice) if isinstance(choice, str) else Recipe.resolve(choice)
