"""Sound as a kind of data: windows of clips, and clips joined from windows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.clips import Clip, Clips
from attar.data.kind import Json, Kind, Portion, Rows
from attar.data.scaling import Scaling
from attar.data.sounds import Sounds, starts_of
from attar.data.stream import SIZE, Sample
from attar.data.summary import Moments, Summary
from attar.data.views import SoundView, view_from_json
from attar.errors import DataError

# The sample has so many cells at most, but so many windows at least.
CELLS, FEWEST = 1 << 25, 64


@dataclass(frozen=True)
class SoundWindows(Kind):
    """The form of sound, as windows of clips.

    Parameters
    ----------
    view : SoundView
        What a window of samples is to the model.
    channels : int
    dtype : str
        Of the samples of new clips.
    several : bool
        Whether clips were cut into several windows, which overlap.
    loudest : float
        The most that a value of a row is restored as.
    """

    view: SoundView
    channels: int
    dtype: str
    several: bool
    loudest: float = np.inf

    name = "sound"
    part = "channel"
    noisy: ClassVar[bool] = False
    hidden: ClassVar[float] = 0.0  # what is missing is behind the end of a clip

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, bands, frames), or (channels, samples)."""
        return (self.channels, *self.view.shape)

    @property
    def sample_size(self) -> int:
        """Fewer where windows are large."""
        return max(FEWEST, min(SIZE, CELLS // int(np.prod(self.shape))))

    @property
    def overlap(self) -> int:
        """2 where clips have several windows: the last one ends with its clip."""
        return 2 * self.several

    @classmethod
    def of(cls, pieces: Iterable[object]) -> tuple[Self, Summary]:
        """Return the form and the summary of sound, from one pass over it.

        Raises
        ------
        DataError
            If it has no samples.
        FileError
            If a file cannot be read.
        """
        if isinstance(pieces, Sounds):
            sounds = pieces
        else:
            sounds = Sounds(Clips.joined([one for one in pieces if isinstance(one, Clips)]))
        several = sounds.rows > len(sounds.sounds)
        kind = cls(sounds.view, sounds.channels, sounds.dtype, several)
        sample: Sample[Rows] = Sample(lambda rows, places: rows[places], kind.sample_size)
        moments = Moments.none(kind.columns(np.empty((0, *kind.shape))).shape[1])
        for piece in sounds:
            rows = kind.rows(piece)
            moments = moments.merged(Moments.of(kind.columns(rows)))
            sample.add(rows, len(rows))
        kind = replace(kind, loudest=sounds.view.loudest(float(moments.high.max())))
        return kind, Summary(sample.seen, moments, *sample.result(np.concatenate))

    def pieces(self, data: object) -> Iterable[Clips]:
        """Return clips at the model's rate, piece by piece; others are resampled, with a warning.

        Raises
        ------
        DataError
            If they have another number of channels, or were described as of another view.
        """
        if isinstance(data, Clips) and data.fits(self.view.rate, self.channels):
            return [data]
        if not isinstance(data, Sounds | Clips):
            raise DataError(
                f"The model was fitted on sound, but X is {type(data).__name__!r}: give "
                "attar.Sounds(X, rate=...)."
            )
        return self.sounds(data)

    def rows(self, data: object) -> Rows:
        """Return the windows of clips as the view has them; missing where a clip is shorter."""
        windows = [self._cut(clip) for piece in self.pieces(data) for clip in piece.clips]
        return self.view.rows(np.concatenate(windows))

    def passthrough(self, data: object) -> Clips:
        """Return the clips: their names, lengths and phases."""
        parts = [clip for piece in self.pieces(data) for clip in piece.clips]
        return Clips(parts, self.view.rate, self.dtype)

    def index(self, data: object) -> pd.DataFrame:
        """Return a row for each window: its file, and the seconds at which it starts and ends."""
        rate, lines = self.view.rate, list[tuple[str, float, float]]()
        for name, first, length, whole in self._places(data):
            for start in first + starts_of(length, self.view):
                end = min(start + self.view.window, whole)
                lines.append((name, start / rate, end / rate))
        return pd.DataFrame(lines, columns=["file", "start", "end"])

    def restore(self, rows: Rows, passthrough: Clips | None = None) -> Clips:
        """Return the clips of windows, joined by weights that add up to one.

        Parameters
        ----------
        rows : array (n, channels, ...)
        passthrough : Clips or None
            With it, clips have their lengths, names and phases. Without, each window is a clip.
        """
        rows = rows.clip(max=self.loudest)
        if passthrough is None:
            windows = self.view.windows(rows).clip(-1, 1)
            names = [f"{i:06}" for i in range(len(windows))]
            new = [
                Clip(name, window.T, 0, self.view.window)
                for name, window in zip(names, windows, strict=True)
            ]
            return Clips(new, self.view.rate, self.dtype)
        clips, done = list[Clip](), 0
        for clip in passthrough.clips:
            originals = self._cut(clip)
            some = rows[done : done + len(originals)]
            done += len(originals)
            clips.append(self._joined(clip, self.view.windows(some, originals)))
        return Clips(clips, passthrough.rate, passthrough.dtype)

    def _joined(self, clip: Clip, windows: Rows) -> Clip:
        """Return a clip, or a part of it that fades where it overlaps with others."""
        view, n = self.view, len(clip.samples)
        fade = np.sin(np.pi / 2 * (np.arange(view.overlap) + 0.5) / view.overlap) ** 2
        weight = np.ones(view.window)
        weight[: view.overlap], weight[-view.overlap :] = fade, fade[::-1]
        total, weights = (
            np.zeros((self.channels, max(n, view.window))),
            np.zeros(max(n, view.window)),
        )
        for start, window in zip(starts_of(n, view), windows, strict=True):
            total[:, start : start + view.window] += weight * window
            weights[start : start + view.window] += weight
        samples = (total / weights)[:, :n].clip(-1, 1)
        if clip.start:
            samples[:, : view.overlap] *= fade
        if clip.shared:
            samples[:, -view.overlap :] *= fade[::-1]
        joined = samples.T.astype(clip.samples.dtype)
        return Clip(clip.name, joined, clip.start, clip.length, clip.shared, clip.sound)

    def joined(self, parts: Sequence[Clips]) -> Clips:
        """Return pieces as one, with each clip whole."""
        return Clips.joined(parts)

    def scaling(self, summary: Summary) -> Scaling:
        """Return the view's."""
        return self.view.scaling()

    def columns(self, rows: Rows) -> Rows:
        """Return the bands, or all samples in one column."""
        return self.view.columns(rows)

    def spread(self, per_column: NDArray[np.float64], neutral: float) -> NDArray[np.float64]:
        """Return the values in a shape that broadcasts against a row."""
        return self.view.spread(per_column)

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """The rate, and what the windows are."""
        return [
            ("rate", f"{self.view.rate:,} Hz"),
            ("window", f"{self.view.seconds:.3g} s: {self.view.words}"),
        ]

    @property
    def portions(self) -> list[Portion]:
        """The sound."""
        columns = self.columns(np.empty((0, *self.shape))).shape[1]
        return [Portion("sound", self.view.name, slice(0, columns))]

    @property
    def channel_names(self) -> list[str]:
        """Left and right, of two; else numbers."""
        known = {1: ["mono"], 2: ["left", "right"]}
        return known.get(self.channels, [f"channel {i}" for i in range(self.channels)])

    @property
    def parts(self) -> list[tuple[str, slice]]:
        """The channels."""
        size = int(np.prod(self.view.shape))
        return [
            (name, slice(i * size, (i + 1) * size)) for i, name in enumerate(self.channel_names)
        ]

    def feature_names(self) -> list[str]:
        """Return the view's, with the channel where there are several."""
        names = self.view.feature_names()
        if self.channels == 1:
            return names
        return [f"{name}_{channel}" for channel in range(self.channels) for name in names]

    def to_json(self) -> Json:
        """Return the form as plain JSON data."""
        return {
            "view": self.view.to_json(),
            "channels": self.channels,
            "dtype": self.dtype,
            "several": self.several,
            "loudest": self.loudest,
        }

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Return the form that :meth:`to_json` described."""
        return cls(**{**data, "view": view_from_json(data["view"])})

    def sounds(self, data: object) -> Sounds:
        """Return sound as the model takes it: a path, a file, clips, or sounds of any rate.

        Raises
        ------
        DataError
            If it has another number of channels, or was described as of another view.
        FileError
            If a file cannot be read.
        """
        if not isinstance(data, Sounds):
            channels = "all" if self.channels > 1 else "mono"
            data = Sounds(data, self.view.rate, channels=channels)
            data.warn_of_rates(self.view.rate)
        return data.seen_by(self.view, self.channels)

    def _places(self, data: object) -> Iterable[tuple[str, int, int, int]]:
        """Yield name, first sample, number of samples, and that of the whole, clip by clip."""
        if isinstance(data, Sounds):
            seen = self.sounds(data)
            for sound in seen.sounds:
                length = seen.length(sound)
                yield sound.name, 0, length, length
        else:
            for clip in self.passthrough(data).clips:
                yield clip.name, clip.start, len(clip.samples), clip.length

    def _cut(self, clip: Clip) -> Rows:
        """Return the windows of a clip: (n, channels, window), NaN where it is shorter."""
        window = self.view.window
        samples = clip.samples.T
        missing = max(0, window - samples.shape[1])
        if missing:
            samples = np.pad(samples, [(0, 0), (0, missing)], constant_values=np.nan)
        starts = starts_of(len(clip.samples), self.view)
        return np.stack([samples[:, start : start + window] for start in starts])
