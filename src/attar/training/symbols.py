"""The training of a network of symbols, once the model that gives them is trained."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor

from attar.data.kind import Rows
from attar.isolation import seeded
from attar.model import Model
from attar.predictor import Predictor
from attar.recipe import Recipe
from attar.records import Batch
from attar.sampling import FrameSymbols
from attar.sampling.frames import FrameNetwork, books_of, residual

# How often the training rows are joined to signals, and how many at once.
SIGNALS, AT_ONCE = 2, 512

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
