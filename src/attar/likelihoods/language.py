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
from attar.networks.mlp import zeroed
from attar.networks.ngrams import NGrams
from attar.networks.superposition import Superposition
from attar.networks.words import TokenEmbedding
from attar.token_ids import BYTES, END, MASK, PAD

# How much of the first state is what message passing found.
FOUND = 3.0

# The logits of so many tokens are computed at once.
AT_ONCE = 4096

# How new texts are drawn by default.
TEMPERATURE, TOP_P = 0.7, 0.9

# From logits (B, vocabulary) to tokens (B,).
Choose = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Language(Likelihood, name="language"):
    """A causal transformer over tokens, which corrects the probabilities of n-grams.

    ::

        log p(x) = Σ_t log softmax(E h_t + (1 + w h_t) log q(. | x_t-4 ... x_t-1))_{x_t}

    where q has Kneser-Ney smoothing (see ``NGrams``), and is of all other texts in training; h_t is
    the transformer's state and E the embedding of tokens. The decoder's output is superposed tokens
    and a context. Approximate message passing finds the tokens; it knows their frequencies, and no
    gradient passes through it. The state of the first layer at place t is the embedding of what was
    found there, plus the context, plus a linear map of the token before.

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
    dropout : float
        Of states, and of what layers add to them.
    word_dropout : float
        In training, the probability that a token before is not seen: what it says must then be in
        the code.
    code_dropout : float
        In training, the fraction of texts whose superposed tokens are not seen, and all tokens
        before are. Half of them have no context either: a decoder's output of zero then is a
        language model.
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
    Press and Wolf, "Using the output embedding to improve language models", EACL 2017. Li et al.,
    "N-gram is back: residual learning of neural text generation with n-gram language model",
    Findings of EMNLP 2022.
    """

    joint = True

    vocabulary: int = 0
    length: int = 0
    superposed: int = 0
    width: int = 128
    heads: int = 4
    layers: int = 2
    dropout: float = 0.3
    word_dropout: float = 0.5
    code_dropout: float = 0.5
    rounds: int = 48

    def build(self) -> LikelihoodModule:
        """Return the module."""
        for setting in ("width", "heads", "layers", "length", "rounds"):
            self.positive_integer(setting)
        for setting in ("dropout", "word_dropout", "code_dropout"):
            self.fraction(setting)
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

    def __init__(self, likelihood: Language) -> None:
        super().__init__()
        width, length = likelihood.width, likelihood.length
        self.dropout = nn.Dropout(likelihood.dropout)
        self.word_dropout, self.code_dropout = likelihood.word_dropout, likelihood.code_dropout
        self.choose: Choose = drawn()
        self.superposition = None
        if likelihood.superposed:
            self.superposition = Superposition(
                likelihood.vocabulary, length, likelihood.superposed, likelihood.rounds
            )
        self.embedding = TokenEmbedding(likelihood.vocabulary, width)
        self.places = nn.Parameter(torch.zeros(length, width))
        self.before = nn.Linear(width, width)
        nn.init.zeros_(self.before.weight)
        layers = [
            Layer(width, likelihood.heads, likelihood.dropout, causal=True)
            for _ in range(likelihood.layers)
        ]
        self.layers = cast(Sequence[Layer], nn.ModuleList(layers))
        self.ngrams = NGrams(likelihood.vocabulary)
        self.trust = zeroed(nn.Linear(width, 1))

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return log P of each token given those before it; 0 behind the end."""
        draws, rows = parameters.shape[:2]
        given, tokens = parameters.flatten(0, 1), target.long().repeat(draws, 1)
        length = max(1, int((target != PAD).sum(1).max()))
        if self.training:
            log_prob = self._log_prob_in_training(given, tokens[:, :length])
        else:
            log_prob = self._log_prob_of(given, self.found(given, length), tokens[:, :length])
        return functional.pad(log_prob, (0, target.shape[1] - length)).view(draws, rows, -1)

    def log_prob_in_context(self, parameters: Tensor, tokens: Tensor) -> Tensor:
        """Return log P of tokens (B, length) given those before them and the context alone.

        Parameters
        ----------
        parameters : Tensor (B, superposed + width)
        tokens : int Tensor (B, length)
        """
        return self._log_prob_of(parameters, self._nothing(tokens), tokens)

    @torch.no_grad()
    def log_prob_at(self, place: Tensor, parameters: Tensor, tokens: Tensor) -> Tensor:
        """Return log P of every token at one place of each text, as :meth:`log_prob_in_context`.

        Parameters
        ----------
        place : int Tensor (B,)
        parameters : Tensor (B, superposed + width)
        tokens : int Tensor (B, length)
            What is at a place, or behind it, makes no difference.

        Returns
        -------
        Tensor (B, vocabulary)
        """
        packed = Packed(torch.arange(tokens.shape[1], device=place.device) <= place[:, None])
        contexts, row = self.ngrams.contexts(tokens), torch.arange(len(place))
        h = self._states(parameters, self._nothing(tokens), contexts[..., -1], packed)
        prior = self.ngrams(contexts[row, place])
        return self._logits(packed.padded(h)[row, place], prior).log_softmax(-1)

    def _log_prob_of(self, given: Tensor, found: Tensor, tokens: Tensor) -> Tensor:
        """Return log P of tokens (B, length) given parameters, and what was found in them."""
        packed, contexts = Packed(tokens != PAD), self.ngrams.contexts(tokens)
        h = self._states(given, found, contexts[..., -1], packed)
        return self._log_prob_after(h, torch.zeros_like(tokens, dtype=torch.bool), tokens, packed)

    def _log_prob_in_training(self, given: Tensor, tokens: Tensor) -> Tensor:
        """Return log P of tokens (B, length); some of those before, and some codes, are hidden."""
        packed, contexts = Packed(tokens != PAD), self.ngrams.contexts(tokens)
        alone = _drop(self.code_dropout / 2, tokens[:, :1])
        coded = ~(alone | _drop(self.code_dropout / (2 - self.code_dropout), alone))
        hidden = _drop(self.word_dropout, tokens) & coded
        found = self._known(given, tokens) * coded[..., None]
        before = contexts[..., -1].masked_fill(hidden, MASK)
        h = self._states(given * ~alone, found, before, packed)
        return self._log_prob_after(h, hidden, tokens, packed)

    def _log_prob_after(self, h: Tensor, hidden: Tensor, tokens: Tensor, packed: Packed) -> Tensor:
        """Return log P of tokens (B, length), given states of packed ones, and what is hidden."""
        every = self.ngrams.contexts(tokens), self._visible(hidden), tokens
        parts = zip(*(torch.split(x, AT_ONCE) for x in (h, *map(packed.of, every))), strict=True)
        found = []
        for states, contexts, known, own in parts:
            prior = self.ngrams(contexts, known, own if self.training else None)
            logits = self._logits(states, prior)
            found.append(-functional.cross_entropy(logits, own, reduction="none"))
        log_prob = packed.padded(torch.cat(found))
        return functional.pad(log_prob, (0, tokens.shape[1] - log_prob.shape[1]))

    def mean(self, parameters: Tensor) -> Tensor:
        """Return texts whose tokens are each the most likely one, given those before."""
        return self._decoded(parameters, most_likely)

    def sample(self, parameters: Tensor) -> Tensor:
        """Return draws, one token after the other."""
        return self._decoded(parameters, self.choose)

    def rare_weights(self) -> list[Tensor]:
        """Return the embedding: most tokens are rare."""
        return [self.embedding.weight]

    def found(self, parameters: Tensor, length: int) -> Tensor:
        """Return the expected embedding of the token at each place: (B, length, width)."""
        embedding = self.embedding.weight.detach() * self._unit
        if self.superposition is None:
            return parameters.new_zeros(len(parameters), length, embedding.shape[1])
        total, _ = self._split(parameters)
        return self.superposition.separated(total, self.ngrams.frequencies, embedding, length)

    def _nothing(self, tokens: Tensor) -> Tensor:
        """Return what is found where no token is superposed: (B, length, width)."""
        weight = self.embedding.weight
        return weight.new_zeros(*tokens.shape, weight.shape[1])

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
        h = self.dropout(h)
        for layer in self.layers:
            h = layer(h, packed)
        last: Tensor = self.dropout(h)
        return last

    def _start(self, parameters: Tensor, found: Tensor, place: Tensor, before: Tensor) -> Tensor:
        _, context = self._split(parameters)
        seen = self.before(self.embedding(before) * self._unit)
        h: Tensor = context + FOUND * found + self.places[place] + seen
        return h

    def _visible(self, hidden: Tensor) -> Tensor:
        """Return how many tokens before each are seen, from the last: (B, length)."""
        n = self.ngrams.order - 1
        seen = ~functional.pad(hidden, (n - 1, 0)).unfold(1, n, 1)
        return seen.flip(-1).cumprod(-1).sum(-1)

    def _logits(self, h: Tensor, prior: Tensor) -> Tensor:
        logits: Tensor = functional.linear(h, self.embedding.weight) + (1 + self.trust(h)) * prior
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
        contexts, found = (
            going.new_full((n, self.ngrams.order - 1), MASK),
            self.found(given, length),
        )
        none = given.new_empty(n, heads, 0, self.embedding.embedding_dim // heads)
        past = [(none, none) for _ in self.layers]
        for t in range(length):
            h = self._start(given, found[going, t], torch.full_like(going, t), contexts[:, -1])
            for i, layer in enumerate(self.layers):
                q, *new = (x[:, :, None] for x in layer.projected(h))
                keys, values = (torch.cat(pair, 2) for pair in zip(past[i], new, strict=True))
                past[i] = keys, values
                seen = functional.scaled_dot_product_attention(q, keys, values)
                h = layer.joined(h, seen[:, :, 0])
            logits = self._logits(h, self.ngrams(contexts))
            logits[:, [PAD, MASK]] = -torch.inf
            chosen = choose(logits)
            tokens[going, t] = chosen.to(tokens)
            on = chosen != END
            contexts = torch.cat([contexts[on, 1:], chosen[on, None]], 1)
            going, given = going[on], given[on]
            past = [(keys[on], values[on]) for keys, values in past]
            if not len(going):
                break
        return tokens.view(*parameters.shape[:-1], length)


def _drop(probability: float, like: Tensor) -> Tensor:
    """Return what is dropped, of the shape of a tensor; no number is drawn where nothing is."""
    if not probability:
        return torch.zeros_like(like, dtype=torch.bool)
    return torch.rand(like.shape, device=like.device) < probability


@contextmanager
def choosing(
    likelihood: LikelihoodModule, temperature: float | None, top_p: float | None
) -> Iterator[None]:
    """Draw tokens at a temperature, from the most likely ones that have a probability.

    None stands for 0.7 and 0.9, as the least likely of many tokens are the least well known.

    Raises
    ------
    SettingError
        If one of them is out of range, or the likelihood is not that of text.
    """
    if not isinstance(likelihood, LanguageModule):
        if temperature is not None or top_p is not None:
            raise SettingError("temperature and top_p are for text: leave them out.")
        yield
        return
    temperature = positive("temperature", TEMPERATURE if temperature is None else temperature)
    top_p = fraction("top_p", TOP_P if top_p is None else top_p)
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
