"""The likelihood of text: each token given those before it, and the code."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.checks import fraction, positive
from attar.errors import SettingError
from attar.likelihoods.base import Likelihood, LikelihoodModule, Shape
from attar.networks.attention import Layer, Packed
from attar.networks.superposition import Superposition
from attar.token_ids import BYTES, END, MASK, PAD

# The logits of an untrained model have about this standard deviation.
SHARPNESS = 2.0

# How much of the first state is what message passing found.
FOUND = 3.0

# The logits of so many tokens are computed at once.
AT_ONCE = 4096

# From logits (B, vocabulary) to tokens (B,).
Choose = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Language(Likelihood, name="language"):
    """A causal transformer over tokens: log p(x) = Σ_t log softmax(E h_t)_{x_t}.

    The decoder's output is superposed tokens and a context. Approximate message passing finds the
    tokens; it knows their frequencies, and no gradient passes through it. The state of the first
    layer at place t is the embedding of what was found there, plus the context, plus a linear map
    of the token before. The matrix E of logits is the embedding of tokens.

    Parameters
    ----------
    vocabulary : int
        The number of tokens; 0 for that of the data.
    length : int
        The most tokens of a text; 0 for that of the data.
    superposed : int
        Of the decoder's outputs, those that are superposed tokens.
    width : int
        The size of a token.
    heads : int
        The number of attention heads.
    layers : int
        Transformer layers.
    word_dropout : float
        In training, the probability that a token before is not seen: what it says must then be in
        the code.
    code_dropout : float
        In training, the fraction of texts whose code is not seen, and all tokens before are: a
        decoder's output of zero then is a language model.
    rounds : int
        Of message passing. In training the text is known, and least squares takes its place.

    Examples
    --------
    >>> import torch
    >>> module = Language(vocabulary=300, length=8, superposed=4, width=16).build()
    >>> text = torch.tensor([[70.0, 80.0, 1.0, 0.0]])
    >>> log_prob = module.log_prob(torch.randn(1, 1, 20), text)
    >>> log_prob.shape, log_prob[0, 0, 3].item()  # what is behind the end is certain
    (torch.Size([1, 1, 4]), 0.0)

    References
    ----------
    Bowman et al., "Generating sentences from a continuous space", CoNLL 2016, for word dropout.
    Press and Wolf, "Using the output embedding to improve language models", EACL 2017.
    """

    joint = True

    vocabulary: int = 0
    length: int = 0
    superposed: int = 0
    width: int = 256
    heads: int = 4
    layers: int = 2
    word_dropout: float = 0.5
    code_dropout: float = 0.5
    rounds: int = 48

    def build(self) -> LikelihoodModule:
        """Return the module."""
        for setting in ("width", "heads", "layers", "length", "rounds"):
            self.positive_integer(setting)
        self.fraction("word_dropout")
        self.fraction("code_dropout")
        if self.vocabulary < BYTES or self.width % self.heads:
            raise SettingError(
                f"The likelihood {self.name!r} needs a vocabulary, and a width that is a multiple "
                "of its heads: leave out likelihood, and attar chooses them for text."
            )
        return LanguageModule(self)

    def parameters(self, shape: Shape) -> Shape:
        """Return (superposed + width,)."""
        if len(shape) != 1:
            raise SettingError(
                f"The likelihood {self.name!r} needs text, but a row of this data has shape "
                f"{shape}: leave out likelihood."
            )
        return (self.superposed + self.width,)


class LanguageModule(LikelihoodModule):
    """A causal transformer, and logits by the embedding of tokens."""

    frequencies: Tensor

    def __init__(self, likelihood: Language) -> None:
        super().__init__()
        width, length = likelihood.width, likelihood.length
        self.word_dropout, self.code_dropout = likelihood.word_dropout, likelihood.code_dropout
        self.choose: Choose = drawn()
        self.superposition = None
        if likelihood.superposed:
            self.superposition = Superposition(
                likelihood.vocabulary, length, likelihood.superposed, likelihood.rounds
            )
        self.embedding = nn.Embedding(likelihood.vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.places = nn.Parameter(torch.zeros(length, width))
        self.before = nn.Linear(width, width)
        nn.init.zeros_(self.before.weight)
        layers = [Layer(width, likelihood.heads, causal=True) for _ in range(likelihood.layers)]
        self.layers = cast(Sequence[Layer], nn.ModuleList(layers))
        self.norm = nn.LayerNorm(width)
        nn.init.constant_(self.norm.weight, SHARPNESS)
        self.bias = nn.Parameter(torch.zeros(likelihood.vocabulary))
        self.register_buffer("frequencies", torch.zeros(likelihood.vocabulary))

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return log P of each token given those before it; 0 behind the end."""
        draws, rows = parameters.shape[:2]
        tokens = target.long().repeat(draws, 1)
        packed, before = Packed(tokens != PAD), functional.pad(tokens[:, :-1], (1, 0), value=MASK)
        given, longest = parameters.flatten(0, 1), packed.present.shape[1]
        if self.training:
            found = self._known(given, tokens[:, :longest])
        else:
            found = self.found(given, longest)
        if self.training and (self.word_dropout or self.code_dropout):
            coded = torch.rand(len(given), 1, device=given.device) >= self.code_dropout
            hidden = torch.rand(before.shape, device=given.device) < self.word_dropout
            given, before = given * coded, before.masked_fill(hidden & coded, MASK)
            found = found * coded[..., None]
        h = self._states(given, found, before, packed)
        own = packed.of(tokens)
        parts = zip(torch.split(h, AT_ONCE), torch.split(own, AT_ONCE), strict=True)
        log_prob = torch.cat(
            [-functional.cross_entropy(self._logits(a), b, reduction="none") for a, b in parts]
        )
        log_prob = functional.pad(packed.padded(log_prob), (0, target.shape[1] - longest))
        return log_prob.view(draws, rows, -1)

    @torch.no_grad()
    def log_prob_at(
        self, place: Tensor, parameters: Tensor, found: Tensor, tokens: Tensor
    ) -> Tensor:
        """Return log P of every token at one place of each text, given those before it.

        Parameters
        ----------
        place : int Tensor (B,)
        parameters : Tensor (B, superposed + width)
        found : Tensor (B, length, width)
            As :meth:`found` returns it.
        tokens : int Tensor (B, length)
            What is at a place, or behind it, makes no difference.

        Returns
        -------
        Tensor (B, vocabulary)
        """
        packed = Packed(torch.arange(tokens.shape[1], device=place.device) <= place[:, None])
        before = functional.pad(tokens[:, :-1], (1, 0), value=MASK)
        h = self._states(parameters, found, before, packed)
        return self._logits(packed.padded(h)[torch.arange(len(place)), place]).log_softmax(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return texts whose tokens are each the most likely one, given those before."""
        return self._decoded(parameters, most_likely)

    def sample(self, parameters: Tensor) -> Tensor:
        """Return draws, one token after the other."""
        return self._decoded(parameters, self.choose)

    def rare_weights(self) -> list[Tensor]:
        """Return the embedding: most tokens are rare."""
        return [self.embedding.weight]

    def start(self, target: Tensor) -> None:
        """Start from the frequencies of tokens."""
        counts = target.long().flatten().bincount(minlength=len(self.bias))
        counts[PAD] = 0
        smoothed = counts + 0.5
        self.frequencies.copy_((smoothed / smoothed.sum()).log())
        self.bias.data.copy_(self.frequencies)

    def found(self, parameters: Tensor, length: int) -> Tensor:
        """Return the expected embedding of the token at each place: (B, length, width)."""
        embedding = self.embedding.weight.detach() * self._unit
        if self.superposition is None:
            return parameters.new_zeros(len(parameters), length, embedding.shape[1])
        total, _ = self._split(parameters)
        return self.superposition.separated(total, self.frequencies, embedding, length)

    def _known(self, parameters: Tensor, tokens: Tensor) -> Tensor:
        """Return the embeddings of those tokens (B, length) that are superposed."""
        embedded: Tensor = self.embedding(tokens) * self._unit
        if self.superposition is None:
            return torch.zeros_like(embedded)
        total, _ = self._split(parameters)
        return embedded * self.superposition.present(total, tokens)[..., None]

    @property
    def _unit(self) -> float:
        return math.sqrt(self.embedding.embedding_dim)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Return superposed tokens and context."""
        width = self.embedding.embedding_dim
        return parameters[:, :-width], parameters[:, -width:]

    def _states(self, given: Tensor, found: Tensor, before: Tensor, packed: Packed) -> Tensor:
        """Return the last states (N, width) of packed tokens, given parameters of texts."""
        h = self._start(given[packed.row], packed.of(found), packed.place, packed.of(before))
        for layer in self.layers:
            h = layer(h, packed)
        return h

    def _start(self, parameters: Tensor, found: Tensor, place: Tensor, before: Tensor) -> Tensor:
        _, context = self._split(parameters)
        seen = self.before(self.embedding(before) * self._unit)
        h: Tensor = context + FOUND * found + self.places[place] + seen
        return h

    def _logits(self, h: Tensor) -> Tensor:
        logits: Tensor = functional.linear(self.norm(h), self.embedding.weight, self.bias)
        return logits

    def _decoded(self, parameters: Tensor, choose: Choose) -> Tensor:
        """Return tokens (..., length), chosen one after the other until all texts have an end."""
        if torch.is_grad_enabled() and parameters.requires_grad:
            raise SettingError(
                "Decoded text has no gradient, which a penalty of this recipe needs: use another "
                "recipe, such as 'text'."
            )
        given = parameters.flatten(0, -2)
        n, length, heads = len(given), len(self.places), self.layers[0].heads
        tokens, going = given.new_full((n, length), PAD), torch.arange(n, device=given.device)
        before, found = torch.full_like(going, MASK), self.found(given, length)
        none = given.new_empty(n, heads, 0, self.embedding.embedding_dim // heads)
        past = [(none, none) for _ in self.layers]
        for t in range(length):
            h = self._start(given, found[going, t], torch.full_like(before, t), before)
            for i, layer in enumerate(self.layers):
                q, *new = (x[:, :, None] for x in layer.projected(h))
                keys, values = (torch.cat(pair, 2) for pair in zip(past[i], new, strict=True))
                past[i] = keys, values
                seen = functional.scaled_dot_product_attention(q, keys, values)
                h = layer.joined(h, seen[:, :, 0])
            logits = self._logits(h)
            logits[:, [PAD, MASK]] = -torch.inf
            before = choose(logits)
            tokens[going, t] = before.to(tokens)
            on = before != END
            going, before, given = going[on], before[on], given[on]
            past = [(keys[on], values[on]) for keys, values in past]
            if not len(going):
                break
        return tokens.view(*parameters.shape[:-1], length)


@contextmanager
def choosing(likelihood: LikelihoodModule, temperature: float, top_p: float) -> Iterator[None]:
    """Draw tokens at a temperature, from the most likely ones that have a probability.

    Raises
    ------
    SettingError
        If one of them is out of range, or the likelihood is not that of text.
    """
    if temperature == top_p == 1:
        yield
        return
    positive("temperature", temperature)
    fraction("top_p", top_p)
    if not isinstance(likelihood, LanguageModule):
        raise SettingError("temperature and top_p are for text: leave them out.")
    before, likelihood.choose = likelihood.choose, drawn(temperature, top_p)
    try:
        yield
    finally:
        likelihood.choose = before


def most_likely(logits: Tensor) -> Tensor:
    """Return the most likely token of each row."""
    return logits.argmax(-1)


def drawn(temperature: float = 1.0, top_p: float = 1.0) -> Choose:
    """Return how tokens are drawn: softmax(logits / temperature), cut to a nucleus.

    Parameters
    ----------
    temperature : float
        Above 0; smaller ones make likely tokens more likely.
    top_p : float
        The probability of the nucleus: of the fewest tokens that have as much, 0 to 1.

    References
    ----------
    Holtzman et al., "The curious case of neural text degeneration", ICLR 2020.
    """

    def choose(logits: Tensor) -> Tensor:
        probabilities, tokens = (logits / temperature).softmax(-1).sort(-1, descending=True)
        outside = probabilities.cumsum(-1) - probabilities >= top_p
        outside[:, 0] = False
        index = probabilities.masked_fill(outside, 0).multinomial(1)
        return tokens.gather(-1, index)[:, 0]

    return choose
