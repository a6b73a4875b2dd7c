"""How the codes of rows go to the stack of a coder, and come back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from torch import Tensor

from attar.codec.rans import AnsCoder
from attar.codec.rounding import NORMAL_ERROR, VALUE_ERROR, Array, Guard
from attar.codes import Code, CodeModule, Gaussian, SymbolModule
from attar.codes.gaussian import GaussianModule
from attar.codes.ladder import LadderModule, Moments
from attar.errors import SettingError
from attar.priors import StandardNormalModule, moments

Symbols = NDArray[np.int64]

# log2 of the number of buckets of a dimension, and of those in one of the parts found first.
BUCKET_BITS, FINE_BITS = 16, 8
BUCKETS, FINE = 1 << BUCKET_BITS, 1 << FINE_BITS
# Binary digits behind the point: of the edges of buckets, their middles, mean and log-variance.
EDGE_BITS, MIDDLE_BITS, MOMENT_BITS = 20, 14, 20
LARGEST_MOMENT = 2.0**10
# log2 of the total frequency: of buckets, and of all else.
BUCKET_PRECISION, PRECISION = 24, 20


@cache
def buckets() -> tuple[Array, Array]:
    """Return the edges (2^16 + 1,) of buckets and their middles (2^16,)."""
    edges = ndtri(np.arange(BUCKETS + 1) / BUCKETS)
    middles = ndtri((np.arange(BUCKETS) + 0.5) / BUCKETS)
    return _to_multiples(edges, EDGE_BITS), _to_multiples(middles, MIDDLE_BITS)


def _to_multiples(values: Array, bits: int) -> Array:
    rounded: Array = np.rint(values * 2.0**bits) / 2.0**bits
    return rounded


class Posterior:
    """Normal distributions over the buckets of dimensions of the code, as integers.

    Buckets are found in two steps: one of 2^8 parts, with frequencies that sum to 2^24, and then a
    bucket of it. Both have a frequency of one more than their share of what is left.

    Parameters
    ----------
    guard : Guard
    site : int
        The first of three sites.
    mean, log_variance : Tensor (B, d)
    """

    def __init__(self, guard: Guard, site: int, mean: Tensor, log_variance: Tensor) -> None:
        self.guard, self.site = guard, site + 2
        both = []
        for i, moment in enumerate((mean, log_variance)):
            scaled = moment.numpy().clip(-LARGEST_MOMENT, LARGEST_MOMENT) * 2.0**MOMENT_BITS
            integers = guard.rounded(scaled, site + i, VALUE_ERROR * 2.0**MOMENT_BITS)
            both.append(integers[..., None] / 2.0**MOMENT_BITS)
        self.mean, self.inverse = both[0], np.exp(-0.5 * both[1])

    def before(self, bucket: Symbols, final: bool) -> Symbols:
        """Return the cumulative frequencies before buckets (B, d, k)."""
        rows, size, count = bucket.shape
        total = float((1 << BUCKET_PRECISION) - BUCKETS // FINE)
        values = total * ndtr((buckets()[0][bucket] - self.mean) * self.inverse)
        places = bucket + (np.arange(size) * (BUCKETS + 1))[:, None]
        shape, error = (rows, size * count), total * NORMAL_ERROR
        integers = self.guard.rounded(
            values.reshape(shape), self.site, error, places.reshape(shape), final
        )
        return bucket // FINE + integers.astype(np.int64).reshape(bucket.shape)

    def pop(self, coder: AnsCoder) -> Symbols:
        """Take the bucket of each dimension from the stack: (B, d)."""
        rows, size, _ = self.mean.shape
        inner = np.arange(FINE + 1)
        edges = np.arange(0, BUCKETS + 1, FINE)
        table = self.before(np.broadcast_to(edges, (rows, size, len(edges))), final=False)
        coarse = coder.pop(table.reshape(rows * size, -1), BUCKET_PRECISION).reshape(rows, size, 1)
        before = self.before(coarse * FINE + inner, final=False)
        table = _fine(before, before[..., :1], before[..., -1:], inner)
        fine = coder.pop(table.reshape(rows * size, -1), PRECISION).reshape(rows, size, 1)
        bucket = coarse * FINE + fine
        self._ends(bucket)  # makes marks
        return bucket[..., 0]

    def push(self, coder: AnsCoder, bucket: Symbols) -> None:
        """Put the bucket of each dimension (B, d) back."""
        low, high, start, end = np.moveaxis(self._ends(bucket[..., None]), -1, 0)
        place = bucket % FINE
        start, end = (_fine(at, low, high, place + i) for i, at in enumerate((start, end)))
        coder.push(start.ravel(), (end - start).ravel(), PRECISION)
        coder.push(low.ravel(), (high - low).ravel(), BUCKET_PRECISION)

    def _ends(self, bucket: Symbols) -> Symbols:
        """Return what is before the coarse bucket, the next one, the bucket, the next one."""
        coarse = bucket // FINE * FINE
        ends = np.concatenate([coarse, coarse + FINE, bucket, bucket + 1], -1)
        return self.before(ends, final=True)


def _fine(before: Symbols, low: Symbols, high: Symbols, place: Symbols) -> Symbols:
    """Return cumulative frequencies within a coarse bucket from low to high."""
    return place + (before - low) * ((1 << PRECISION) - FINE) // (high - low)


class Latent(ABC):
    """How the codes of rows go to the stack and come back.

    Attributes
    ----------
    sites : int
        How many sites of a guard they take.
    bits : int
        How many bits a row takes from the stack at most, about.
    pops : int
        How many symbols a row takes from the coder.
    """

    sites: int
    bits: int
    pops: int
    frequencies: int

    @abstractmethod
    def take(self, coder: AnsCoder, features: Tensor, guard: Guard) -> tuple[Symbols, Tensor]:
        """Take codes by the posterior: their symbols (B, k), and the codes (B, d)."""

    @abstractmethod
    def push(self, coder: AnsCoder, symbols: Symbols) -> None:
        """Put symbols (B, k) by the prior."""

    @abstractmethod
    def pop(self, coder: AnsCoder, rows: int) -> tuple[Symbols, Tensor]:
        """Take the codes of rows by the prior: their symbols (B, k), and the codes (B, d)."""

    @abstractmethod
    def give_back(
        self, coder: AnsCoder, features: Tensor, guard: Guard, symbols: Symbols, z: Tensor
    ) -> None:
        """Put symbols (B, k) of codes (B, d) back by the posterior."""


class GaussianLatent(Latent):
    """Gaussian codes of one level or several, each with a prior that depends on those above.

    Buckets are those of (z - prior's mean) / prior's deviation.

    Parameters
    ----------
    code : GaussianModule or LadderModule
    size : int
    site : int
        The first of its sites.
    """

    def __init__(self, code: GaussianModule | LadderModule, size: int, site: int) -> None:
        self.code, self.site = code, site
        self.sizes = code.prior.sizes if isinstance(code, LadderModule) else [size]
        self.sites = 3 * len(self.sizes)
        self.bits, self.pops = BUCKET_BITS * size, 2 * size
        self.frequencies = max(self.sizes) * (FINE + 1)

    def take(self, coder: AnsCoder, features: Tensor, guard: Guard) -> tuple[Symbols, Tensor]:
        """Take the buckets of each level by its posterior."""
        z, symbols = features[:, :0], []
        for level in range(len(self.sizes)):
            posterior, p = self._posterior(features, z, level, guard)
            symbols.append(posterior.pop(coder))
            z = torch.cat([z, _placed(symbols[-1], p)], 1)
        return np.concatenate(symbols, 1), z

    def push(self, coder: AnsCoder, symbols: Symbols) -> None:
        """Put buckets, which are equally probable."""
        flat = symbols.ravel()
        coder.push(flat, np.ones_like(flat), BUCKET_BITS)

    def pop(self, coder: AnsCoder, rows: int) -> tuple[Symbols, Tensor]:
        """Take buckets."""
        symbols = coder.pop_bits(rows * sum(self.sizes), BUCKET_BITS).reshape(rows, -1)
        z, start = torch.zeros(rows, 0, dtype=torch.float64), 0
        for level, size in enumerate(self.sizes):
            part = symbols[:, start : start + size]
            z, start = torch.cat([z, _placed(part, self._prior(z, level))], 1), start + size
        return symbols, z

    def give_back(
        self, coder: AnsCoder, features: Tensor, guard: Guard, symbols: Symbols, z: Tensor
    ) -> None:
        """Put the buckets of each level back, the last one first."""
        end = sum(self.sizes)
        for level in reversed(range(len(self.sizes))):
            start = end - self.sizes[level]
            posterior, _ = self._posterior(features, z[:, :start], level, guard)
            posterior.push(coder, symbols[:, start:end])
            end = start

    def _prior(self, above: Tensor, level: int) -> Moments:
        if isinstance(self.code, LadderModule):
            return self.code.prior.conditional(above, level)
        zeros = above.new_zeros(len(above), self.sizes[0])
        return zeros, zeros

    def _posterior(
        self, features: Tensor, above: Tensor, level: int, guard: Guard
    ) -> tuple[Posterior, Moments]:
        if isinstance(self.code, LadderModule):
            q, p = self.code.posterior(features, above, level)
        else:
            q, p = moments(features), self._prior(above, level)
        mean = (q[0] - p[0]) * (-0.5 * p[1]).exp()
        return Posterior(guard, self.site + 3 * level, mean, q[1] - p[1]), p


def _placed(symbols: Symbols, p: Moments) -> Tensor:
    """Return the codes in the middle of buckets (B, d) of a Gaussian."""
    return p[0] + (0.5 * p[1]).exp() * torch.from_numpy(buckets()[1][symbols])


class SymbolLatent(Latent):
    """Codes of symbols, each sent by the prior, all being equally probable."""

    sites, pops, bits = 0, 0, 0

    def __init__(self, code: SymbolModule) -> None:
        self.code, sizes = code, np.array(code.sizes, np.int64)
        places = np.arange(sizes.max() + 1)
        self.table = (places << PRECISION) // sizes[:, None]
        self.table[places >= sizes[:, None]] = 1 << PRECISION
        self.frequencies = self.table.size

    def take(self, coder: AnsCoder, features: Tensor, guard: Guard) -> tuple[Symbols, Tensor]:
        """Return the symbols of each row."""
        symbols = self.code.symbols(self.code.point(features))
        return symbols.numpy(), self.code.vectors(symbols)

    def push(self, coder: AnsCoder, symbols: Symbols) -> None:
        """Put symbols."""
        positions = np.arange(symbols.shape[1])
        start, end = (self.table[positions, symbols + i].ravel() for i in (0, 1))
        coder.push(start, end - start, PRECISION)

    def pop(self, coder: AnsCoder, rows: int) -> tuple[Symbols, Tensor]:
        """Take symbols."""
        positions = len(self.table)
        symbols = coder.pop(np.tile(self.table, (rows, 1)), PRECISION).reshape(rows, positions)
        return symbols, self.code.vectors(torch.from_numpy(symbols))

    def give_back(
        self, coder: AnsCoder, features: Tensor, guard: Guard, symbols: Symbols, z: Tensor
    ) -> None:
        """Do nothing: the symbols were no choice."""


def latent_of(part: Code, code: CodeModule, size: int, site: int) -> Latent:
    """Return how the codes of a model are coded.

    Parameters
    ----------
    part, code : Code and its module
    size : int
        The code size.
    site : int
        The first site of a guard that is free.

    Raises
    ------
    SettingError
        If they have no posterior that is a Gaussian in each dimension, and are no symbols.
    """
    if isinstance(code, SymbolModule):
        return SymbolLatent(code)
    if isinstance(code, LadderModule) or (
        isinstance(code, GaussianModule) and isinstance(code.prior, StandardNormalModule)
    ):
        return GaussianLatent(code, size, site)
    prior = f" with the prior {part.prior.name!r}" if isinstance(part, Gaussian) else ""
    raise SettingError(
        f"The model has the code {part.name!r}{prior}, but compression needs a Gaussian one with a "
        "standard normal prior, a ladder, symbols, or none: fit with recipe='lossless', which "
        "takes the fewest bytes, or 'vae', 'ladder' or 'fsq'."
    )
