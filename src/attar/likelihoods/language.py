"""The likelihood of text: each token given those before it, and the code."""

from __future__ import annotations

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
from attar.networks.text import TYPICAL, Layer, Packed, embedding, signs
from attar.token_ids import BYTES, END, MASK, PAD

# The logits of an untrained model have about this standard deviation.
SHARPNESS = 2.0

# How much of the first state is what was separated; the least variance of what is left of a sum,
# and the logarithm of the prior that there is no token at a place.
FOUND, LEAST, ABSENT = 3.0, 1e-4, -0.7

# The logits of so many tokens are computed at once.
AT_ONCE = 4096

# From logits (B, vocabulary) to tokens (B,).
Choose = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Language(Likelihood, name="language"):
    """A causal transformer over tokens: log p(x) = Σ_t log softmax(E h_t)_{x_t}.

    The decoder's output is a sum of embeddings, each multiplied by the signs s_t of its place.
    Approximate message passing separates them: it knows the embeddings and the frequencies of
    tokens, and no weight of it is trained; no gradient passes through it either. The state of the
    first layer at place t is what it found there, plus s_t times the sum, plus a linear map of the
    token before. The matrix E of logits is the embedding of tokens.

    Parameters
    ----------
    vocabulary : int
        The number of tokens; 0 for that of the data.
    length : int
        The most tokens of a text; 0 for that of the data.
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
        Of message passing; 0 for none. In training there are a third of them.

    Examples
    --------
    >>> import torch
    >>> module = Language(vocabulary=300, length=8, width=16).build()
    >>> text = torch.tensor([[70.0, 80.0, 1.0, 0.0]])
    >>> log_prob = module.log_prob(torch.randn(1, 1, 16), text)
    >>> log_prob.shape, log_prob[0, 0, 3].item()  # what is behind the end is certain
    (torch.Size([1, 1, 4]), 0.0)

    References
    ----------
    Barbier and Krzakala, "Approximate message-passing decoder and capacity-achieving sparse
    superposition codes", IEEE Transactions on Information Theory 63, 2017. Bowman et al.,
    "Generating sentences from a continuous space", CoNLL 2016, for word dropout. Press and Wolf,
    "Using the output embedding to improve language models", EACL 2017.
    """

    joint = True

    vocabulary: int = 0
    length: int = 0
    width: int = 256
    heads: int = 4
    layers: int = 2
    word_dropout: float = 0.5
    code_dropout: float = 0.15
    rounds: int = 12

    def build(self) -> LikelihoodModule:
        """Return the module."""
        for setting in ("width", "heads", "layers", "length"):
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
        """Return (width,)."""
        if len(shape) != 1:
            raise SettingError(
                f"The likelihood {self.name!r} needs text, but a row of this data has shape "
                f"{shape}: leave out likelihood."
            )
        return (self.width,)


class LanguageModule(LikelihoodModule):
    """A causal transformer, and logits by the embedding of tokens."""

    def __init__(self, likelihood: Language) -> None:
        super().__init__()
        width, length = likelihood.width, likelihood.length
        self.rounds = likelihood.rounds
        self.word_dropout, self.code_dropout = likelihood.word_dropout, likelihood.code_dropout
        self.choose: Choose = drawn()
        self.embedding = embedding(likelihood.vocabulary, width)
        self.places = nn.Parameter(torch.zeros(length, width))
        self.signs = signs(length, width)
        self.before = nn.Linear(width, width)
        nn.init.zeros_(self.before.weight)
        layers = [Layer(width, likelihood.heads, causal=True) for _ in range(likelihood.layers)]
        self.layers = cast(Sequence[Layer], nn.ModuleList(layers))
        self.norm = nn.LayerNorm(width)
        nn.init.constant_(self.norm.weight, SHARPNESS)
        self.bias = nn.Parameter(torch.zeros(likelihood.vocabulary))

    def log_prob(self, parameters: Tensor, target: Tensor) -> Tensor:
        """Return log P of each token given those before it; 0 behind the end."""
        draws, rows = parameters.shape[:2]
        tokens = target.long().repeat(draws, 1)
        packed, before = Packed(tokens != PAD), functional.pad(tokens[:, :-1], (1, 0), value=MASK)
        given = parameters.flatten(0, 1)
        if self.training and (self.word_dropout or self.code_dropout):
            coded = torch.rand(len(given), 1, device=given.device) >= self.code_dropout
            hidden = torch.rand(before.shape, device=given.device) < self.word_dropout
            given, before = given * coded, before.masked_fill(hidden & coded, MASK)
        found = self.separated(given, packed.present.shape[1])
        h = self._start(given[packed.row], packed.of(found), packed.place, packed.of(before))
        for layer in self.layers:
            h = layer(h, packed)
        own = packed.of(tokens)
        parts = zip(torch.split(h, AT_ONCE), torch.split(own, AT_ONCE), strict=True)
        found = torch.cat(
            [-functional.cross_entropy(self._logits(a), b, reduction="none") for a, b in parts]
        )
        log_prob = functional.pad(
            packed.padded(found), (0, target.shape[1] - packed.present.shape[1])
        )
        return log_prob.view(draws, rows, -1)

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
        self.bias.data.copy_((smoothed / smoothed.sum()).log())

    @torch.no_grad()
    def separated(self, parameters: Tensor, length: int) -> Tensor:
        """Return the expected embedding of the token at each place, given a sum of all.

        Approximate message passing: each place sees its own token and the others as Gaussian noise,
        whose variance v is that of what is left of the sum,

            p_t = softmax((E h_t - |E|² / 2) / v + log p),   e_t = p_t E,
            h_t = e_t + s_t r,   r = sum - Σ_t s_t e_t + r Σ_t var(p_t) / v,

        where var(p_t) is the mean variance of a number of the embedding.

        Parameters
        ----------
        parameters : Tensor (B, width)
        length : int

        Returns
        -------
        Tensor (B, length, width)
        """
        tokens = self.embedding.weight * self.embedding.embedding_dim**0.5
        tokens = tokens.index_fill(0, torch.tensor([PAD, MASK], device=tokens.device), 0.0)
        squares, signs = tokens.square().sum(1), self.signs[:length]
        prior = self.bias.log_softmax(0)
        prior = prior.index_fill(0, torch.tensor([PAD], device=prior.device), ABSENT)
        rounds = self.rounds // 3 if self.training else self.rounds
        parts = [
            _separated(part * TYPICAL**0.5, tokens, squares, signs, prior, rounds)
            for part in torch.split(parameters, max(1, AT_ONCE // length))
        ]
        return torch.cat(parts)

    def _start(self, parameters: Tensor, found: Tensor, place: Tensor, before: Tensor) -> Tensor:
        seen = self.before(self.embedding(before) * self.embedding.embedding_dim**0.5)
        h: Tensor = parameters * self.signs[place] + FOUND * found + self.places[place] + seen
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
        before, found = torch.full_like(going, MASK), self.separated(given, length)
        none = given.new_empty(n, heads, 0, given.shape[1] // heads)
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


def _separated(
    total: Tensor,
    tokens: Tensor,
    squares: Tensor,
    signs: Tensor,
    prior: Tensor,
    rounds: int,
) -> Tensor:
    """Return the expected tokens (B, length, width) of sums (B, width)."""
    found = total.new_zeros(len(total), *signs.shape)
    rows, rest, estimates = torch.arange(len(total), device=total.device), total, found
    for _ in range(rounds):
        variance = rest.square().mean(1)
        left = variance > LEAST  # all tokens of the other sums are found
        rows, rest, estimates = rows[left], rest[left], estimates[left]
        if not len(rows):
            break
        scale = variance[left, None]
        logits = (estimates + rest[:, None] * signs) @ tokens.T - squares / 2
        p = (logits / scale[:, None] + prior).softmax(-1)
        estimates = p @ tokens
        spread = (p @ squares - estimates.square().sum(-1)).sum(1, keepdim=True) / total.shape[1]
        rest = total[rows] - (estimates * signs).sum(1) + rest * spread / scale
        found[rows] = estimates
    return found


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
