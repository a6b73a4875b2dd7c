"""What a codec of sound makes of some seconds at several bitrates: curves, and players."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

import numpy as np

from attar.data.kind import Rows
from attar.data.sounds import Sounds
from attar.data.views import LogMel
from attar.reporting import svg
from attar.reporting.html import captioned, number, tag
from attar.reporting.scale import Scale
from attar.reporting.sounds import player
from attar.sound_codec import SoundCodec

if TYPE_CHECKING:
    from attar.estimator import Autoencoder

# Seconds that are coded, and the shares of all stages that frames have.
SECONDS, SHARES = 8.0, (1 / 16, 1 / 8, 3 / 16, 3 / 8, 5 / 8, 1.0)


@dataclass(frozen=True)
class AtBitrate:
    """Sound that was coded at a bitrate.

    Attributes
    ----------
    kbps : float
    samples : array (n,)
    distance : float
        The mean distance of log-mel frames, in decibels.
    ratio : float
        The mean signal-to-noise ratio of frames, in decibels.
    """

    kbps: float
    samples: Rows
    distance: float
    ratio: float


def bitrates(estimator: Autoencoder, rows: Rows) -> list[Element]:
    """Return the curve of quality against bitrate of raw rows (n, 1, samples), and players."""
    codec = SoundCodec(estimator)
    known = rows[:, 0][~np.isnan(rows[:, 0])][: round(SECONDS * codec.rate)].astype(np.float32)
    found = [at_stages(codec, known, max(1.0, share * codec.stages)) for share in SHARES]
    rates, distances = [one.kbps for one in found], [one.distance for one in found]
    axes = svg.Axes(
        Scale.over(0, 1.05 * max(rates), "kbit/s"),
        Scale.over(0, 1.06 * max(distances), "log-mel distance, dB"),
    )
    curve = axes.figure(
        f"The distance falls from {number(distances[0])} dB at {number(rates[0])} kbit/s to "
        f"{number(distances[-1])} dB at {number(rates[-1])} kbit/s.",
        axes.line(rates, distances, "line first"),
        *(axes.dot(x, y, "dot first", 4) for x, y in zip(rates, distances, strict=True)),
    )
    ratios = ", ".join(f"{one.ratio:.1f} dB at {one.kbps:.2g}" for one in found)
    words = (
        f"The first {len(known) / codec.rate:.3g} s of these windows, joined, at several bitrates "
        "of all bytes of a file: the mean distance of log-mel frames. The mean signal-to-noise "
        f"ratio of frames is {ratios} kbit/s."
    )
    heard = [("original", known)]
    heard += [(f"{one.kbps:.2g} kbit/s", one.samples) for one in found[1:]]
    players = (
        tag("div", player(samples[:, None], codec.rate, name), tag("span", name))
        for name, samples in heard
    )
    return [captioned(curve, words), tag("div", *players, class_="pictures large")]


def at_stages(codec: SoundCodec, samples: Rows, stages: float) -> AtBitrate:
    """Return sound at a number of stages of each frame."""
    coded = codec.coded(Sounds(samples, codec.rate), stages=stages)
    decoded = codec.decompress(coded)[0]
    view = LogMel.of(codec.rate, [len(samples)], len(samples) / codec.rate)
    padded = [np.pad(x, (0, view.window - len(x)))[None, None] for x in (samples, decoded)]
    before, after = (view.rows(x) for x in padded)
    size = view.size
    frames = [x[: len(x) // size * size].reshape(-1, size) for x in (samples, samples - decoded)]
    power, noise = (np.square(x, dtype=np.float64).mean(1) + 1e-8 for x in frames)
    ratio = (10 * np.log10(power / noise)).clip(-10, 35).mean()
    return AtBitrate(coded.kbps, decoded, float(np.abs(before - after).mean()), float(ratio))
