"""Compression of sound for the verbs compress, decompress and info."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from attar.cli import arguments
from attar.errors import FileError, SettingError

if TYPE_CHECKING:
    from attar.codec.clips import CodedClips
    from attar.estimator import Autoencoder


def compress_sound(
    model: Autoencoder,
    source: Path,
    output: Path,
    kbps: float | None,
    with_model: bool,
    as_json: bool,
) -> None:
    """Write compressed sound, and print what it takes.

    Raises
    ------
    FileError
        If the source is no sound.
    SettingError
        If the bitrate is out of range.
    """
    from attar.sound_codec import SoundCodec

    started = time.perf_counter()
    coded = SoundCodec(model).compress_file(source, output, kbps, with_model)
    if as_json:
        print(arguments.to_json(described(coded, output)))
        return
    took, clips = time.perf_counter() - started, len(coded.clips)
    size = output.stat().st_size - len(coded.model)
    seconds = sum(clip.seconds for clip in coded.clips)
    print(
        f"{clips:,} clip{'s' * (clips > 1)} of {seconds:,.1f} s: {size:,} bytes, "
        f"{coded.kbps:.3g} kbit/s."
    )
    print(f"Compressed in {took:.1f} s: {output}{', with its model' if with_model else ''}.")


def decompress_sound(model: Autoencoder | None, file: Path, output: Path) -> None:
    """Write the sound of a compressed file: to a file, or where there are several to a folder.

    Raises
    ------
    ArchiveError
        If the file is damaged, or of another model.
    FileError
        If the output has a suffix that is no sound's, or several clips have no folder.
    """
    from attar.data.clips import SoundOutput, sound_writer
    from attar.data.sounds import SUFFIXES
    from attar.sound_codec import open_sound
    from attar.storage import written_whole

    suffix = output.suffix.lower()
    if suffix and suffix not in SUFFIXES:
        raise FileError(f"{file} holds sound: write it to one of {', '.join(SUFFIXES)}.")
    clips = open_sound(file, model)
    if not suffix:
        with sound_writer(output) as writer:
            writer.write(clips)
        return
    if len(clips) > 1:
        raise SettingError(f"{file} holds {len(clips):,} clips: give a folder for them.")
    with written_whole(output) as beside:
        SoundOutput(beside, clips.clips[0].in_format(suffix), clips.rate).write(clips.clips[0])


def described(coded: CodedClips, file: Path) -> dict[str, object]:
    """Return what a compressed file of sound contains."""
    rates = sorted({clip.rate for clip in coded.clips})
    return {
        "file": str(file),
        "fingerprint": coded.fingerprint,
        "bytes": file.stat().st_size,
        "model_bytes": len(coded.model),
        "data": "sound",
        "clips": len(coded.clips),
        "seconds": round(sum(clip.seconds for clip in coded.clips), 3),
        "kbps": round(coded.kbps, 4),
        "rate": rates[0] if len(rates) == 1 else rates,
    }
