"""Corruptions: noise that is added to the input in training, for a denoising autoencoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from attar.checks import fraction, non_negative
from attar.errors import SettingError
from attar.parts import Part
from attar.records import Batch

# Weights whose squares have a smaller sum count as this.
TINY = 1e-12


class Corrupted(NamedTuple):
    """Corrupted values.

    Attributes
    ----------
    values : Tensor (B, *shape)
        A copy.
    hidden : bool Tensor (B, *shape) or None
        The cells that must be reconstructed; None for all.
    level : Tensor (B, 1) or None
        The standard deviation of each row's noise, where the encoder gets it.
    """

    values: Tensor
    hidden: Tensor | None = None
    level: Tensor | None = None


class CorruptionModule(nn.Module, ABC):
    """Makes of a batch the one that a model is trained on."""

    @abstractmethod
    def corrupted(self, batch: Batch) -> Batch:
        """Return the batch with the values that the encoder is trained on."""


class ValuesCorruption(CorruptionModule, ABC):
    """Corrupts the prepared values that the encoder gets; the target stays."""

    @abstractmethod
    def forward(self, values: Tensor) -> Corrupted:
        """Return corrupted values (B, *shape)."""

    def corrupted(self, batch: Batch) -> Batch:
        """Return the batch with corrupted values."""
        values, hidden, level = self(batch.values.to_dense())
        batch = replace(batch, values=values, level=level)
        if hidden is None:
            return batch
        visible = batch.observed if batch.visible is None else batch.visible
        visible = ~hidden if visible is None else visible & ~hidden
        return replace(batch, visible=visible).restricted(hidden)


class Corruption(Part):
    """What is done to the input before encoding.

    Attributes
    ----------
    provides : frozenset of str
        ``"missing"`` where only some cells must be reconstructed, which excludes a likelihood that
        needs complete rows.
    """

    @abstractmethod
    def build(self) -> CorruptionModule:
        """Return the module.

        Raises
        ------
        SettingError
            If a hyperparameter is out of range.
        """

    def shrinkage(self, features: int) -> Shrinkage | None:
        """Return how the encoder gets the level of the noise, where there is one."""
        return None


@dataclass(frozen=True)
class Masking(Corruption, name="masking"):
    """Set random cells to zero: x · m, with m ~ Bernoulli(1 - share). Tokens of text are deleted.

    Parameters
    ----------
    share : float or pair of float
        The probability of masking a cell, 0 to 1, or the least and the largest one: that of each
        row is then drawn evenly from between them.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import Masking
    >>> corrupted = Masking(share=0.3).build()(torch.ones(100_000)).values
    >>> print(f"{(corrupted == 0).float().mean().item():.1f}")
    0.3

    References
    ----------
    Vincent et al., "Extracting and composing robust features with denoising autoencoders",
    ICML 2008. Wang, Reimers and Gurevych, "TSDAE: using transformer-based sequential denoising
    auto-encoder for unsupervised sentence embedding learning", Findings of EMNLP 2021.
    """

    share: float | tuple[float, float] = 0.25

    def build(self) -> CorruptionModule:
        """Return the module; shares lie between 0 and 1, and the least comes first."""
        if not isinstance(self.share, tuple):
            return MaskingModule(*[self.fraction("share")] * 2)
        shares = [fraction(f"The share of {self!r}", share) for share in self.share]
        if len(shares) != 2 or shares[0] > shares[1]:
            raise SettingError(
                f"The share of {self!r} must be one fraction, or the least and the largest."
            )
        return MaskingModule(*shares)


class MaskingModule(ValuesCorruption):
    """Sets random cells to zero."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, values: Tensor) -> Corrupted:
        """Return x with cells at zero."""
        share: Tensor | float = self.low
        if self.low < self.high:
            rows = torch.rand(len(values), *[1] * (values.ndim - 1), device=values.device)
            share = self.low + (self.high - self.low) * rows
        return Corrupted(values * (torch.rand_like(values) >= share))


@dataclass(frozen=True)
class GaussianNoise(Corruption, name="gaussian-noise"):
    """Add Gaussian noise: x + s · ε, with ε ~ N(0, I), and give the encoder its level s.

    Parameters
    ----------
    scale : float or pair of float
        The level: a standard deviation in units of the prepared data, or the least and the largest
        one. The level of each row is then least + (largest - least) u², with u ~ U(0, 1): small
        levels, whose errors are small, are drawn more often.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import GaussianNoise
    >>> corrupted = GaussianNoise(scale=0.5).build()(torch.ones(1, 100_000)).values
    >>> print(f"{corrupted.mean().item():.1f} {corrupted.std().item():.1f}")
    1.0 0.5
    >>> values, _, level = GaussianNoise((0.0, 2.0)).build()(torch.zeros(3, 100_000))
    >>> torch.allclose(values.std(1, keepdim=True), level, rtol=0.02)
    True

    References
    ----------
    Vincent et al., "Stacked denoising autoencoders", JMLR 2010. Zhang, Zuo and Zhang, "FFDNet:
    toward a fast and flexible solution for CNN-based image denoising", IEEE TIP 2018.
    """

    scale: float | tuple[float, float] = 0.1

    def build(self) -> CorruptionModule:
        """Return the module; no level may be negative, and the least comes first."""
        return GaussianNoiseModule(*self._levels)

    def shrinkage(self, features: int) -> Shrinkage:
        """Return how the encoder gets the level."""
        return Shrinkage(features, *self._levels)

    @property
    def _levels(self) -> tuple[float, float]:
        scale = self.scale if isinstance(self.scale, tuple) else (self.scale, self.scale)
        levels = [non_negative(f"The scale of {self!r}", level) for level in scale]
        if len(levels) != 2 or levels[0] > levels[1]:
            raise SettingError(
                f"The scale of {self!r} must be one level, or the least and the largest."
            )
        return levels[0], levels[1]


class GaussianNoiseModule(ValuesCorruption):
    """Adds Gaussian noise of a level between two."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, values: Tensor) -> Corrupted:
        """Return x + s · ε, and s."""
        uniform = torch.rand(len(values), 1, dtype=values.dtype, device=values.device)
        level = self.low + (self.high - self.low) * uniform.square()
        noise = torch.randn_like(values) * level.reshape(-1, *[1] * (values.ndim - 1))
        return Corrupted(values + noise, level=level)


class Shrinkage(nn.Module):
    """Shrinks features by the level s of the noise in the input: h / (1 + s² exp(a)).

    For principal components h = w (x - m) of variance 1, to which the noise adds s² |w|², this is
    the Wiener filter if exp(a) = |w|²; so it starts, and a is trained.

    Parameters
    ----------
    features : int
    low, high : float
        The least and the largest level of the training; the least where none is given.

    Attributes
    ----------
    floor : Tensor ()
        The level of noise that clean rows seem to have, which is not removed.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import Shrinkage
    >>> shrinkage = Shrinkage(2, low=0.0, high=1.0)
    >>> shrinkage.start(torch.tensor([[3.0, 0.0], [0.0, 1.0]]))
    >>> shrinkage(torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0]])).detach()
    tensor([[0.1000, 0.5000]])

    References
    ----------
    Wiener, "Extrapolation, interpolation, and smoothing of stationary time series", 1949.
    """

    floor: Tensor

    def __init__(self, features: int, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.log_gain = nn.Parameter(torch.zeros(features))
        self.register_buffer("floor", torch.zeros(()))

    @torch.no_grad()
    def start(self, weight: Tensor) -> None:
        """Start at the Wiener filter of a linear encoder's weight (w, cells)."""
        self.log_gain.copy_(weight.square().sum(1).clamp_min(TINY).log())

    def forward(self, features: Tensor, level: Tensor | None) -> Tensor:
        """Return shrunk features (B, w) for levels (B, 1); None is the least of the training."""
        squared = self.low**2 if level is None else level.square()
        return features / (1 + squared * self.log_gain.exp())


@dataclass(frozen=True)
class SaltAndPepper(Corruption, name="salt-and-pepper"):
    """Set random cells to the smallest or the largest value of the batch, with equal probability.

    Parameters
    ----------
    share : float
        The probability of changing a cell, 0 to 1.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import SaltAndPepper
    >>> corrupted = SaltAndPepper(share=1.0).build()(torch.linspace(0, 1, 1000)).values
    >>> corrupted.unique().tolist()
    [0.0, 1.0]

    References
    ----------
    Vincent et al., "Stacked denoising autoencoders", JMLR 2010.
    """

    share: float = 0.1

    def build(self) -> CorruptionModule:
        """Return the module; the share must lie between 0 and 1."""
        return SaltAndPepperModule(self.fraction("share"))


class SaltAndPepperModule(ValuesCorruption):
    """Sets random cells to the extremes."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: Tensor) -> Corrupted:
        """Return x with cells at the batch's smallest and largest value."""
        uniform = torch.rand_like(values)
        low, high = values.aminmax()
        peppered = torch.where(uniform < self.share / 2, low, values)
        return Corrupted(torch.where(uniform > 1 - self.share / 2, high, peppered))


@dataclass(frozen=True)
class Patches(Corruption, name="patches"):
    """Mask patches: squares of an image, spans of a series, single cells of flat rows.

    A patch is masked in all channels. Each row has the same number of masked patches, and only
    masked cells must be reconstructed.

    Parameters
    ----------
    share : float
        The fraction of patches, above 0 and up to 1; at least one patch.
    size : int
        The length of a patch in pixels or time steps, at most half of the row's; the last patches
        may be shorter.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import Patches
    >>> corrupted, masked, _ = Patches(share=0.25, size=2).build()(torch.ones(5, 1, 8, 8))
    >>> masked.sum((1, 2, 3)).tolist(), torch.equal(corrupted == 0, masked)
    ([16, 16, 16, 16, 16], True)

    References
    ----------
    He, Chen, Xie, Li, Dollár and Girshick, "Masked autoencoders are scalable vision learners",
    CVPR 2022.
    """

    share: float = 0.5
    size: int = 4

    provides = frozenset({"missing"})

    def build(self) -> CorruptionModule:
        """Return the module; the share must be above 0 and up to 1, and the size positive.

        With a share of 0 the loss would have no cells.
        """
        share = self.fraction("share")
        if not share:
            raise SettingError(f"The share of {self!r} must be above 0.")
        return PatchesModule(share, self.positive_integer("size"))


class PatchesModule(ValuesCorruption):
    """Masks patches."""

    def __init__(self, share: float, size: int) -> None:
        super().__init__()
        self.share, self.size = share, size

    def forward(self, values: Tensor) -> Corrupted:
        """Return x with patches at zero, and where those are."""
        has_channels = values.ndim > 2
        lengths = values.shape[2:] if has_channels else values.shape[1:]
        # A single patch would mask the whole row.
        sizes = [max(1, min(self.size, length // 2)) if has_channels else 1 for length in lengths]
        axes = list(zip(lengths, sizes, strict=True))
        masked = self._masked(values, [-(-length // size) for length, size in axes])
        for axis, (length, size) in enumerate(axes, 1):
            masked = masked.repeat_interleave(size, axis).narrow(axis, 0, length)
        if has_channels:
            masked = masked[:, None].expand_as(values)
        return Corrupted(values.masked_fill(masked, 0.0), masked)

    def _masked(self, values: Tensor, patches: list[int]) -> Tensor:
        """Return which patches of each row are masked: bool Tensor (B, *patches)."""
        uniform = torch.rand(len(values), *patches, device=values.device)
        ranks = uniform.flatten(1).argsort(1).argsort(1)
        return (ranks < max(1, round(self.share * ranks.shape[1]))).reshape(uniform.shape)


@dataclass(frozen=True)
class Splicing(Corruption, name="splicing"):
    """Join rows that end early to full ones, each at a random level: an augmentation of sound.

    The rows of a batch, in random order, become one signal without what is missing, which starts at
    a random place and is cut into rows again: values and target alike. What is short of a row is
    left out; a single one is filled with silence.

    Parameters
    ----------
    gain : float
        In decibels: levels change by -gain to gain / 2.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import Splicing
    >>> from attar.records import Batch
    >>> rows = torch.full((4, 1, 6), float("nan"))
    >>> rows[..., :3] = 1
    >>> Splicing(gain=0.0).build().corrupted(Batch.of(rows)).target.shape
    torch.Size([1, 1, 6])
    """

    gain: float = 6.0

    def build(self) -> CorruptionModule:
        """Return the module; the gain must not be negative."""
        return SplicingModule(self.non_negative("gain"))


class SplicingModule(CorruptionModule):
    """Joins rows and cuts them again."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def corrupted(self, batch: Batch) -> Batch:
        """Return a batch of full rows; one with a condition stays as it is."""
        rows = batch.target.to_dense()
        if batch.condition is not None:
            return batch
        order, length = torch.randperm(len(rows), device=rows.device), rows[0, 0].numel()
        decibels = self.gain * (1.5 * torch.rand(len(rows), device=rows.device) - 1)
        levels = (10 ** (decibels / 20)).reshape(-1, *[1] * (rows.ndim - 1))
        known = (
            torch.ones_like(rows, dtype=torch.bool) if batch.observed is None else batch.observed
        )
        kept = known[order].any(1).flatten()
        signal = (rows * levels)[order].movedim(1, 0).flatten(1)[:, kept]
        first = int(torch.randint(length, ()))
        if signal.shape[1] - first < length:
            signal = functional.pad(signal, (0, length + first - signal.shape[1]))
        count = (signal.shape[1] - first) // length
        joined = signal[:, first : first + count * length].reshape(-1, count, *rows.shape[2:])
        values = joined.movedim(0, 1)
        return Batch(values, values)
