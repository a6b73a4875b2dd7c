"""Compress images without loss, beside bz2 and PNG, and read some rows of the file."""

import bz2
import io
import tempfile
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits

import attar


def main(epochs: int | str = 20) -> dict[str, int]:
    """Fit on 1,500 digits, compress the other 297, and return the bytes of each way."""
    images = load_digits().images.astype("uint8")
    train, test = images[:1500], images[1500:]
    codec = attar.Codec(attar.Autoencoder("lossless", epochs=epochs, random_state=0).fit(train))

    picture = io.BytesIO()
    Image.fromarray(test.reshape(-1, 8)).save(picture, "png", optimize=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "digits.atz"
        codec.compress_file(test, file)
        sizes = {
            "plain": test.nbytes,
            "PNG": len(picture.getvalue()),
            "bz2": len(bz2.compress(test.tobytes(), 9)),
            "attar": file.stat().st_size,
        }
        archive = attar.open(file, codec.model)
        assert (archive[:] == test).all()
        assert (archive[100:110] == test[100:110]).all()

    for name, size in sizes.items():
        print(f"{name:6} {size:7,} bytes, {8 * size / test.size:.3f} bits a pixel")
    return sizes


if __name__ == "__main__":
    main()
