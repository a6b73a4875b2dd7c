"""Views of sound: what a window of samples is to a model, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from attar.data.scaling import Scaling, Standard
from attar.data.spectra import (
    Stft,
    decibels,
    in_phase,
    magnitudes_of,
    mel_bank,
    power_of,
    with_phases,
)
from attar.data.summary import Rows
from attar.errors import unknown

# Windows overlap by this part of them.
OVERLAP = 1 / 8

# Seconds of a window of samples, of frames at most, and of a frame.
WAVEFORM, FRAMES, FRAME = 0.1, 1.0, 0.032

# Of bands as many as have a bin of frequency each; and the fewest samples of a window.
BANDS, FEWEST = (64, 48, 32, 16, 8, 4, 2), 16

# So many decibels more than in the fit are restored at most.
HEADROOM = 10.0

# A window holds this share of the clips as a whole, if they are short enough.
WHOLE = 0.95


@dataclass(frozen=True)
class SoundView(ABC):
    """What a window of samples is to a model.

    Parameters
    ----------
    rate : int
        Samples a second.
    window : int
        Samples of a window.
    """

    rate: int
    window: int

    name: ClassVar[str]

    # Whether rows are all that there is of a window.
    exact: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def of(cls, rate: int, lengths: Sequence[int], seconds: float | None) -> Self:
        """Return the view of clips of these lengths, in windows of so many seconds, or suitable."""

    @property
    def overlap(self) -> int:
        """How many samples a window shares with the next."""
        return max(1, round(self.window * OVERLAP))

    @property
    def stride(self) -> int:
        """Samples from a window to the next."""
        return self.window - self.overlap

    @property
    def seconds(self) -> float:
        """The length of a window."""
        return self.window / self.rate

    @property
    @abstractmethod
    def words(self) -> str:
        """What a window is, in words."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of a channel of a row."""

    @abstractmethod
    def rows(self, windows: Rows) -> Rows:
        """Return windows (n, channels, window), NaN where a sample is missing, as raw rows."""

    @abstractmethod
    def windows(self, rows: Rows, originals: Rows | None = None) -> Rows:
        """Return raw rows (n, channels, *shape) as windows (n, channels, window).

        Parameters
        ----------
        rows : array
        originals : array (n, channels, window) or None
            The windows that they are reconstructions of, from which phases may be taken.
        """

    @abstractmethod
    def levels(self, rows: Rows) -> Rows:
        """Return the log-mel frames of raw rows, in decibels: (n, channels, bands, frames)."""

    @abstractmethod
    def columns(self, rows: Rows) -> Rows:
        """Return raw rows as a matrix whose columns are each scaled alike: (m, columns)."""

    @abstractmethod
    def spread(self, per_column: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a value for each of those columns in a shape that broadcasts against a row."""

    @abstractmethod
    def loudest(self, high: float) -> float:
        """Return the most that values are restored as, from the largest of the fit."""

    @abstractmethod
    def feature_names(self) -> list[str]:
        """Return a name for each cell of a channel."""

    def scaling(self) -> Scaling:
        """Return standardization."""
        return Standard()

    def to_json(self) -> dict[str, Any]:
        """Return the view as plain JSON data."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class Waveform(SoundView):
    """The samples themselves, all with one scale.

    Examples
    --------
    >>> Waveform.of(8000, [4000], None).window, Waveform.of(44100, [4000], 0.25).window
    (1024, 11025)
    """

    name = "waveform"
    exact = True

    @classmethod
    def of(cls, rate: int, lengths: Sequence[int], seconds: float | None) -> Self:
        """Return windows of so many seconds, or of the power of two that is nearest to 0.1."""
        if seconds is None:
            seconds = 2 ** round(np.log2(WAVEFORM * rate)) / rate
        return cls(rate, max(FEWEST, round(seconds * rate)))

    @property
    def words(self) -> str:
        """The number of samples."""
        return f"{self.window:,} samples"

    @property
    def shape(self) -> tuple[int, ...]:
        """(window,)."""
        return (self.window,)

    def rows(self, windows: Rows) -> Rows:
        """Return the windows."""
        return windows

    def windows(self, rows: Rows, originals: Rows | None = None) -> Rows:
        """Return the rows, without sound where a sample is missing."""
        return np.nan_to_num(rows)

    def levels(self, rows: Rows) -> Rows:
        """Return the log-mel frames of windows, whose end is without sound where hop needs it."""
        frames = LogMel.of(self.rate, [self.window], self.seconds)
        silence = [(0, 0), (0, 0), (0, frames.window - self.window)]
        return frames.rows(np.pad(rows, silence))

    def columns(self, rows: Rows) -> Rows:
        """Return all samples in one column."""
        return rows.reshape(-1, 1)

    def spread(self, per_column: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the value as (1, 1)."""
        return per_column.reshape(1, 1)

    def loudest(self, high: float) -> float:
        """Return full scale."""
        return 1.0

    def feature_names(self) -> list[str]:
        """Return the numbers of samples."""
        return [f"sample_{i}" for i in range(self.window)]


@dataclass(frozen=True)
class LogMel(SoundView):
    """The power in mel bands, frame by frame, in decibels of a sine at full scale; silence has -80.

    A frame is about 32 ms, the nearest power of two, four times as long as from frame to frame. The
    way back takes the power that is nearest to the bands in squared error, with the phases of the
    original where it is known, else those of Griffin and Lim.

    Parameters
    ----------
    size : int
        Samples of a frame.
    bands : int

    Examples
    --------
    A sine of half of full scale is at -6 dB, in the band around its frequency.

    >>> view = LogMel.of(8000, [8000], None)
    >>> view.window, view.size, view.shape
    (8000, 256, (64, 125))
    >>> sine = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    >>> levels = view.rows(sine[None, None])[0, 0, :, 60]
    >>> bool(abs(levels.max() + 6) < 2)
    True
    """

    size: int
    bands: int

    name = "mel"

    @classmethod
    def of(cls, rate: int, lengths: Sequence[int], seconds: float | None) -> Self:
        """Return windows of so many seconds, or of a second, less where 95% of clips are shorter.

        They are a whole number of frames.
        """
        size = max(FEWEST, 2 ** round(np.log2(FRAME * rate)))
        hop = size // 4
        if seconds is None:
            seconds = min(FRAMES, float(np.quantile(lengths, WHOLE)) / rate)
        frames = max(4, int(np.ceil(round(seconds * rate) / hop)))
        bands = next(n for n in BANDS if mel_bank(rate, size, n).any(1).all())
        return cls(rate, frames * hop, size, bands)

    @property
    def stft(self) -> Stft:
        """The transform of windows."""
        return Stft(self.size)

    @property
    def words(self) -> str:
        """The numbers of frames and of bands."""
        milliseconds = 1000 * self.stft.hop / self.rate
        return f"{self.shape[1]} frames of {self.bands} mel bands, every {milliseconds:.3g} ms"

    @property
    def shape(self) -> tuple[int, ...]:
        """(bands, frames)."""
        return (self.bands, self.window // self.stft.hop)

    def rows(self, windows: Rows) -> Rows:
        """Return log-mel frames, missing where samples of their own hop are.

        Behind the end of a clip, frames that reach into it are known: without sound there.
        """
        rows = np.empty((*windows.shape[:2], *self.shape), windows.dtype)
        bank, hop = self._bank(windows.dtype), self.stft.hop
        for row, window in zip(rows, windows, strict=True):
            spectra = self.stft.spectra(np.nan_to_num(window))
            row[...] = decibels(bank @ np.square(np.abs(spectra)))
            missing = np.isnan(window).any(0)
            end = len(missing) - int(np.argmin(missing[::-1]))
            missing[end : int(np.ceil(end / hop + 1.5)) * hop] = False
            row[..., missing.reshape(-1, hop).any(1)] = np.nan
        return rows

    def windows(self, rows: Rows, originals: Rows | None = None) -> Rows:
        """Return the windows of log-mel frames."""
        windows = np.empty((*rows.shape[:2], self.window), rows.dtype)
        bank = self._bank(rows.dtype)
        for i, row in enumerate(rows):
            powers = power_of(np.nan_to_num(row, nan=-np.inf))  # what is missing is silent
            magnitudes = np.stack([magnitudes_of(channel, bank) for channel in powers])
            if originals is None:
                spectra = with_phases(magnitudes, self.stft)
            else:
                known = np.nan_to_num(originals[i])
                spectra = in_phase(magnitudes, self.stft.spectra(known))
            windows[i] = self.stft.signal(spectra)
        return windows

    def levels(self, rows: Rows) -> Rows:
        """Return the rows."""
        return rows

    def columns(self, rows: Rows) -> Rows:
        """Return the bands: all frames and channels share one scale."""
        return np.moveaxis(rows, 2, -1).reshape(-1, self.bands)

    def spread(self, per_column: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values as (1, bands, 1)."""
        return per_column.reshape(1, -1, 1)

    def loudest(self, high: float) -> float:
        """Return ten decibels more than the loudest of the fit."""
        return high + HEADROOM

    def feature_names(self) -> list[str]:
        """Return the numbers of bands and frames."""
        bands, frames = self.shape
        return [f"band_{i}_{j}" for i in range(bands) for j in range(frames)]

    def _bank(self, dtype: np.dtype[Any]) -> Rows:
        return mel_bank(self.rate, self.size, self.bands).astype(dtype)


VIEWS: dict[str, type[SoundView]] = {view.name: view for view in (LogMel, Waveform)}


def view_named(name: str) -> type[SoundView]:
    """Return the view of a name.

    Raises
    ------
    SettingError
        If there is none.
    """
    if name not in VIEWS:
        raise unknown("view", name, VIEWS)
    return VIEWS[name]


def view_from_json(data: dict[str, Any]) -> SoundView:
    """Return the view that :meth:`SoundView.to_json` described."""
    return VIEWS[data["name"]](**{key: value for key, value in data.items() if key != "name"})
