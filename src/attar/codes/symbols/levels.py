"""Vector quantization in two levels: the whole first, then the parts as the whole has them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attar.codes.code import CodeModule
from attar.codes.symbols.codebook import Codebook
from attar.codes.symbols.vector import BookModule, Quantized
from attar.networks.mlp import linear


@dataclass(frozen=True)
class TwoLevels(Quantized, name="vq-2"):
    """A quarter of the symbols are the top; the others, the bottom, are chosen knowing the top.

    The bottom quantizes its features plus a learnt function of the top's entries; each level has
    a codebook of its own, and the decoder sees both.

    Parameters
    ----------
    codebook : int
        How many entries each level has.
    dim : int
        How many numbers an entry has; the code has ``code_size / dim`` symbols.
    decay : float or None
        Of the running means of what each entry wins, 0 to 1; None to learn by the codebook loss.
    commitment : float
        How much what is quantized is drawn to its entry.
    hidden : int
        Units in the hidden layer of the function.

    References
    ----------
    Razavi, van den Oord and Vinyals, "Generating diverse high-fidelity images with VQ-VAE-2",
    NeurIPS 2019.
    """

    hidden: int = 64

    @property
    def least_size(self) -> int:
        """A symbol for each level."""
        return 2 * self.dim

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module."""
        positions = self.blocks(code_size)
        hidden = self.counted("hidden")
        top = self.dim * max(1, positions // 4)
        told = nn.Sequential(linear(top, hidden), nn.SiLU(), linear(hidden, code_size - top))
        return TwoLevelModule(positions, top, self.book(), self.book(), told, self.commitment)


class TwoLevelModule(BookModule):
    """Quantizes the first numbers, and then the others with what the first say of them."""

    def __init__(
        self,
        positions: int,
        top: int,
        top_book: Codebook,
        bottom_book: Codebook,
        told: nn.Module,
        commitment: float,
    ) -> None:
        super().__init__(positions * (top_book.size,), commitment, top_book.moving)
        self.top, self.top_positions = top, top // top_book.table.shape[-1]
        self.top_book, self.bottom_book, self.told = top_book, bottom_book, told

    def quantize(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each level was given, and its symbols."""
        top, bottom = features[:, : self.top], features[:, self.top :]
        top_symbols = self.top_book.nearest(top)
        entries = self.top_book.vectors(top_symbols)
        if self.training:
            entries = entries.detach() + self.through(top)
        bottom = bottom + self.told(entries)
        symbols = [top_symbols, self.bottom_book.nearest(bottom)]
        return torch.cat([top, bottom], -1), torch.cat(symbols, -1)

    def symbols(self, z: Tensor) -> Tensor:
        """Return the nearest entries of each level: (n, positions)."""
        top, bottom = z[:, : self.top], z[:, self.top :]
        return torch.cat([self.top_book.nearest(top), self.bottom_book.nearest(bottom)], -1)

    def vectors(self, symbols: Tensor) -> Tensor:
        """Return the entries, the top's first: (n, d)."""
        top, bottom = symbols[:, : self.top_positions], symbols[:, self.top_positions :]
        return torch.cat([self.top_book.vectors(top), self.bottom_book.vectors(bottom)], -1)

    def learn(self, given: Tensor, symbols: Tensor) -> None:
        """Move the entries of each level to what they won."""
        given, top = given.detach(), self.top_positions
        self.top_book.learn(given[:, : self.top], symbols[:, :top])
        self.bottom_book.learn(given[:, self.top :], symbols[:, top:])

    @torch.no_grad()
    def on_data(self, values: Tensor, features: Tensor) -> None:
        """Start the top by k-means, and then the bottom."""
        self.top_book.start(features[:, : self.top])
        self.bottom_book.start(self.quantize(features)[0][:, self.top :])

    def on_epoch(self) -> None:
        """Make dead entries anew."""
        self.top_book.revive()
        self.bottom_book.revive()
