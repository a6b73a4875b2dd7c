"""The parts of a model as programs: from the user's tensors to the user's tensors."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import replace
from itertools import islice
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from attar.data.images import Images
from attar.data.kind import Kind, Rows
from attar.data.series import Windows
from attar.data.sparse import SparsePreparation
from attar.data.summary import as_tensor
from attar.data.table import MixedTable, NumericTable, Table
from attar.errors import SettingError
from attar.evaluation.scores import ScoreReference, categorical, fixed_noise, log_likelihoods
from attar.exporting.columns import ColumnsForm, ConditionForm
from attar.exporting.forms import ImagesForm, MatrixForm, ProgramForm, SparseForm, WindowsForm
from attar.exporting.ports import Arrays, Block, Port
from attar.fitted import Fitted
from attar.predictor import Predictor
from attar.records import Batch

# Draws of each code for a score, as of score_samples.
DRAWS = 32


def form_of(predictor: Predictor) -> ProgramForm:
    """Return the form of the data that a model was fitted on.

    Raises
    ------
    SettingError
        If a program cannot prepare such data.
    """
    preparation = predictor.preparation
    if isinstance(preparation, SparsePreparation):
        return SparseForm(preparation)
    match preparation.kind:
        case Images() as kind:
            return ImagesForm(kind, predictor)
        case NumericTable() as kind:
            return MatrixForm(kind, predictor)
        case MixedTable() as kind:
            return ColumnsForm(kind, predictor)
        case Windows() as kind:
            return WindowsForm(kind, predictor)
    raise SettingError(
        f"Models of {preparation.kind.name} cannot be exported: those of tables, images, series "
        "and sparse matrices can."
    )


class Program(nn.Module, ABC):
    """A part of a model with its preparation.

    Parameters
    ----------
    fitted : Fitted

    Attributes
    ----------
    name : str
    blocks : tuple of Block
        What it takes.
    output : Block
        What it gives.
    dtype : torch.dtype
        That in which the networks compute; at first that of attar.
    made_of : tuple of str
        The names of code, network and likelihood.
    """

    name: ClassVar[str]
    blocks: tuple[Block, ...]
    output: Block

    def __init__(self, fitted: Fitted) -> None:
        super().__init__()
        self.predictor = fitted.predictor
        self.made_of = fitted.recipe.code.name, fitted.network.name, fitted.likelihood.name
        self.form = form_of(fitted.predictor)
        self.dtype = self.form.precision
        self.model = deepcopy(fitted.predictor.model).to("cpu", self.dtype).eval()
        self.model.requires_grad_(False)
        encoder = fitted.condition_encoder
        self.condition = None if encoder is None else ConditionForm(encoder)
        self.blocks, self.output = self.sides()
        if self.condition is not None:
            self.blocks = (*self.blocks, self.condition.inputs)
        names = [port.name for port in self.inputs]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise SettingError(f"The column {twice!r} has the name of the condition: rename it.")

    @abstractmethod
    def sides(self) -> tuple[tuple[Block, ...], Block]:
        """Return what the program takes besides a condition, and what it gives."""

    def in_single(self) -> None:
        """Let the networks compute in single precision."""
        self.dtype = torch.float32
        self.model.float()

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The tensors that it takes."""
        return tuple(port for block in self.blocks for port in block.ports)

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The tensors that it gives."""
        return self.output.ports

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors of ``outputs`` for those of ``inputs``."""
        rest = iter(given)
        joined = (block.joined(*islice(rest, len(block.ports))) for block in self.blocks)
        return self.output.divided(self.core(*joined))

    @abstractmethod
    def core(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the tensor of ``output`` for those of ``blocks``."""

    def given(self, data: object, rows: Rows) -> Arrays:
        """Return what the program takes for a user's data, which are these raw rows."""
        return self.form.given(data)

    @abstractmethod
    def expected(self, rows: Rows) -> Arrays:
        """Return what attar itself gives for raw rows, but not rounded."""

    def conditioned(self, condition: Tensor | None) -> Tensor | None:
        """Return the condition as the networks take it."""
        if self.condition is None or condition is None:
            return None
        encoded: Tensor = self.condition(condition)
        return encoded.to(self.dtype)

    def codes(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Return the codes of data."""
        batch = self.form.batch(self.dtype, x)
        return self.model.encode(batch.values, batch.observed, self.conditioned(condition))

    def restored(self, codes: Tensor, condition: Tensor | None) -> Tensor:
        """Return the data of codes."""
        decoded = self.model.decode(codes.to(self.dtype), self.conditioned(condition))
        return self.form.restored(decoded)

    def reconstruction(self, rows: Rows) -> Arrays:
        """Return what attar itself reconstructs of raw rows, but not rounded."""
        return self.form.expected(self.predictor.decode(self.predictor.encode(rows)))


class EncoderProgram(Program):
    """From data to codes."""

    name = "encoder"

    def sides(self) -> tuple[tuple[Block, ...], Block]:
        """Return the blocks of data and codes."""
        return (self.form.inputs,), codes_of(self)

    def core(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the codes."""
        return self.codes(x, condition).to(self.form.precision)

    def expected(self, rows: Rows) -> Arrays:
        """Return the codes."""
        return [self.predictor.encode(rows)]


class DecoderProgram(Program):
    """From codes to data."""

    name = "decoder"

    def sides(self) -> tuple[tuple[Block, ...], Block]:
        """Return the blocks of codes and data."""
        return (codes_of(self),), self.form.outputs

    def core(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the data."""
        return self.restored(x, condition)

    def given(self, data: object, rows: Rows) -> Arrays:
        """Return the codes."""
        return [self.predictor.encode(rows)]

    def expected(self, rows: Rows) -> Arrays:
        """Return the data."""
        return self.reconstruction(rows)


class WholeProgram(Program):
    """From data to their reconstruction."""

    name = "whole"

    def sides(self) -> tuple[tuple[Block, ...], Block]:
        """Return the blocks of data and data."""
        return (self.form.inputs,), self.form.outputs

    def core(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the reconstruction."""
        return self.restored(self.codes(x, condition), condition)

    def expected(self, rows: Rows) -> Arrays:
        """Return the reconstruction."""
        return self.reconstruction(rows)


class ScoreProgram(Program):
    """From data to their log-likelihood, as :meth:`~attar.Autoencoder.score_samples` gives it.

    What a column that was constant in the fit costs is left out.
    """

    name = "score"
    noise: Tensor

    def __init__(self, fitted: Fitted) -> None:
        super().__init__(fitted)
        self.reference = fitted.training_summary.reference
        self.completion = ScoreCompletion(self.reference, fitted.kind)
        self.register_buffer("noise", fixed_noise(self.model, DRAWS))

    def sides(self) -> tuple[tuple[Block, ...], Block]:
        """Return the blocks of data and scores."""
        return (self.form.inputs,), Block((Port("score", torch.float64),))

    def core(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the scores."""
        batch, surcharge = self.completion.known(self.form.scored(self.dtype, x))
        batch = replace(batch, condition=self.conditioned(condition))
        trace = self.model(batch, self.noise.to(self.dtype))
        weights = trace.log_likelihood
        if trace.coded.log_q is not None and trace.coded.log_p is not None:
            weights = weights + trace.coded.log_p - trace.coded.log_q
        mean = weights.double().logsumexp(0) - math.log(len(weights))
        score: Tensor = mean - surcharge + self.completion(batch.observed)
        return score

    def expected(self, rows: Rows) -> Arrays:
        """Return the scores."""
        return [log_likelihoods(self.predictor, rows, DRAWS, self.reference)]


class ScoreCompletion(nn.Module):
    """What makes scores of incomplete rows comparable; see :class:`ScoreReference`.

    Parameters
    ----------
    reference : ScoreReference
    kind : Kind
    """

    cells: Tensor
    knots: Tensor
    widths: Tensor
    slopes: Tensor
    first: Tensor
    members: Tensor
    rarest: Tensor
    costs: Tensor

    def __init__(self, reference: ScoreReference, kind: Kind) -> None:
        super().__init__()
        features, found = math.prod(kind.shape), categorical(kind)
        first = list(range(features))
        if isinstance(kind, Table):
            first = [segment.start for segment in kind.expansion.segments]
        members, rarest = np.zeros((2, len(found), features))
        for i, (_, segment) in enumerate(found):
            members[i, segment] = rarest[i, segment.start + reference.rarest[i, 0]] = 1
        buffers = {
            "cells": reference.cells,
            "knots": reference.known[:-1],
            "widths": np.diff(reference.known),
            "slopes": np.diff(reference.offset) / np.diff(reference.known),
            "first": np.array(first),
            "members": members.T,
            "rarest": rarest,
            "costs": np.log(reference.rarest[:, 1] + 1),
        }
        for name, array in buffers.items():
            if array.size:  # torch.export cannot save what is empty
                self.register_buffer(name, as_tensor(array))
        self.categories = len(found)

    def known(self, batch: Batch) -> tuple[Batch, Tensor]:
        """Return the batch with the rarest category for each one that the fit did not see.

        Only in the target; and what each row costs besides.
        """
        if not self.categories:
            return batch, self.cells.new_zeros(1)
        target, observed = batch.target.double(), batch.observed
        # Of a known category one feature is 1, of a missing or an unseen one none.
        unseen = 1 - target @ self.members
        if observed is not None:
            unseen = unseen * (observed.double() @ self.members > 0)
        target = target + unseen @ self.rarest
        return replace(batch, target=target.to(batch.target)), unseen @ self.costs

    def forward(self, observed: Tensor | None) -> Tensor:
        """Return what missing cells cost on average: (B,), of a mask of the observed ones."""
        if observed is None:
            return self.cells.new_zeros(1)
        flat = observed.flatten(1)
        count = flat[:, self.first].sum(1, dtype=torch.float64)[:, None]
        # The offset is piecewise linear, and constant beyond its knots.
        reached = (count - self.knots).clamp_min(0).minimum(self.widths)
        remaining = ((self.widths - reached) * self.slopes).sum(1)
        return (~flat).double() @ self.cells + remaining


PARTS = {part.name: part for part in (EncoderProgram, DecoderProgram, WholeProgram, ScoreProgram)}


def codes_of(program: Program) -> Block:
    """Return the tensor of codes."""
    return Block((Port("code", program.form.precision, (program.predictor.code_size,)),))
