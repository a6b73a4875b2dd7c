"""Corruptions of sound."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from attar.corruptions.base import Corruption, CorruptionModule
from attar.errors import SettingError
from attar.records import Batch


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


@dataclass(frozen=True)
class SpectrogramAugmentation(Corruption, name="spectrogram-augmentation"):
    """Change voice, speed, level and channel of log-mel frames, and mask bands and frames.

    The cell of band b and frame t takes the value at band b exp(w) and frame (t - s) exp(r), by
    linear interpolation: w changes the length of the vocal tract, r the speed. To it are added a
    gain, which is linear in b, and noise. Then one run of bands and one of frames are set to 0, the
    mean. Missing frames move with those known.

    Parameters
    ----------
    warp : float
        The largest absolute w.
    stretch : float
        The largest absolute r.
    shift : float
        The largest absolute s, as a fraction of the frames.
    gain, tilt : float
        The largest gain of all bands, and of the outermost bands relative to the middle, in units
        of the prepared rows.
    noise : float
        The largest standard deviation of noise; that of each row is drawn evenly from 0 on.
    bands, frames : float
        The largest masked fraction of bands, and of frames.

    Examples
    --------
    >>> import torch
    >>> from attar.corruptions import SpectrogramAugmentation
    >>> from attar.records import Batch
    >>> still = SpectrogramAugmentation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0).build()
    >>> rows = torch.rand(2, 1, 8, 10)
    >>> torch.allclose(still.corrupted(Batch.of(rows)).values, rows, atol=1e-5)
    True

    References
    ----------
    Jaitly and Hinton, "Vocal tract length perturbation (VTLP) improves speech recognition", ICML
    workshop 2013. Park et al., "SpecAugment: a simple data augmentation method for automatic
    speech recognition", Interspeech 2019.
    """

    warp: float = 0.15
    stretch: float = 0.2
    shift: float = 0.1
    gain: float = 0.4
    tilt: float = 0.4
    noise: float = 0.2
    bands: float = 0.15
    frames: float = 0.2

    def build(self) -> CorruptionModule:
        """Return the module; nothing may be negative, and fractions are at most 1."""
        return SpectrogramAugmentationModule(
            self.non_negative("warp"),
            self.non_negative("stretch"),
            self.non_negative("shift"),
            self.non_negative("gain"),
            self.non_negative("tilt"),
            self.non_negative("noise"),
            self.fraction("bands"),
            self.fraction("frames"),
        )


class SpectrogramAugmentationModule(CorruptionModule):
    """Changes log-mel frames."""

    def __init__(
        self,
        warp: float,
        stretch: float,
        shift: float,
        gain: float,
        tilt: float,
        noise: float,
        bands: float,
        frames: float,
    ) -> None:
        super().__init__()
        self.warp, self.stretch, self.shift = warp, stretch, shift
        self.gain, self.tilt, self.noise = gain, tilt, noise
        self.bands, self.frames = bands, frames

    def corrupted(self, batch: Batch) -> Batch:
        """Return the batch with changed values, and a mask that moved with them.

        Raises
        ------
        SettingError
            If rows are no log-mel frames.
        """
        values = batch.values.to_dense()
        if values.ndim != 4:
            raise SettingError(
                "The corruption 'spectrogram-augmentation' is for log-mel frames (channels, "
                f"bands, frames), but a row of this data has shape {tuple(values.shape[1:])}: use "
                "'masking'."
            )
        uniform = 2 * torch.rand(8, len(values), 1, dtype=values.dtype, device=values.device) - 1
        places = self._places(values, uniform[:3])
        visible = batch.observed if batch.visible is None else batch.visible
        if visible is not None:
            known = functional.grid_sample(
                visible.to_dense().to(values), places, padding_mode="zeros", align_corners=True
            )
            visible = known > 0.5
        values = functional.grid_sample(values, places, padding_mode="border", align_corners=True)
        band, frame = (torch.linspace(-1, 1, n).to(values) for n in values.shape[2:])
        level = self.gain * uniform[3] + self.tilt * uniform[4] * band
        scale = self.noise * uniform[5].abs()[:, None, None]
        values = values + level[:, None, :, None] + scale * torch.randn_like(values)
        # Only known frames are masked, which come first.
        share = 1.0 if visible is None else visible.to(values).mean((1, 2, 3))[:, None]
        kept = ~(
            _run(band, self.bands, uniform[6], 1.0)[:, None, :, None]
            | _run(frame, self.frames, uniform[7], share)[:, None, None]
        )
        return replace(batch, values=values * kept, visible=visible)

    def _places(self, values: Tensor, uniform: Tensor) -> Tensor:
        """Return where cells take their values: (B, bands, frames, 2), from -1 to 1."""
        band, frame = (torch.linspace(0, 2, n).to(values) for n in values.shape[2:])
        bands = band * (self.warp * uniform[0]).exp() - 1
        frames = (frame - 2 * self.shift * uniform[2]) * (self.stretch * uniform[1]).exp() - 1
        size = (len(values), len(band), len(frame))
        return torch.stack([frames[:, None].expand(size), bands[:, :, None].expand(size)], -1)


def _run(places: Tensor, share: float, middle: Tensor, length: Tensor | float) -> Tensor:
    """Return which places are in a random run of the first part, of a length: (B, n)."""
    first = (middle + 1) * length - 1
    return (places - first).abs() < share * length * torch.rand_like(middle)
