"""Sound on the page: windows as pictures of their log-mel frames, with players."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from attar.data.clips import library
from attar.data.kind import Rows
from attar.data.recordings import SoundWindows
from attar.reporting.colours import Attribute
from attar.reporting.display import Examples, Interpolation, PictureDisplay, nan_mean
from attar.reporting.html import captioned, number, tag
from attar.reporting.images import Bytes, picture, signed, strips, with_alpha

# Pixels of the longer side of a picture.
SIDE = 192


class SoundDisplay(PictureDisplay):
    """Windows of sound: frames from left to right, low frequencies at the bottom."""

    row = "window"
    compared, sampled = 6, 6

    def __init__(self, kind: SoundWindows, examples: Examples) -> None:
        self.kind, self.view = kind, kind.view
        levels = self._levels(examples.rows)
        self.low, self.high = float(np.nanmin(levels)), float(np.nanmax(levels))

    @property
    def title(self) -> str:
        """The length and the rate of a window."""
        return f"{self.view.seconds:.3g} s of sound at {self.view.rate:,} Hz"

    def attributes(self, examples: Examples) -> list[Attribute]:
        """Return the mean level, and how long the sound is where windows are not full."""
        levels = self._levels(examples.rows)
        found = [Attribute("the mean level in dB", nan_mean(levels, (1, 2)))]
        if np.isnan(examples.rows).any():
            found.append(Attribute("the length in seconds", self._lengths(examples.rows)))
        return found

    def pixels(self, rows: Rows) -> list[Bytes]:
        """Return log-mel frames, low frequencies at the bottom; missing ones are transparent."""
        return [self._shades(level) for level in self._levels(rows)]

    def differences(self, rows: Rows, reconstructed: Rows) -> list[Bytes]:
        """Return by how much frames are too loud or too quiet."""
        found = np.nan_to_num(self._levels(reconstructed) - self._levels(rows))
        largest = float(np.abs(found).max()) or 1.0
        return [signed(difference[None] / largest) for difference in found]

    def reconstructions(
        self, examples: Examples, names: Sequence[str], order: str
    ) -> list[Element]:
        """Return originals above reconstructions above differences, a column for each window."""
        missing = np.isnan(examples.rows)
        reconstructed = np.where(missing, np.nan, examples.reconstructed)
        before, after = self._levels(examples.rows), self._levels(reconstructed)
        columns = [
            tag(
                "div",
                *self._heard(row, level, f"{name}, original", length),
                *self._heard(other, other_level, f"{name}, reconstructed", length),
                picture(difference, f"{name}, difference", SIDE),
                tag("span", name, title=name),
            )
            for row, level, other, other_level, difference, name, length in zip(
                examples.rows,
                before,
                examples.reconstructed,
                after,
                self.differences(examples.rows, reconstructed),
                names,
                self._lengths(examples.rows),
                strict=True,
            )
        ]
        caption = (
            f"Log-mel frames of originals, reconstructions and differences, {order}: from "
            f"{number(self.low)} dB, black, to {number(self.high)} dB, white. Differences are red "
            "where the reconstruction is too loud and blue where it is too quiet."
        )
        caption += self._phases(": the originals too, so that all differences are the model’s")
        return [captioned(tag("div", *columns, class_="pictures large"), caption)]

    def originals(self, rows: Rows, names: Sequence[str]) -> list[Element]:
        """Return a picture and a player for each row."""
        return [self._pictures(rows, names)]

    def interpolations(self, interpolations: Sequence[Interpolation]) -> list[Element]:
        """Return a strip of pictures for each interpolation."""

        def drawn(rows: Rows) -> Iterable[Bytes]:
            return self.pixels(rows)

        caption = "Decoded interpolations between the codes of two windows."
        return [captioned(strips(interpolations, drawn, " large"), caption)]

    def samples(self, rows: Rows, drawn: bool = True) -> list[Element]:
        """Return a picture and a player for each sample."""
        names = [f"sample {i}" for i in range(len(rows))]
        caption = f"Sound {'drawn from the model' if drawn else 'decoded from random codes'}."
        return [captioned(self._pictures(rows, names), caption + self._phases())]

    def _phases(self, more: str = "") -> str:
        """Return what is to be known of the players."""
        if self.view.exact:
            return ""
        return f" Players play what the frames say, with phases of Griffin and Lim{more}."

    def _pictures(self, rows: Rows, names: Sequence[str]) -> Element:
        lengths = self._lengths(rows)
        columns = (
            tag("div", *self._heard(row, level, name, length), tag("span", name, title=name))
            for row, level, name, length in zip(
                rows, self._levels(rows), names, lengths, strict=True
            )
        )
        return tag("div", *columns, class_="pictures large")

    def _heard(
        self, row: Rows, level: NDArray[np.float64], name: str, seconds: float
    ) -> list[Element]:
        """Return the picture of a window, and a player of so many seconds of it."""
        samples = self.view.windows(row[None])[0].T.clip(-1, 1)
        return [
            picture(self._shades(level), name, SIDE),
            player(samples[: round(seconds * self.view.rate)], self.view.rate, name),
        ]

    def _levels(self, rows: Rows) -> NDArray[np.float64]:
        """Return log-mel frames (n, bands, frames) of raw rows, the mean of channels."""
        levels: NDArray[np.float64] = self.view.levels(rows).mean(1)
        return levels

    def _lengths(self, rows: Rows) -> NDArray[np.float64]:
        """Return how many seconds of raw rows (n, channels, ..., steps) are there."""
        cells = rows.reshape(len(rows), -1, rows.shape[-1])
        known = np.logical_not(np.isnan(cells).all(1))
        ends = rows.shape[-1] - np.argmax(known[:, ::-1], axis=1)
        lengths: NDArray[np.float64] = self.view.seconds * ends / rows.shape[-1]
        return lengths

    def _shades(self, level: NDArray[np.float64]) -> Bytes:
        """Return frames as bytes, low frequencies at the bottom; missing ones are transparent."""
        share = (level[::-1] - self.low) / ((self.high - self.low) or 1.0)
        missing = np.isnan(share)
        values = np.rint(255 * np.where(missing, 0, share).clip(0, 1)).astype(np.uint8)
        return with_alpha(values, missing) if missing.any() else values


def player(samples: Rows, rate: int, name: str) -> Element:
    """Return a player of samples (n, channels) from -1 to 1, as FLAC of 16 bits."""
    file = io.BytesIO()
    library("soundfile").write(file, samples, rate, format="FLAC", subtype="PCM_16")
    code = base64.b64encode(file.getvalue()).decode()
    source = f"data:audio/flac;base64,{code}"
    return tag("audio", controls="controls", preload="metadata", src=source, aria_label=name)
