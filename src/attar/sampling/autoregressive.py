"""An autoregressive sampler of discrete codes."""

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
        The number of hidden units.
    steps : int
        The number of training steps.

    Examples
    --------
    >>> from attar.codes import Gumbel
    >>> code = Gumbel().build(4).eval()
    >>> codes = code.vectors(torch.zeros(100, 1, dtype=torch.long))
    >>> draw = Autoregressive(hidden=8, steps=60).fit(code, codes)
    >>> bool((code.symbols(draw(100, torch.Generator())) == 0).float().mean() > 0.9)
    True

    References
    ----------
    van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation learning", NIPS 2017,
    for the prior that is fitted after training.
    """

    hidden: int = 64
    steps: int = 200

    needs = frozenset({"symbols"})

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the network's draws, as codes; the code must be discrete."""
        if not isinstance(code, SymbolModule):
            raise SettingError(
                f"The sampler {self.name!r} needs a discrete code, and {type(code).__name__} is "
                "none: use 'mixture', or a code such as 'vq'."
            )
        with torch.no_grad():
            symbols, vectors = code.symbols(codes), symbol_vectors(code)
        network = trained(
            lambda: SymbolNetwork(vectors, self.hidden), SymbolNetwork.loss, symbols, self.steps
        )
        return lambda n, generator: code.vectors(network.sample(n, generator))


def symbol_vectors(code: SymbolModule) -> list[Tensor]:
    """Return the standardized vectors of all symbols of each position: (size, dim) each."""
    positions, found = len(code.sizes), []
    for position, size in enumerate(code.sizes):
        symbols = torch.zeros(size, positions, dtype=torch.long)
        symbols[:, position] = torch.arange(size)
        vectors = code.vectors(symbols).reshape(size, positions, -1)[:, position]
        found.append(Standardizer.of(vectors).transform(vectors))
    return found


class SymbolNetwork(nn.Module):
    """A gated recurrent unit that reads symbols and predicts the next.

    A symbol is represented by its codebook vector, as input and as output, so that symbols with
    similar vectors get similar probabilities.

    Parameters
    ----------
    vectors : list of Tensor (size, dim)
        The vectors of each position's symbols.
    hidden : int
    """

    def __init__(self, vectors: list[Tensor], hidden: int) -> None:
        super().__init__()
        self.vectors = vectors
        self.embeddings = nn.ModuleList(
            nn.Sequential(nn.Linear(each.shape[1], hidden), nn.SiLU(), nn.Linear(hidden, hidden))
            for each in vectors
        )
        self.biases = nn.ParameterList(torch.zeros(len(each)) for each in vectors)
        self.start = nn.Parameter(torch.zeros(hidden))
        self.cell = nn.GRU(hidden, hidden, batch_first=True)
        self.dropout = nn.Dropout(0.2)

    def loss(self, symbols: Tensor) -> Tensor:
        """Return -log p of symbols (n, positions): (n,)."""
        embedded = self._embedded()
        inputs = [each[column] for each, column in zip(embedded, symbols[:, :-1].T, strict=False)]
        inputs = [self.start.expand(len(symbols), -1), *inputs]
        states = self.dropout(self.cell(self.dropout(torch.stack(inputs, 1)))[0])
        losses = [
            functional.cross_entropy(self._logits(i, states[:, i], each), column, reduction="none")
            for i, (each, column) in enumerate(zip(embedded, symbols.T, strict=True))
        ]
        return torch.stack(losses).sum(0)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator) -> Tensor:
        """Return ``n`` draws of symbols: (n, positions)."""
        inputs, memory, symbols = self.start.expand(n, -1), None, []
        for i, embedded in enumerate(self._embedded()):
            state, memory = self.cell(inputs[:, None], memory)
            probabilities = self._logits(i, state[:, 0], embedded).softmax(-1)
            symbols.append(torch.multinomial(probabilities, 1, generator=generator)[:, 0])
            inputs = embedded[symbols[-1]]
        return torch.stack(symbols, 1)

    def _embedded(self) -> list[Tensor]:
        pairs = zip(self.embeddings, self.vectors, strict=True)
        return [embedding(vectors) for embedding, vectors in pairs]

    def _logits(self, position: int, states: Tensor, embedded: Tensor) -> Tensor:
        logits: Tensor = states @ embedded.mT + self.biases[position]
        return logits
