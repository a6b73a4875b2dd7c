"""A recipe: a variant of the autoencoder, as an expression of parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from attar.bounds import Bound, Elbo
from attar.codes import Code, NoCode, Point
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

# What a part may need of the code, in words.
NEEDS = {
    "point": "a deterministic code",
    "density": "a code with a density",
    "moments": "a code with a Gaussian posterior",
    "prior": "a code with a prior",
    "draws": "a code with a prior",
    "symbols": "a discrete code",
    "metric": "a code with a Riemannian metric",
    "sphere": "a code on a sphere",
    "ball": "a code in a ball",
}

# What any prior set on the code satisfies; "draws" also a code with a fixed prior of its own.
PRIOR = {"prior", "draws"}

FAMILIES: dict[str, type[Part]] = {
    "code": Code,
    "corruption": Corruption,
    "bound": Bound,
    "condition": Condition,
    "likelihood": Likelihood,
    "sampler": Sampler,
    "network": Network,
}


@dataclass(frozen=True)
class Recipe(Part, name="recipe"):
    r"""A variant of the autoencoder, as an expression of parts.

    The loss of a row, in nats, is the bound of distortion and rate, and weighted penalties. With
    one draw z of the code and the default bound it is

    .. math:: -\log p(x|z) + β \, KL(q(z|x) \,\|\, p(z)) + \sum_i w_i \, \mathrm{penalty}_i(x, z).

    Parameters
    ----------
    code : Code
        How features become a code, and its rate.
    corruption : Corruption or None
        Noise on the input in training.
    penalties : tuple of Penalty
        Terms of the loss besides distortion and rate.
    bound : Bound
        How the log-likelihoods and rates of several samples become a loss.
    condition : Condition or None
        How the encoder uses a condition that is given beside the data.
    likelihood : Likelihood or None
        The reconstruction loss, where the variant prescribes one.
    sampler : Sampler or None
        The distribution of new codes, where the variant prescribes one.
    network : Network or None
        The bodies, where the variant prescribes them: it is then for data that these take.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import Gaussian
    >>> from attar.likelihoods import Bernoulli
    >>> from attar.networks import Linear
    >>> recipe = Recipe(Gaussian(beta=4.0))
    >>> recipe.replace(code__beta=2.0)
    Recipe(code=Gaussian(beta=2.0, prior=StandardNormal()), ...network=None)
    >>> objective = recipe.build((8,), 3, Linear(), Bernoulli())
    >>> objective.model.decode(torch.zeros(1, 3)).shape
    torch.Size([1, 8])
    """

    code: Code = field(default_factory=Point)
    corruption: Corruption | None = None
    penalties: tuple[Penalty, ...] = ()
    bound: Bound = field(default_factory=Elbo)
    condition: Condition | None = None
    likelihood: Likelihood | None = None
    sampler: Sampler | None = None
    network: Network | None = None

    @property
    def compared(self) -> bool:
        """Whether reconstructions are compared with those of as many principal components.

        They are not where there is no code, or the network is one of the recipe's own.
        """
        return self.network is None and not isinstance(self.code, NoCode)

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

        With ``missing`` the encoder also gets the mask of observed cells.

        Raises
        ------
        SettingError
            If the parts don't fit together.
        """
        self.check()
        encoder_shape = (2 * shape[0], *shape[1:]) if missing else shape
        code, width = self.code, self.code.width(code_size)
        model = Model(
            network.encoder(encoder_shape, width),
            code.build(code_size, shape),
            network.decoder(
                code.decoder_width(code_size) + condition_size, likelihood.parameters(shape)
            ),
            likelihood.build(),
            None if self.corruption is None else self.corruption.build(),
            None if self.condition is None else self.condition.build(width, condition_size),
            missing,
            code.noise(code_size),
            None if self.corruption is None else self.corruption.shrinkage(width),
        )
        penalties = {p.name: p.build(model, code_size, shape) for p in self.penalties}
        return Objective(model, code.beta, penalties, self.bound)

    @classmethod
    def resolve(cls, choice: object) -> Self:
        """Return a recipe whose fields are parts.

        Raises
        ------
        SettingError
            If it is no recipe, or one of its fields is not a part.
        """
        if not isinstance(choice, cls):
            raise SettingError(
                f"{choice!r} is not a recipe: give a name of `attar recipes`, or an attar.Recipe."
            )
        for name, family in FAMILIES.items():
            part = getattr(choice, name)
            if not isinstance(part, family) and (part is not None or name in ("code", "bound")):
                raise SettingError(
                    f"The {name} of a recipe must be a {family.__name__}, not {part!r}."
                )
        penalties = choice.penalties
        if not isinstance(penalties, tuple | list) or not all(
            isinstance(part, Penalty) for part in penalties
        ):
            raise SettingError(
                f"The penalties of a recipe must be a tuple of penalties, not {penalties!r}."
            )
        return choice

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
                        fitting += ", or use sampler='mixture'"
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
        encoders: list[Code | Prior] = [self.code, *_priors(self.code)]
        for encoder in encoders:
            if self.condition is not None and encoder.encodes:
                raise SettingError(
                    f"The {encoder.family} {encoder.name!r} encodes rows of its own, which have no "
                    "condition: use another, or fit without a condition."
                )


@dataclass(frozen=True)
class Row:
    """A row of the table: a recipe, what it is in one line, and where it was published."""

    recipe: Recipe
    summary: str
    citation: str


def _priors(code: Code) -> tuple[Prior, ...]:
    return () if code.prior is None else (code.prior,)


def _has(code: Code, need: str) -> bool:
    if isinstance(code, NoCode):  # rows have a likelihood, and there is nothing to draw
        return False
    if need == "draws" and "density" in code.provides:
        return True
    return code.prior is not None if need in PRIOR else need in code.provides


def _quoted_codes(need: str) -> list[str]:
    """Return the names of the codes that have what is needed, quoted."""
    found = [f"{name!r}" for name in sorted(Code.members) if _has(Code.named(name), need)]
    return [*found, "'point' with prior='standard-normal'"] if need in PRIOR else found
