"""Superposition codes: tokens at places as one sum of vectors, and approximate message passing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attar.networks.attention import Packed
from attar.token_ids import MASK, PAD

# The vectors are the same wherever there are as many.
SEED = 0

# The standard deviation of a sum: a text's context has 1, and distances are those of contexts.
SCALE = 0.25

# Each place gets so many times the information that a token can have.
MARGIN = 1.75

# The least amplitude of a place: a smaller one would be lost in the rounding errors of the others.
LEAST_AMPLITUDE = 1e-6

# The logarithm of the prior that there is no token at a place, beside tokens' probabilities.
ABSENT = -0.7

# A place is estimated from this signal-to-noise ratio on, that of a token's vector to what is left
# of the sum, and its estimate is final above the second.
LEAST_SNR, FINAL_SNR = 6.0, 400.0

# The variance that rounding leaves of a sum whose tokens are all found.
LEAST = 1e-12

# The variance of a sum's rounding errors in least squares.
RIDGE = 1e-9

# Where so much of a sum's power is left, it was not one of tokens, but a mean of such or noise.
UNEXPLAINED = 0.1

# So many places are separated at once.
AT_ONCE = 4096


class Superposition(nn.Module):
    """A sum over the places t of a text: Σ_t g^t s_t * c(x_t), of independent signs s_t and c.

    The powers g^2t fall, as successive decoding of a channel needs: what is left of a sum without
    its first tokens is a sum like it. With g = V^(-1.75 / size) each place has 1.75 times the nats
    that one of V tokens can have, which message passing needs. Nothing of it is trained.

    Parameters
    ----------
    vocabulary : int
        The number of tokens.
    length : int
        The most tokens of a text.
    size : int
        The size of a sum.
    rounds : int
        Of message passing.

    Examples
    --------
    >>> import torch
    >>> superposition = Superposition(vocabulary=300, length=8, size=128)
    >>> packed = Packed(torch.ones(1, 4, dtype=torch.bool))
    >>> total = superposition.total(torch.tensor([70, 80, 90, 1]), packed)
    >>> found = superposition.separated(total, torch.zeros(300), torch.eye(300), 4)
    >>> found.argmax(-1)
    tensor([[70, 80, 90,  1]])

    References
    ----------
    Joseph and Barron, "Least squares superposition codes of moderate dictionary size are reliable
    at rates up to capacity", IEEE Transactions on Information Theory 58, 2012. Barbier and
    Krzakala, "Approximate message-passing decoder and capacity-achieving sparse superposition
    codes", IEEE Transactions on Information Theory 63, 2017. Plate, "Holographic reduced
    representations", IEEE Transactions on Neural Networks 6, 1995.
    """

    tokens: Tensor
    places: Tensor

    def __init__(self, vocabulary: int, length: int, size: int, rounds: int = 48) -> None:
        super().__init__()
        self.rounds = rounds
        generator = torch.Generator().manual_seed(SEED)
        tokens, signs = (
            (2 * torch.randint(2, (n, size), generator=generator) - 1).to(torch.int8)
            for n in (vocabulary, length)
        )
        tokens[[PAD, MASK]] = 0
        ratio = vocabulary ** (-MARGIN / size)
        powers = (ratio ** torch.arange(length)[:, None]).clamp_min(LEAST_AMPLITUDE)
        self.register_buffer("tokens", tokens)
        self.register_buffer("places", SCALE * (1 - ratio**2) ** 0.5 * powers * signs)

    def total(self, tokens: Tensor, packed: Packed) -> Tensor:
        """Return the sums (B, size) of packed tokens (N,)."""
        vectors = self.tokens[tokens] * self.places[packed.place]
        total = vectors.new_zeros(len(packed.present), vectors.shape[1])
        return total.index_add(0, packed.row, vectors)

    @torch.no_grad()
    def separated(self, total: Tensor, prior: Tensor, embedding: Tensor, length: int) -> Tensor:
        """Return the expected embedding of the token at each place, given sums.

        Approximate message passing: each place sees its own token and the others as Gaussian noise
        of variance v, that of what is left of the sum; with the vectors a_t = g^t s_t of places,

            p_t = softmax((C h_t - |C|² / 2) a_t² / v + log p),   h_t = p_t C + r / a_t,
            r = sum - Σ_t a_t p_t C + r Σ_t a_t² var(p_t) / v,

        where C has the vectors of tokens, and var(p_t) is the mean variance of one of their
        numbers. Of a sum of which much is left, as of a mean of two texts' sums, nothing is found.

        Parameters
        ----------
        total : Tensor (B, size)
        prior : Tensor (V,)
            The log-probabilities of tokens.
        embedding : Tensor (V, width)
        length : int
            So many places.

        Returns
        -------
        Tensor (B, length, width)
        """
        prior = prior.log_softmax(0)
        prior, none = prior.clone(), torch.tensor([PAD, MASK], device=prior.device)
        prior[PAD], embedding = ABSENT, embedding.index_fill(0, none, 0.0)
        parts = torch.split(total, max(1, AT_ONCE // length))
        return torch.cat([self._separated(part, prior, embedding, length) for part in parts])

    def _separated(self, total: Tensor, prior: Tensor, embedding: Tensor, length: int) -> Tensor:
        """Return the expected embeddings (B, length, width) of sums (B, size)."""
        size, places = total.shape[1], self.places[:length]
        tokens, power = self.tokens.to(total.dtype), places[:, 0].square()
        squares = tokens.square().sum(1)

        def posterior(row: Tensor, place: Tensor) -> Tensor:
            h = estimates[row, place] + rest[row] / places[place]
            logits = (h @ tokens.T - squares / 2) * (snr[row, place] / size)[:, None]
            return (logits + prior).softmax(-1)

        estimates = total.new_zeros(len(total), length, size)
        spread = total.new_zeros(len(total), length)
        final = torch.zeros_like(spread, dtype=torch.bool)
        rest, variance = total, total.square().mean(1)
        for _ in range(self.rounds):
            snr = power * size / variance.clamp_min(LEAST)[:, None]
            seen = (snr > LEAST_SNR) & ~final & (variance > LEAST)[:, None]
            row, place = seen.nonzero(as_tuple=True)
            if not len(row):
                break
            p = posterior(row, place)
            mean = p @ tokens
            estimates[row, place] = mean
            spread[row, place] = (p @ squares - mean.square().sum(1)) / size
            final |= seen & (snr > FINAL_SNR)
            onsager = (spread @ power / variance.clamp_min(LEAST))[:, None]
            rest = total - (estimates * places).sum(1) + rest * onsager
            variance = rest.square().mean(1)
        estimates[variance > UNEXPLAINED * total.square().mean(1)] = 0
        found = total.new_zeros(len(total), length, embedding.shape[1])
        snr = power * size / variance.clamp_min(LEAST)[:, None]
        row, place = estimates.any(-1).nonzero(as_tuple=True)
        found[row, place] = posterior(row, place) @ embedding
        return found

    @torch.no_grad()
    def present(self, total: Tensor, tokens: Tensor) -> Tensor:
        """Return which tokens (B, length) are in sums (B, size): least squares, as bool.

        Where a text is known, as in training, this is what message passing would find of it.
        """
        vectors = (self.tokens[tokens] * self.places[: tokens.shape[1]]).double()
        known = torch.eye(tokens.shape[1], dtype=vectors.dtype, device=vectors.device)
        gram = vectors @ vectors.mT + RIDGE * known
        found: Tensor = torch.linalg.solve(gram, vectors @ total[..., None].double())[..., 0]
        return found > 0.5
