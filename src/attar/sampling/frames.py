"""A causal model of the symbols of frames, each a sum of entries of several stages."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from attar.codes import CodeModule
from attar.codes.quantized.residual import ResidualQuantizer
from attar.codes.quantized.vq import VectorModule
from attar.errors import SettingError
from attar.isolation import seeded
from attar.sampling.base import Draw, Sampler

# Frames before the present one that the first layer sees, and how many frames apart those are whose
# first layers the second sees: the last 15 frames in all.
NEAR, APART = 4, (0, 4, 8)

# Sequences and frames of a training step.
SEQUENCES, LENGTH = 24, 48

LEARNING_RATE = 4e-3

# How much more of the stages the loudest frames have than the softest, relative to the mean.
SPREAD = 1.4


@dataclass(frozen=True)
class FrameSymbols(Sampler, name="frame-symbols"):
    """A causal network over frames of symbols: p(s) = Π_t Π_i p(s_ti | s_t1, ..., frames before).

    Symbol i of frame t is that of stage i of a residual quantization. The network sees the sums of
    entries of the last 15 frames, and of the present one as far as it is known. It has no function
    but linear maps and ReLU, so that a codec can compute it alike on every machine. It is fitted
    with the model, on its training rows, and is part of its file.

    Parameters
    ----------
    hidden : int
        The number of hidden units.
    steps : int
        The number of training steps.

    Examples
    --------
    >>> from attar.codes import ResidualQuantized
    >>> code = ResidualQuantized(codebook=4, dim=2, stages=2).build(8).eval()
    >>> codes = code.vectors(torch.tensor([[3, 3, 0, 0]] * 50))  # two frames of two stages
    >>> draw = FrameSymbols(hidden=16, steps=300).fit(code, codes)
    >>> same = code.symbols(draw(50, torch.Generator())) == torch.tensor([3, 3, 0, 0])
    >>> bool(same.float().mean() > 0.9)
    True

    References
    ----------
    Défossez et al., "High fidelity neural audio compression", TMLR 2023, for entropy coding by a
    small network. Yang et al., "UniAudio", ICML 2024, for the order by frames and stages.
    """

    hidden: int = 128
    steps: int = 600

    needs = frozenset({"symbols"})

    def fit(self, code: CodeModule, codes: Tensor) -> Draw:
        """Return the network's draws, as codes; the code must be a residual quantization."""
        quantized = residual(code)
        symbols = in_frames(quantized.symbols(codes), quantized.stages).flatten(0, 1)
        return draws(quantized, self.network(quantized, symbols))

    def network(
        self, code: VectorModule, symbols: Tensor, loudness: Tensor | None = None
    ) -> FrameNetwork:
        """Return a network that is trained on the symbols of successive frames (t, stages).

        Parameters
        ----------
        code : VectorModule
        symbols : Tensor (t, stages)
        loudness : Tensor (t,) or None
            By which frames get more or fewer stages.
        """
        with seeded(0), torch.enable_grad():
            network = self.untrained(code)
            network.start()
            if loudness is not None:
                network.factors.copy_(factors_of(symbols[:, 0], loudness, network.size))
            network.train_on(symbols, self.steps)
        return network.eval().requires_grad_(False)

    def untrained(self, code: VectorModule) -> FrameNetwork:
        """Return the network before training."""
        return FrameNetwork(books_of(code), self.positive_integer("hidden"))


def factors_of(firsts: Tensor, loudness: Tensor, size: int) -> Tensor:
    """Return what each first symbol's frames have of the mean number of stages, in 256ths: (size,).

    It grows with the rank of their mean loudness among all frames, from 0.3 to 1.7: distortions of
    soft frames are hardly heard. A decoder knows it from the first symbol.
    """
    counts = torch.bincount(firsts, minlength=size)
    sums = torch.zeros(size, dtype=loudness.dtype).index_add_(0, firsts, loudness)
    means = torch.where(counts > 0, sums / counts.clamp_min(1), loudness.min())
    below = torch.searchsorted(means[firsts].sort().values, means) / len(firsts)
    return (256 * (1 + SPREAD * (below - 0.5))).round()


def residual(code: CodeModule) -> VectorModule:
    """Return the code, which must be a residual quantization.

    Raises
    ------
    SettingError
        If it is another.
    """
    if isinstance(code, VectorModule) and isinstance(code.quantizer, ResidualQuantizer):
        return code
    raise SettingError(
        f"The sampler 'frame-symbols' needs the code 'rvq', and {type(code).__name__} is another: "
        "use 'autoregressive'."
    )


def books_of(code: VectorModule) -> Tensor:
    """Return the entries of all stages: (stages, size, dim)."""
    assert isinstance(code.quantizer, ResidualQuantizer)
    return torch.stack([book.entries[0] for book in code.quantizer]).detach()


def in_frames(symbols: Tensor, stages: int) -> Tensor:
    """Return the symbols of rows (n, stages · frames) by frames: (n, frames, stages)."""
    return symbols.reshape(len(symbols), stages, -1).mT


def draws(code: VectorModule, network: FrameNetwork) -> Draw:
    """Return draws of codes from a network of their symbols."""
    frames = len(code.sizes) // code.stages

    def draw(n: int, generator: Generator) -> Tensor:
        return code.vectors(network.sample(n, frames, generator).mT.flatten(1))

    return draw


class FrameNetwork(nn.Module):
    """Logits of the symbols of each frame and stage, from the entries before.

    With entries e of a stage, its hidden units u give ``(e, |e|²) · Q u + b_e``: the logarithm of a
    normal density around what is expected, but for what is trained.

    Parameters
    ----------
    books : Tensor (stages, size, dim)
        The entries, which stay as they are.
    hidden : int

    Attributes
    ----------
    factors : Tensor (size,)
        What the frames of each first symbol have of the mean number of stages, in 256ths.
    """

    factors: Tensor

    def __init__(self, books: Tensor, hidden: int) -> None:
        super().__init__()
        self.stages, self.size, dim = books.shape
        self.register_buffer("factors", torch.full((self.size,), 256.0))
        # The first stage has nearly all of the variance.
        self.scale = nn.Parameter(books[0].std().clamp_min(1e-6).reciprocal(), requires_grad=False)
        self.books = nn.Parameter(books, requires_grad=False)
        self.input = nn.Linear(dim, hidden)
        self.near = nn.Linear(NEAR * hidden, hidden)
        self.far = nn.Linear(len(APART) * hidden, hidden)
        self.context = nn.Linear(hidden, self.stages * hidden)
        self.known = nn.Parameter(torch.empty(self.stages, dim, hidden))
        self.queries = nn.Parameter(torch.empty(self.stages, hidden, dim + 1))
        self.biases = nn.Parameter(torch.empty(self.stages, self.size))

    def start(self) -> None:
        """Draw the weights of those that torch does not."""
        nn.init.normal_(self.known, std=self.known.shape[1] ** -0.5)
        nn.init.normal_(self.queries, std=0.1 * self.queries.shape[1] ** -0.5)
        nn.init.zeros_(self.biases)

    @property
    def keys(self) -> Tensor:
        """The scaled entries and their squared sizes: (stages, size, dim + 1)."""
        entries = self.books / self.books.std((1, 2), keepdim=True).clamp_min(1e-6)
        squares = entries.square().sum(-1, keepdim=True) / entries.shape[2] ** 0.5
        return torch.cat([entries, squares], -1)

    def sums(self, symbols: Tensor) -> Tensor:
        """Return the scaled sums of the first 0, 1, 2, ... entries: (..., stages + 1, dim)."""
        entries = self.books[torch.arange(self.stages, device=symbols.device), symbols]
        total: Tensor = self.scale * entries.cumsum(-2)
        return functional.pad(total, (0, 0, 1, 0))

    def contexts(self, frames: Tensor) -> Tensor:
        """Return what is known of each frame from those before: (n, t, dim) -> (n, t, hidden)."""
        inputs = functional.pad(self.input(frames).relu(), (0, 0, NEAR, 0))
        near = [inputs[:, i : i + frames.shape[1]] for i in range(NEAR)]
        first = functional.pad(self.near(torch.cat(near, -1)).relu(), (0, 0, max(APART), 0))
        far = [first[:, max(APART) - i :][:, : frames.shape[1]] for i in APART]
        context: Tensor = self.far(torch.cat(far, -1)).relu()
        return context

    def logits(self, contexts: Tensor, sums: Tensor, stages: int) -> Tensor:
        """Return the logits of the first stages: (n, t, stages, size)."""
        width = contexts.shape[-1]
        hidden = functional.linear(
            contexts, self.context.weight[: stages * width], self.context.bias[: stages * width]
        )
        known = torch.einsum("ntsd,sdh->ntsh", sums[:, :, :stages], self.known[:stages])
        units = (hidden.reshape(known.shape) + known).relu()
        queries = torch.einsum("ntsh,shq->ntsq", units, self.queries[:stages])
        logits = torch.einsum("ntsq,skq->ntsk", queries, self.keys[:stages])
        return logits + self.biases[:stages]

    def train_on(self, symbols: Tensor, steps: int) -> None:
        """Train on a sequence of frames (t, stages), cut after a random stage in each step."""
        length = min(LENGTH, len(symbols))
        adam = torch.optim.Adam([w for w in self.parameters() if w.requires_grad])
        for step in range(steps):
            adam.param_groups[0]["lr"] = LEARNING_RATE * 0.5 * (1 + cos(pi * step / steps))
            adam.zero_grad()
            first = torch.randint(len(symbols) - length + 1, (SEQUENCES, 1))
            batch = symbols[first + torch.arange(length)]
            stages = int(torch.randint(1, self.stages + 1, ()))
            depths = (stages * self.factors[batch[..., 0]] / 256).round().clamp(1, self.stages)
            sums, most = self.sums(batch), int(depths.max())
            places = depths.long()[..., None, None].expand(-1, -1, 1, sums.shape[3])
            contexts = self.contexts(sums.gather(2, places)[:, :, 0])
            used = torch.arange(most) < depths[..., None]
            logits = self.logits(contexts, sums, most)[used]
            loss = functional.cross_entropy(logits, batch[..., :most][used])
            torch.autograd.backward([loss])
            adam.step()

    @torch.no_grad()
    def sample(self, n: int, frames: int, generator: Generator) -> Tensor:
        """Return draws of symbols: (n, frames, stages)."""
        symbols = torch.zeros(n, frames, self.stages, dtype=torch.long)
        seen = NEAR + max(APART)
        for t in range(frames):
            for stage in range(self.stages):
                sums = self.sums(symbols[:, max(0, t - seen) : t + 1])
                logits = self.logits(self.contexts(sums[:, :, -1])[:, -1:], sums[:, -1:], stage + 1)
                probabilities = logits[:, 0, stage].softmax(-1)
                symbols[:, t, stage] = torch.multinomial(probabilities, 1, generator=generator)[
                    :, 0
                ]
        return symbols
