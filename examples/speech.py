"""Compress voices at several bitrates by one model, in a file and as a stream.

Without arguments the voices are made up: pulses of a pitch that glides, through two resonances.
``python examples/speech.py FOLDER`` takes recordings, and ``attar compress`` does the same in a
shell.
"""

import sys

import numpy as np
from scipy.signal import lfilter

import attar

RATE = 8000


def voice(seed: int, seconds: float = 4.0) -> np.ndarray:
    """Return a voice that says vowels."""
    rng, n = np.random.default_rng(seed), round(seconds * RATE)
    ends = np.linspace(0, n, 9)
    pitch = np.interp(np.arange(n), ends, rng.uniform(90, 220, 9))
    pulses = np.diff(np.floor(np.cumsum(pitch / RATE)), prepend=0.0)
    for low, high in ((250, 800), (900, 2300)):
        angle = 2 * np.pi * rng.uniform(low, high) / RATE
        pulses = lfilter([1.0], [1.0, -1.9 * np.cos(angle), 0.9], pulses)
    loudness = np.interp(np.arange(n), ends, rng.uniform(0, 1, 9))
    return (0.5 * loudness * pulses / np.abs(pulses).max()).astype(np.float32)


def main(
    source: str | None = None,
    recipe: str | attar.Recipe = "speech-codec",
    epochs: int | str = "auto",
    clips: int = 30,
) -> dict[float, float]:
    """Fit a model, compress a clip, and return the bitrates that were asked for and had."""
    sounds = attar.Sounds(source or [voice(i) for i in range(clips)], None if source else RATE)
    ae = attar.Autoencoder(recipe, epochs=epochs, random_state=0).fit(sounds)
    codec = attar.SoundCodec(ae)

    clip, found = attar.Sounds(voice(100), RATE), {}
    for kbps in (1.2, 2.4, 4.8):
        data = codec.compress(clip, kbps)
        found[kbps] = 8 * len(data) / 4.0 / 1000
        back = codec.decompress(data)[0]
        print(f"{kbps} kbit/s: {len(data):,} bytes for {len(back) / RATE:.1f} s")

    stream = codec.stream(stages=6)
    blocks = voice(100).reshape(-1, codec.frame)
    heard = np.concatenate([stream.step(block) for block in blocks])
    print(f"A stream of {len(heard) / RATE:.1f} s is {1000 * stream.latency:.0f} ms late.")
    return found


if __name__ == "__main__":
    main(*sys.argv[1:2])
