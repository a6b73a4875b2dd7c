"""A fitted model: what it was built from, its weights, and what was learnt about it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

from attar.applied import Applied
from attar.choices import Choice
from attar.codes import CodeModule
from attar.data.conditioning import Conditioning
from attar.data.kind import Kind
from attar.data.kinds import KINDS
from attar.data.preparations import restored
from attar.data.scaling import Scaler
from attar.errors import SettingError
from attar.evaluation.baseline import Baseline
from attar.evaluation.diagnosis import Facts
from attar.evaluation.study import Study
from attar.likelihoods import Likelihood
from attar.networks import Modules, Network
from attar.parts import Part
from attar.recipe import Recipe
from attar.records import Epoch
from attar.sampling import Draw, Sampler
from attar.sampling.samplers import drawing
from attar.training.checkpoints import nested, unnested


@dataclass(frozen=True)
class Fitted:
    """A fitted model.

    Attributes
    ----------
    recipe, network, likelihood : Part
        What the model was built from.
    applied : Applied
        The model, ready to be used.
    conditioning : Conditioning or None
        How what is told besides becomes numbers, where something is.
    choices : list of Choice
    history : list of Epoch
    study : Study
    drawings : dict of Sampler or None to Draw
        What draws new codes, of the samplers that were asked for.
    """

    recipe: Recipe
    network: Network
    likelihood: Likelihood
    applied: Applied
    conditioning: Conditioning | None
    choices: list[Choice]
    history: list[Epoch]
    study: Study
    drawings: dict[Sampler | None, Draw] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        # What draws is made again where it is needed: it may be a function that nothing can copy.
        return {**vars(self), "drawings": {}}

    @property
    def kind(self) -> Kind:
        """The form of the data."""
        return self.applied.preparation.kind

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that is an array, by name."""
        model, scaler = self.applied.model.state_dict(), self.applied.preparation.scaler
        baseline, told = self.study.baseline, self.conditioning
        return {
            **nested("model", model),
            **nested("scaler", scaler.state_dict()),
            "codes": torch.from_numpy(self.study.codes),
            "numbers": torch.from_numpy(self.study.numbers),
            "baseline.mean": torch.from_numpy(baseline.mean),
            "baseline.components": torch.from_numpy(baseline.components),
            **({} if told is None else nested("told", told.tensors())),
        }

    def to_json(self) -> dict[str, Any]:
        """Return everything else as plain JSON data."""
        kind = self.kind
        return {
            "recipe": self.recipe.to_json(),
            "network": None if isinstance(self.network, Modules) else self.network.to_json(),
            "likelihood": self.likelihood.to_json(),
            "kind": {"name": kind.name, **kind.to_json()},
            "told": None if self.conditioning is None else self.conditioning.to_json(),
            "gaps": self.applied.model.gaps,
            "code_size": self.applied.code_size,
            "choices": [choice.to_json() for choice in self.choices],
            "history": [epoch.to_json() for epoch in self.history],
            "facts": self.study.facts.to_json(),
        }

    @property
    def code(self) -> CodeModule:
        """The code, on the CPU."""
        return deepcopy(self.applied.model).cpu().code

    def drawing(self, sampler: Sampler | None = None) -> Draw:
        """Return what draws new codes by a sampler, or by the recipe's own."""
        sampler = sampler or self.recipe.sampler
        if sampler not in self.drawings:
            known = torch.from_numpy(self.study.codes)
            self.drawings[sampler] = drawing(sampler, self.code, known)
        return self.drawings[sampler]

    def truncated(self, code_size: int) -> Self:
        """Return the same model with an ordered code cut to its first numbers.

        Raises
        ------
        SettingError
            If the code is not ordered, or has fewer numbers.
        """
        code = self.recipe.code
        if "ordered" not in code.provides:
            raise SettingError(
                f"The code {code.name!r} cannot be cut: fit with the recipe 'ordered'."
            )
        model, study = self.applied.model, self.study
        learnt = code.shown(self.applied.code_size)
        recipe = self.recipe.replace(code=code.replace(learnt=learnt))
        kept = deepcopy(model)
        kept.code = recipe.code.build(code_size, self.kind.shape).eval()
        error = study.facts.size_errors[code_size]
        facts = replace(
            study.facts,
            error=error,
            train_error=error,
            carried=study.facts.carried[:code_size],
            size_errors=study.facts.size_errors[: code_size + 1],
        )
        return replace(
            self,
            recipe=recipe,
            applied=replace(self.applied, model=kept, code_size=code_size),
            drawings={},
            study=replace(study, codes=study.codes[:, :code_size], facts=facts),
        )

    @classmethod
    def restored(
        cls, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], network: Network | None
    ) -> Self:
        """Return the fitted model that :meth:`tensors` and :meth:`to_json` wrote down.

        Weights get their memory from the tensors given, never from sizes that the facts claim.

        Parameters
        ----------
        network : Network or None
            The user's own network, where the model was built from one.

        Raises
        ------
        KeyError, TypeError, ValueError, RuntimeError
            If tensors and facts don't fit together.
        """
        described = dict(facts["kind"])
        kind = KINDS[described.pop("name")].from_json(described)
        recipe, likelihood = Part.from_json(facts["recipe"]), Part.from_json(facts["likelihood"])
        network = network or Part.from_json(facts["network"])
        size = int(facts["code_size"])
        own, told = isinstance(network, Modules), None
        if facts["told"] is not None:
            told = Conditioning.restored(facts["told"], unnested("told", tensors))
        # Some modules draw weights, though those of the file take their place.
        with torch.device("cpu" if own else "meta"), torch.random.fork_rng([]):
            told_size = 0 if told is None else told.size
            built = recipe.build(kind.shape, size, network, likelihood, facts["gaps"], told_size)
        model = built.model
        model.load_state_dict(unnested("model", tensors), assign=not own)
        # A likelihood may have constants that are in no file.
        learnt = model.likelihood.state_dict()
        model.likelihood = likelihood.build()
        model.likelihood.load_state_dict(learnt, assign=not own)
        model.eval()
        scaler = Scaler.restored(unnested("scaler", tensors))
        return cls(
            recipe,
            network,
            likelihood,
            Applied(restored(kind, scaler), model, size, not own),
            told,
            [Choice(**choice) for choice in facts["choices"]],
            [Epoch(**epoch) for epoch in facts["history"]],
            Study(
                tensors["codes"].numpy(),
                tensors["numbers"].numpy(),
                Baseline(tensors["baseline.mean"].numpy(), tensors["baseline.components"].numpy()),
                Facts(**facts["facts"]),
            ),
        )
