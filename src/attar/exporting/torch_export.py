"""Programs of torch.export: ``.pt2`` files."""

from __future__ import annotations

from pathlib import Path

import torch

from attar.data.summary import as_tensor
from attar.exporting.ports import Arrays
from attar.exporting.programs import Program
from attar.exporting.translations import Translation, quiet, traced


class TorchTranslation(Translation):
    """A program of torch.export; categories are indices, -1 where one is missing."""

    suffix = ".pt2"

    def __init__(self, program: Program, description: str) -> None:
        self.program, self.description = program, description
        self.exported = traced(program)

    def run(self, given: Arrays) -> Arrays:
        """Return the program's outputs."""
        inputs, outputs = self.program.inputs, self.program.outputs
        indices = [
            one if port.categories is None else port.indices(one)
            for port, one in zip(inputs, given, strict=True)
        ]
        with torch.no_grad():
            found = self.exported.module()(*map(as_tensor, indices))
        arrays = [tensor.numpy() for tensor in found]
        return [
            one if port.categories is None else port.strings(one)
            for port, one in zip(outputs, arrays, strict=True)
        ]

    def save(self, path: Path) -> None:
        """Write the file, with the description as ``attar.json`` in it."""
        with quiet():
            torch.export.save(self.exported, path, extra_files={"attar.json": self.description})
