"""The distribution of one channel's symbols from the activations of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.likelihoods.alphabets import Alphabet, AlphabetModule
from attar.likelihoods.discrete import log_interval, logistic
from attar.likelihoods.intensities import Intensities

# The least and the largest log-scale of a logistic distribution, in levels of 256.
LOG_SCALES = -7.0, 7.0

# Log-scales start between these, as what the median edge detector misses is mostly small.
FIRST_LOG_SCALES = -0.5, 3.0


class Head(nn.Module, ABC):
    """A hidden layer, and the distribution of one channel's symbols.

    Parameters
    ----------
    inputs, hidden, outputs : int
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.layer, self.output = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)

    def units(self, x: Tensor) -> Tensor:
        """Return the hidden units."""
        return functional.relu(self.layer(x))

    @abstractmethod
    def log_prob(self, units: Tensor, symbols: Tensor, expected: Tensor | None) -> Tensor:
        """Return log P of symbols (n,) given hidden units (n, hidden); 0 for a missing one.

        ``expected`` (n,) are their predictions, where there are any.
        """

    @abstractmethod
    def sample(self, units: Tensor, expected: Tensor | None) -> Tensor:
        """Return draws (n,)."""

    @abstractmethod
    def nearest(self, units: Tensor, expected: Tensor | None) -> Tensor:
        """Return the symbols (n,) that are nearest to the mean."""


class SoftmaxHead(Head):
    """The most frequent symbol against all others, and a softmax over these.

    Parameters
    ----------
    inputs, hidden : int
    alphabet : Alphabet
    module : AlphabetModule
    """

    def __init__(
        self, inputs: int, hidden: int, alphabet: Alphabet, module: AlphabetModule
    ) -> None:
        super().__init__(inputs, hidden, alphabet.size)
        self.mode = alphabet.mode
        self._alphabet = (module,)  # its buffers are no part of this module

    def log_prob(self, units: Tensor, symbols: Tensor, expected: Tensor | None) -> Tensor:
        """Return log P of symbols."""
        output = self.output
        flag = self.flag(units).to(output.weight.dtype)
        is_mode = symbols == self.mode
        log_prob = functional.logsigmoid(torch.where(is_mode, flag, -flag))
        log_prob = log_prob.masked_fill(symbols == len(output.weight), 0.0)
        # Most cells have the most frequent symbol: the softmax is needed for the others alone.
        others = (~is_mode & (symbols < len(output.weight))).nonzero()[:, 0]
        logits = self.others(units.index_select(0, others)).to(output.weight.dtype)
        rest = logits.log_softmax(-1).gather(-1, symbols[others, None])[:, 0]
        return log_prob.index_add(0, others, rest)

    def flag(self, units: Tensor) -> Tensor:
        """Return the logit of the mode against all other symbols."""
        return units @ self.output.weight[self.mode] + self.output.bias[self.mode]

    def others(self, units: Tensor) -> Tensor:
        """Return the logits of all symbols, minus infinity for the mode."""
        logits = self.output(units)
        mask = torch.zeros(logits.shape[-1], device=logits.device)
        mask[self.mode] = -torch.inf
        return cast(Tensor, logits + mask)

    def sample(self, units: Tensor, expected: Tensor | None) -> Tensor:
        """Return draws."""
        is_mode = self.flag(units).sigmoid().bernoulli().bool()
        symbols = torch.full((len(units),), self.mode, device=units.device)
        others = (~is_mode).nonzero()[:, 0]
        if len(others):
            logits = self.others(units[others])
            noise = -torch.empty_like(logits).exponential_().log()
            symbols[others] = (logits + noise).argmax(-1)
        return symbols

    def nearest(self, units: Tensor, expected: Tensor | None) -> Tensor:
        """Return the symbols nearest to the mean; of categories the most probable ones."""
        flag, others = self.flag(units).sigmoid()[:, None], self.others(units).softmax(-1)
        probabilities = (1 - flag) * others
        probabilities[:, self.mode] = flag[:, 0]
        (alphabet,) = self._alphabet
        if alphabet.values.shape[1] > 1:
            return probabilities.argmax(-1)
        return alphabet.symbols(probabilities @ alphabet.values)


class LogisticHead(Head):
    """A mixture of logistic distributions around a prediction e, discretized to levels.

    P(x) = Σ_k π_k (σ((x + 1/2 - m_k) / s_k) - σ((x - 1/2 - m_k) / s_k)), with means m_k = e + 4 o_k
    and log-scales log s_k in levels of 256. The lowest level takes all below it, and the highest
    all above.

    Parameters
    ----------
    inputs, hidden : int
    alphabet : Intensities
    """

    def __init__(self, inputs: int, hidden: int, alphabet: Intensities) -> None:
        super().__init__(inputs, hidden, 3 * alphabet.components)
        self.levels, self.components = alphabet.levels, alphabet.components
        scales = torch.linspace(*FIRST_LOG_SCALES, self.components)
        self.output.bias.data[-self.components :] = scales

    def log_prob(self, units: Tensor, symbols: Tensor, expected: Tensor | None) -> Tensor:
        """Return log P of symbols."""
        logits, means, scales = self._mixture(units, expected)
        x = symbols[:, None]
        lowest, highest = x == 0, x == self.levels - 1
        parts = log_interval((x - means) / scales, 0.5 / scales, lowest, highest)
        log_prob = torch.logsumexp(logits.log_softmax(-1) + parts, -1)
        return log_prob.masked_fill(symbols == self.levels, 0.0)

    def sample(self, units: Tensor, expected: Tensor | None) -> Tensor:
        """Return draws."""
        logits, means, scales = self._mixture(units, expected)
        noise = -torch.empty_like(logits).exponential_().log()
        component = (logits + noise).argmax(-1, keepdim=True)
        mean, scale = means.gather(-1, component), scales.gather(-1, component)
        return self._level(mean + scale * logistic(mean))[:, 0]

    def nearest(self, units: Tensor, expected: Tensor | None) -> Tensor:
        """Return the levels nearest to the mean, of which each component's is within the range."""
        logits, means, _ = self._mixture(units, expected)
        return self._level((logits.softmax(-1) * means.clamp(0, self.levels - 1)).sum(-1))

    def _level(self, value: Tensor) -> Tensor:
        return value.round().clamp(0, self.levels - 1).long()

    def _mixture(self, units: Tensor, expected: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, means and scales, in levels: (n, components)."""
        assert expected is not None
        output = self.output(units).to(self.output.weight.dtype)
        logits, offsets, log_scales = output.split(self.components, -1)
        step = self.levels / 256
        means = expected[:, None] + 4 * step * offsets
        return logits, means, step * log_scales.clamp(*LOG_SCALES).exp()


def head_of(alphabet: Alphabet, module: AlphabetModule, inputs: int, hidden: int) -> Head:
    """Return the head of a channel's alphabet."""
    if isinstance(alphabet, Intensities):
        return LogisticHead(inputs, hidden, alphabet)
    return SoftmaxHead(inputs, hidden, alphabet, module)
