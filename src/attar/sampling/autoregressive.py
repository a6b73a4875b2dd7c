"""New codes of symbols: each symbol is drawn knowing those before it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from attar.codes import CodeModule, SymbolModule
from attar.errors import SettingError
from attar.sampling.base import Draw, Sampler, Standardizer, trained


@dataclass(frozen=True)
class Autoregressive(Sampler, name="autoregressive"):
    """A recurrent network over the symbols of codes: p(s) = Π p(s_i | s_1, ..., s_{i-1}).

    Parameters
    ----------
    hidden : int
        Units of the network.
    steps : int
        Of training.

    References
    ----------
    van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation learning", NIPS 2017:
    a prior that is learnt after the code.
    """

    hidden: int = 64
    steps: int = 200

    needs = frozenset({"symbols"})

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the network's draws, as codes; the code must be one of symbols."""
        if not isinstance(code, SymbolModule):
            raise SettingError(
                f"The sampler {self.name!r} needs a code of symbols, and {type(code).__name__} "
                "has none: use 'mixture', or a code such as 'vq'."
            )
        with torch.no_grad():
            symbols, known = code.symbols(codes), entries(code)
        network = trained(
            lambda: SymbolNetwork(known, self.hidden), SymbolNetwork.loss, symbols, self.steps
        )

        def draw(n: int, generator: Generator) -> Tensor:
            return code.vectors(network.sample(n, generator))

        return draw


def entries(code: SymbolModule) -> list[Tensor]:
    """Return the vectors of all symbols of each position, (size, dim) each, standardised."""
    positions, found = len(code.sizes), []
    for position, size in enumerate(code.sizes):
        symbols = torch.zeros(size, positions, dtype=torch.long)
        symbols[:, position] = torch.arange(size)
        vectors = code.vectors(symbols).reshape(size, positions, -1)[:, position]
        found.append(Standardizer.of(vectors).there(vectors))
    return found


class SymbolNetwork(nn.Module):
    """A gated recurrent unit that reads symbols and foretells the next.

    A symbol is known by its vector, both where it is read and where it is foretold: what is near
    in the codebook behaves alike.

    Parameters
    ----------
    entries : list of Tensor (size, dim)
        The vectors of each position's symbols.
    hidden : int
    """

    def __init__(self, entries: list[Tensor], hidden: int) -> None:
        super().__init__()
        self.entries = entries
        self.known = nn.ModuleList(
            nn.Sequential(nn.Linear(each.shape[1], hidden), nn.SiLU(), nn.Linear(hidden, hidden))
            for each in entries
        )
        self.often = nn.ParameterList(torch.zeros(len(each)) for each in entries)
        self.start = nn.Parameter(torch.zeros(hidden))
        self.cell = nn.GRU(hidden, hidden, batch_first=True)
        self.silenced = nn.Dropout(0.2)

    def loss(self, symbols: Tensor) -> Tensor:
        """Return -log p of symbols (n, positions): (n,)."""
        keys = self._keys()
        read = [key[column] for key, column in zip(keys, symbols[:, :-1].T, strict=False)]
        read = [self.start.expand(len(symbols), -1), *read]
        states = self.silenced(self.cell(self.silenced(torch.stack(read, 1)))[0])
        losses = [
            functional.cross_entropy(self._logits(i, states[:, i], key), column, reduction="none")
            for i, (key, column) in enumerate(zip(keys, symbols.T, strict=True))
        ]
        return torch.stack(losses).sum(0)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator) -> Tensor:
        """Return ``n`` draws of symbols: (n, positions)."""
        read, memory, drawn = self.start.expand(n, -1), None, []
        for i, key in enumerate(self._keys()):
            state, memory = self.cell(read[:, None], memory)
            shares = self._logits(i, state[:, 0], key).softmax(-1)
            drawn.append(torch.multinomial(shares, 1, generator=generator)[:, 0])
            read = key[drawn[-1]]
        return torch.stack(drawn, 1)

    def _keys(self) -> list[Tensor]:
        return [known(each) for known, each in zip(self.known, self.entries, strict=True)]

    def _logits(self, position: int, states: Tensor, key: Tensor) -> Tensor:
        logits: Tensor = states @ key.mT + self.often[position]
        return logits
