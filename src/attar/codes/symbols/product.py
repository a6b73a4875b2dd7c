"""Product quantization: each position has a codebook of its own."""

from __future__ import annotations

from dataclasses import dataclass

from attar.codes.code import CodeModule
from attar.codes.symbols.vector import Quantized, VectorModule


@dataclass(frozen=True)
class ProductQuantized(Quantized, name="pq"):
    """Each block of numbers is rounded to the nearest entry of its own codebook.

    Parameters
    ----------
    codebook : int
        How many entries there are for each position.
    dim : int
        How many numbers an entry has; the code has ``code_size / dim`` symbols.
    decay : float or None
        Of the running means of what each entry wins, 0 to 1; None to learn by the codebook loss.
    commitment : float
        How much features are drawn to their entries.

    References
    ----------
    Jégou, Douze and Schmid, "Product quantization for nearest neighbor search", IEEE TPAMI 2011.
    As a code: Wu and Flierl, "Learning product codebooks using vector-quantized autoencoders for
    image retrieval", GlobalSIP 2019.
    """

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        return VectorModule(positions, self.book(positions), self.commitment)
