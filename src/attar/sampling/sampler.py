"""What every sampler is: fitted to the codes of rows, it draws new ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from torch import Generator, Tensor

from attar.codes import CodeModule
from attar.parts import Part

# From a number n and a source of chance to n codes (n, d), on the CPU.
Draw = Callable[[int, Generator], Tensor]


class Sampler(Part):
    """Where new codes come from."""

    @abstractmethod
    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return what draws codes like those of rows (m, d).

        The same codes give the same result: where fitting takes chance, it has a seed of its own.

        Raises
        ------
        SettingError
            If it does not fit the code.
        """
