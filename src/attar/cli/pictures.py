"""Compression of pictures at a quality, for the verbs compress, decompress and info."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attar.cli import arguments
from attar.errors import FileError, SettingError

if TYPE_CHECKING:
    from attar.codec.coded_pictures import CodedPictures
    from attar.estimator import Autoencoder

# What one picture is written to.
SUFFIXES = (".png", ".webp", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Quality:
    """The options of the quality, of which one is given at most."""

    quality: float | None
    bpp: float | None
    psnr: float | None

    def refuse(self) -> None:
        """Refuse the options for a model that has no qualities.

        Raises
        ------
        SettingError
            If one is given.
        """
        given = [name for name, value in vars(self).items() if value is not None]
        if given:
            raise SettingError(
                f"--{given[0]} is for models of the recipe picture-codec: leave it out."
            )


def compress_pictures(
    model: Autoencoder,
    source: Path,
    output: Path,
    asked: Quality,
    with_model: bool,
    as_json: bool,
) -> None:
    """Write compressed pictures, and print what they take.

    Raises
    ------
    FileError
        If the source is no picture.
    SettingError
        If the quality is out of range.
    """
    from attar.picture_codec import PictureCodec

    started, codec = time.perf_counter(), PictureCodec(model)
    data = source if source.suffix != ".npy" else _array(source)
    coded = codec.compress_file(data, output, **vars(asked), with_model=with_model)
    if as_json:
        print(arguments.to_json(described(coded, output)))
        return
    took, pictures = time.perf_counter() - started, sum(len(s.names) for s in coded.stacks)
    size = output.stat().st_size - len(coded.model)
    print(
        f"{pictures:,} picture{'s' * (pictures > 1)}: {size:,} bytes, "
        f"{coded.bits_per_pixel:.3g} bits a pixel, at quality {coded.quality:.3g}."
    )
    print(f"Compressed in {took:.1f} s: {output}{', with its model' if with_model else ''}.")


def decompress_pictures(
    model: Autoencoder | None, file: Path, output: Path, layers: int | None
) -> None:
    """Write the pictures of a compressed file: to a file, an array (.npy) or a folder.

    Raises
    ------
    ArchiveError
        If the file is damaged, or of another model.
    FileError
        If the output does not hold what the file does.
    """
    import numpy as np
    from PIL import Image

    from attar.codec.coded_pictures import ONE
    from attar.data.pictures import picture_writer
    from attar.picture_codec import open_pictures
    from attar.storage import written_whole

    suffix = output.suffix.lower()
    if suffix and suffix not in (*SUFFIXES, ".npy"):
        raise FileError(f"{file} holds pictures: write them to .npy, .png or a folder.")
    coded, found = open_pictures(file, model, layers)
    if suffix == ".npy":
        if isinstance(found, list):
            raise FileError(f"{file} holds pictures of any sizes: write them to a folder.")
        with written_whole(output) as beside, beside.open("wb") as target:
            np.save(target, found)
    elif suffix:
        if coded.form != ONE:
            raise FileError(f"{file} holds several pictures: write them to a folder or .npy.")
        with written_whole(output) as beside:
            lossless = {"lossless": True} if suffix == ".webp" else {}
            quality = {"quality": 100} if suffix in (".jpg", ".jpeg") else lossless
            Image.fromarray(found).save(beside, Image.registered_extensions()[suffix], **quality)
    else:
        names = [name for stack in coded.stacks for name in stack.names]
        with picture_writer(output, names if all(names) else None) as writer:
            for picture in [found] if coded.form == ONE else found:
                writer.write(picture[None])


def described(coded: CodedPictures, file: Path) -> dict[str, object]:
    """Return what a compressed file of pictures contains."""
    sizes = sorted({stack.size for stack in coded.stacks})
    return {
        "file": str(file),
        "fingerprint": coded.fingerprint,
        "bytes": file.stat().st_size,
        "model_bytes": len(coded.model),
        "data": "pictures",
        "pictures": sum(len(stack.names) for stack in coded.stacks),
        "sizes": [f"{height} x {width}" for height, width in sizes],
        "quality": round(coded.quality, 1),
        "bits_per_pixel": round(coded.bits_per_pixel, 4),
    }


def _array(source: Path) -> object:
    import numpy as np

    from attar.data.files.base import readable

    with readable(source):
        return np.load(source)
