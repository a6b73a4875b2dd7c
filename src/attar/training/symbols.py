"""What a codec learns of training rows, once the model is trained."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor

from attar.data.kind import Kind, Rows
from attar.data.table import Table
from attar.data.text import Text
from attar.data.training_data import TrainingData
from attar.isolation import seeded
from attar.likelihoods import Causal, Likelihood
from attar.likelihoods.context_mixing import MixingTables
from attar.likelihoods.memory import Memory, memories_of
from attar.model import Model
from attar.predictor import Predictor
from attar.recipe import Recipe
from attar.records import Batch
from attar.sampling import FrameSymbols
from attar.sampling.frames import FrameNetwork, books_of, residual

# How often the training rows are joined to signals, and how many at once.
SIGNALS, AT_ONCE = 2, 512

# Context mixing is primed by so many bytes, in half a minute.
PRIMED = 1 << 20

# The mean square of a silent frame, in units of the prepared samples.
SILENT = 1e-6


@torch.no_grad()
def trained_symbols(recipe: Recipe, predictor: Predictor, rows: Rows) -> FrameNetwork | None:
    """Return a network of the symbols of training rows, where the recipe's sampler is of frames.

    The rows are augmented as in training, and joined: symbols follow each other as in one signal.
    """
    model = predictor.model
    if not isinstance(recipe.sampler, FrameSymbols):
        return None
    code, parts, loudness = residual(deepcopy(model.code).cpu()), list[Tensor](), list[Tensor]()
    dim = books_of(code).shape[2]
    with seeded(0, predictor.device):
        for start in [*range(0, rows.shape[0], AT_ONCE)] * SIGNALS:
            prepared = predictor.preparation.prepare(rows[start : start + AT_ONCE])
            signal = model.corrupted(Batch.of(prepared.to(predictor.device))).values
            samples = signal.movedim(1, 0).flatten(1)
            parts.append(code.quantize(model.encoder(samples[None]).cpu().reshape(-1, dim)))
            frames = samples[0].cpu().tensor_split(len(parts[-1]))
            loudness += [frame.square().mean().clamp_min(SILENT).log() for frame in frames]
    return recipe.sampler.network(code, torch.cat(parts), torch.stack(loudness))


def restored_symbols(
    recipe: Recipe, model: Model, tensors: Mapping[str, Tensor]
) -> FrameNetwork | None:
    """Return the network of symbols that a model file holds."""
    if not tensors or not isinstance(recipe.sampler, FrameSymbols):
        return None
    with seeded(0):
        network = recipe.sampler.untrained(residual(model.code))
    network.load_state_dict(tensors, assign=True)
    return network.eval().requires_grad_(False)


def trained_memories(likelihood: Likelihood, kind: Kind, data: TrainingData) -> tuple[Memory, ...]:
    """Return what is remembered of a table's training rows, where that makes new ones shorter."""
    if not isinstance(likelihood, Causal) or not isinstance(kind, Table):
        return ()
    coded, rows = likelihood.coded, data.rows[data.train_index]
    return memories_of([likelihood.channels[i] for i in coded], rows[:, coded])


def primed_tables(kind: Kind, data: TrainingData) -> dict[str, Tensor]:
    """Return the tables of context mixing, packed; primed by lines of text, evenly spaced."""
    if not isinstance(kind, Text):
        return {}
    rows = data.rows[data.train_index].astype(int).tolist()
    lines = [kind.vocabulary.decode(row) for row in rows]
    size = sum(map(len, lines)) + len(lines)
    text = b"".join(line + b"\n" for line in lines[:: -(-size // PRIMED)])
    packed = MixingTables.primed(text).packed()
    return {name: torch.from_numpy(table.copy()) for name, table in packed.items()}
