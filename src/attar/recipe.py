"""A recipe: a variant of the autoencoder, as an expression of parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from attar.bounds import Bound, Elbo
from attar.codes import Code, Point
from attar.conditions import Condition
from attar.corruptions import Corruption
from attar.errors import SettingError
from attar.likelihoods import Likelihood
from attar.model import Model
from attar.networks import Network
from attar.objective import Objective
from attar.parts import Part
from attar.penalties import Penalty
from attar.priors import Prior
from attar.sampling import Sampler

# What another part may need of a code, in words.
NEEDS = {
    "point": "a code without chance",
    "density": "a code with a density",
    "moments": "a code that is a gaussian for each row",
    "prior": "a code with a prior",
    "draws": "a code with a prior",
    "symbols": "a code of symbols",
    "metric": "a code with a metric",
    "sphere": "a code on a sphere",
    "ball": "a code in a ball",
}

# What a prior gives that was chosen for the code; draws, one of the code's own as well.
PRIOR = {"prior", "draws"}

FAMILIES: dict[str, type[Part]] = {
    "code": Code,
    "corruption": Corruption,
    "bound": Bound,
    "condition": Condition,
    "likelihood": Likelihood,
    "sampler": Sampler,
}


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
    bound : Bound
        How the likelihoods and rates of several draws become a loss.
    condition : Condition or None
        How a condition given beside the data is told to the encoder.
    likelihood : Likelihood or None
        What the variant measures error by, where that is part of its idea.
    sampler : Sampler or None
        Where new codes come from, where that is part of its idea.
    """

    code: Code = field(default_factory=Point)
    corruption: Corruption | None = None
    penalties: tuple[Penalty, ...] = ()
    bound: Bound = field(default_factory=Elbo)
    condition: Condition | None = None
    likelihood: Likelihood | None = None
    sampler: Sampler | None = None

    def build(
        self,
        shape: tuple[int, ...],
        code_size: int,
        network: Network,
        likelihood: Likelihood,
        missing: bool = False,
        condition_size: int = 0,
    ) -> Objective:
        """Return the objective, and in it the model, for rows of a shape.

        With ``missing`` the encoder is told which cells are observed.

        Raises
        ------
        SettingError
            If the parts don't fit together.
        """
        self.check()
        seen = (2 * shape[0], *shape[1:]) if missing else shape
        code, width = self.code, self.code.width(code_size)
        model = Model(
            network.encoder(seen, width),
            code.build(code_size, shape),
            network.decoder(
                code.decoder_width(code_size) + condition_size, likelihood.parameters(shape)
            ),
            likelihood.build(),
            None if self.corruption is None else self.corruption.build(),
            None if self.condition is None else self.condition.build(width, condition_size),
            missing,
            code.noise(code_size),
        )
        penalties = {p.name: p.build(model, code_size, shape) for p in self.penalties}
        return Objective(model, code.beta, penalties, self.bound)

    @classmethod
    def resolve(cls, choice: object) -> Self:
        """Return the recipe that a user means, whose parts must be parts.

        Raises
        ------
        SettingError
            If it is no recipe, or a part of it is something else, such as a name.
        """
        recipe = super().resolve(choice)
        for name, family in FAMILIES.items():
            part = getattr(recipe, name)
            if not isinstance(part, family) and (part is not None or name in ("code", "bound")):
                raise SettingError(
                    f"The {name} of a recipe must be a {family.__name__} of attar's, not {part!r}."
                )
        given = recipe.penalties
        if not isinstance(given, tuple | list) or not all(
            isinstance(part, Penalty) for part in given
        ):
            raise SettingError(
                f"The penalties of a recipe must be a tuple of attar's penalties, not {given!r}."
            )
        return recipe

    def check(self) -> None:
        """Refuse parts that don't fit together.

        Raises
        ------
        SettingError
            If a penalty, a bound, a prior or a sampler needs what the code does not provide.
        """
        self.code.non_negative("beta")
        sampler = () if self.sampler is None else (self.sampler,)
        for part in (*self.penalties, self.bound, *_priors(self.code), *sampler):
            for need in sorted(part.needs):
                if not _has(self.code, need):
                    fitting = ", ".join(_quoted_codes(need))
                    if part is self.sampler:
                        fitting += ", or sample by 'mixture' instead"
                    raise SettingError(
                        f"The {part.family} {part.name!r} needs {NEEDS[need]}, but the code "
                        f"{self.code.name!r} is none: use it with {fitting}."
                    )
        names = [penalty.name for penalty in self.penalties]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise SettingError(
                f"The penalty {twice!r} is given more than once: give it once, with one weight."
            )
        asking: list[Code | Prior] = [self.code, *_priors(self.code)]
        for asks in asking:
            if self.condition is not None and asks.encodes:
                raise SettingError(
                    f"The {asks.family} {asks.name!r} encodes rows of its own, of which no "
                    "condition is known: use another, or fit without a condition."
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


def _priors(code: Code) -> tuple[Prior, ...]:
    return () if code.prior is None else (code.prior,)


def _has(code: Code, need: str) -> bool:
    if need == "draws" and "density" in code.provides:
        return True
    return code.prior is not None if need in PRIOR else need in code.provides


def _quoted_codes(need: str) -> list[str]:
    """Return the names of the codes that have what is needed, quoted."""
    found = [f"{name!r}" for name, code in sorted(Code.members.items()) if _has(code(), need)]
    return [*found, "'point' with prior='standard-normal'"] if need in PRIOR else found
