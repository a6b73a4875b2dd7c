"""Speech at low bitrates beside Codec 2 and Opus: real bytes, PESQ and STOI.

Recordings 5 to 9 of each digit and speaker of ``fsdd`` are held out, and joined to a file for each
speaker: short clips break both measures. The bytes of the peers are those of their frames, and for
Opus of the Ogg file. All decoded files are aligned by the delay at which they correlate most.
"""

from __future__ import annotations

import argparse
import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

import attar
from benchmarks._common import data_folder

RATE, HELD_OUT = 8000, range(5, 10)
BITRATES = (1.2, 2.4, 6.0)
# Samples by which a codec may be late.
LATE = 800

Samples = NDArray[np.float32]
Clips = dict[str, list[Samples]]


def recordings(folder: Path) -> tuple[Clips, Clips]:
    """Return the recordings of each speaker that train, and those held out."""
    train: Clips = {}
    held: Clips = {}
    with zipfile.ZipFile(folder / "speech" / "fsdd.zip") as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(".wav")):
            _, speaker, number = Path(name).stem.split("_")
            samples, _ = soundfile.read(io.BytesIO(archive.read(name)), dtype="float32")
            group = held if int(number) in HELD_OUT else train
            group.setdefault(speaker, []).append(samples)
    return train, held


def aligned(original: Samples, decoded: Samples) -> tuple[Samples, Samples]:
    """Return both without the delay of the decoded one."""
    padded = np.pad(decoded, (0, max(0, len(original) + LATE - len(decoded))))
    delays = [float(original @ padded[d : d + len(original)]) for d in range(LATE)]
    delay = int(np.argmax(np.abs(delays)))
    found = padded[delay : delay + len(original)]
    return original, found


def measured(original: Samples, decoded: Samples) -> tuple[float, float]:
    """Return PESQ, narrow band, and STOI."""
    from pesq import pesq
    from pystoi import stoi

    return pesq(RATE, original, decoded, "nb"), stoi(original, decoded, RATE)


def codec2(bitrate: int) -> Callable[[Samples], tuple[int, Samples]]:
    """Return Codec 2 at a bitrate."""
    import pycodec2

    def code(samples: Samples) -> tuple[int, Samples]:
        codec = pycodec2.Codec2(bitrate)
        n = codec.samples_per_frame()
        padded = np.pad(samples, (0, -len(samples) % n))
        levels = (padded * 32767).astype(np.int16).reshape(-1, n)
        frames = [codec.encode(frame) for frame in levels]
        decoded = np.concatenate([codec.decode(frame) for frame in frames])
        return sum(map(len, frames)), (decoded / 32768).astype(np.float32)

    return code


def opus(samples: Samples) -> tuple[int, Samples]:
    """Return Opus at its lowest bitrate, in an Ogg file."""
    file = io.BytesIO()
    with soundfile.SoundFile(
        file, "w", RATE, 1, "OPUS", format="OGG", compression_level=1.0
    ) as output:
        output.write(samples)
    size = file.tell()
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    return size, decoded


def attar_at(codec: attar.SoundCodec, kbps: float) -> Callable[[Samples], tuple[int, Samples]]:
    """Return attar's codec at a bitrate."""

    def code(samples: Samples) -> tuple[int, Samples]:
        data = codec.compress(attar.Sounds(samples, RATE), kbps)
        return len(data), codec.decompress(data)[0]

    return code


def main() -> None:
    """Train, or load a model, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=25, help="of training, by the clock")
    parser.add_argument("--model", type=Path, help="written after training, or read if it is there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    train, held = recordings(data_folder())
    if options.model is not None and options.model.exists():
        ae = attar.load(options.model)
    else:
        clips = [clip for speaker in train.values() for clip in speaker]
        ae = attar.Autoencoder(
            "speech-codec", max_minutes=options.minutes, random_state=0, verbose=True
        )
        started = time.process_time()
        ae.fit(attar.Sounds(clips, RATE))
        print(f"trained in {(time.process_time() - started) / 60:.1f} minutes of CPU time")
        if options.model is not None:
            ae.save(options.model)
    codec = attar.SoundCodec(ae)
    contenders = {f"attar {kbps:g}": attar_at(codec, kbps) for kbps in BITRATES}
    contenders |= {f"Codec 2 {bitrate}": codec2(bitrate) for bitrate in (1200, 2400, 3200)}
    contenders["Opus, lowest"] = opus
    files = [np.concatenate(clips) for clips in held.values()]
    seconds, found = sum(map(len, files)) / RATE, {}
    for name, code in contenders.items():
        started = time.process_time()
        coded = [code(samples) for samples in files]
        times = seconds / (time.process_time() - started)
        scores = [
            measured(*aligned(samples, decoded))
            for samples, (_, decoded) in zip(files, coded, strict=True)
        ]
        pesq, stoi = np.mean(scores, 0)
        kbps = 8 * sum(size for size, _ in coded) / seconds / 1000
        found[name] = {"kbps": kbps, "pesq": pesq, "stoi": stoi, "times_real_time": times}
        if not options.json:
            print(f"{name:14} {kbps:5.2f} kbit/s  PESQ {pesq:.2f}  STOI {stoi:.3f}  {times:4.0f} x")
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
