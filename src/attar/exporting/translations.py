"""What a program in any format is, and how its library is found."""

from __future__ import annotations

import logging
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from attar.errors import AttarError, FileError, SettingError, first_line
from attar.exporting.ports import Arrays
from attar.exporting.programs import Program

# Rows of the example that a program is traced with.
TRACED = 3


class Translation(ABC):
    """A program in a format.

    Parameters
    ----------
    program : Program
    description : str
        JSON that says what it takes and gives, which the file has too.
    """

    suffix: ClassVar[str]

    @abstractmethod
    def __init__(self, program: Program, description: str) -> None: ...

    @abstractmethod
    def run(self, given: Arrays) -> Arrays:
        """Return the program's outputs, in the format's own library; categories as strings."""

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the file."""


def library(name: str, extra: str) -> ModuleType:
    """Return a library that is an extra.

    Raises
    ------
    FileError
        If it is not installed.
    """
    if name == "keras":
        os.environ.setdefault("KERAS_BACKEND", "torch")  # read when Keras is imported
    try:
        return import_module(name)
    except ImportError:
        raise FileError(
            f"This format needs {name}: install it with pip install 'attar[{extra}]'."
        ) from None


class Core(nn.Module):
    """The core of a program as a module: from blocks to a block."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program

    def forward(self, *blocks: Tensor) -> Tensor:
        """Return the tensor of the output."""
        return self.program.core(*blocks)


def traced(program: Program, core: bool = False) -> ExportedProgram:
    """Return the graph of a program or of its core, for any number of rows.

    Raises
    ------
    SettingError
        If the model has no such graph.
    """
    module: nn.Module = Core(program) if core else program
    examples = tuple(x.example(TRACED) for x in (program.blocks if core else program.inputs))
    shapes = (tuple({0: Dim("batch", min=1)} for _ in examples),)
    with quiet(), refusing(program, "a program"):
        return torch.export.export(module, examples, dynamic_shapes=shapes)


@contextmanager
def refusing(program: Program, what: str) -> Iterator[None]:
    """Refuse a model that a library cannot translate: whatever it raises is no fault of the user.

    Raises
    ------
    SettingError
        That names what the model is made of, and what can be exported.
    """
    try:
        yield
    except AttarError:
        raise
    except Exception as error:
        code, network, likelihood = program.made_of
        raise SettingError(
            f"The {program.name} of a model with the code {code!r}, the network {network!r} and "
            f"the likelihood {likelihood!r} cannot be {what}, as {first_line(error)}: all recipes "
            "but hvae, rhvae, lossless and those of codecs can, such as ae and vae."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings and the log of translators to ourselves: a translation is checked."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(disabled)
