"""What rows take, compressed without loss, beside general compressors."""

from __future__ import annotations

import bz2
import io
import lzma
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

import numpy as np

from attar.codec.forms import raw_bytes
from attar.compression import Codec
from attar.data.kind import Rows
from attar.data.stream import evenly_spaced
from attar.errors import AttarError
from attar.reporting.html import captioned, head, scrolling, tag
from attar.reporting.measured import counted

if TYPE_CHECKING:
    from attar.estimator import Autoencoder

# So many cells are compressed, which takes some seconds.
MOST_CELLS = 1 << 21


def compressed_table(estimator: Autoencoder, rows: Rows, row: str) -> Element:
    """Return a table of what raw rows (n, *cells) take, or a sentence where they don't compress.

    Parameters
    ----------
    estimator : Autoencoder
        With a causal likelihood.
    rows : rows (n, *cells)
    row : str
        What one row is called.
    """
    fitted = estimator.fitted_
    some = evenly_spaced(len(rows), max(1, MOST_CELLS // prod(rows.shape[1:])))
    data = fitted.kind.restore(rows[some])
    try:
        codec = Codec(estimator)
        size = len(codec.compress(data))
    except AttarError as error:
        return tag("p", f"These {row}s are not compressed: {error}", class_="after")
    raw, cells = raw_bytes(data, fitted.kind), codec.cells * len(some)
    found = [("this model", size), ("bz2", len(bz2.compress(raw, 9)))]
    found += [("xz", len(lzma.compress(raw, preset=9))), *_pictures(data), ("plain", len(raw))]
    model = sum(tensor.nbytes for tensor in fitted.tensors().values())
    form = "the bytes" if isinstance(data, np.ndarray) else "CSV"
    words = (
        f"Bytes of {counted(len(some), row)} of this report, compressed without loss, and bits of "
        f"each of their {counted(codec.cells, 'cell')}; “plain” is {form} without "
        f"compression. The weights take {model:,} bytes more, for any number of {row}s."
    )
    return captioned(scrolling(_table(found, cells), "parts sizes", "Compressed sizes"), words)


def _table(found: Sequence[tuple[str, int]], cells: int) -> Element:
    """Return a table of names and bytes, with bars."""
    most = max(size for _, size in found[:-1])
    lines = [tag("tr", *(head(text, "col") for text in ("", "", "bytes", "bits a cell")))]
    for i, (name, size) in enumerate(found):
        share = min(1.0, size / most)
        bar = tag("i", class_="second" if i else "first", style=f"--share:{share:.4f}")
        texts = f"{size:,}", f"{8 * size / cells:.3f}"
        # What is plain would make all other bars short.
        shown = tag("td", *([] if name == "plain" else [bar]), class_="share")
        lines.append(tag("tr", head(name, "row"), shown, *(tag("td", text) for text in texts)))
    return tag("table", *lines)


def _pictures(data: object) -> list[tuple[str, int]]:
    """Return what images take as one tall PNG picture; nothing where it cannot hold them."""
    from PIL import Image

    if not isinstance(data, np.ndarray) or data.dtype != "uint8" or data.ndim not in (3, 4):
        return []
    if data.ndim == 4 and data.shape[3] not in (3, 4):
        return []
    file = io.BytesIO()
    Image.fromarray(data.reshape(-1, *data.shape[2:])).save(file, "png", optimize=True)
    return [("PNG", len(file.getvalue()))]
