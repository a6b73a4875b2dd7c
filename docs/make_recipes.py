"""Write the page of recipes from the table: docs/recipes.md, its figures and its pictures.

Rows whose recipe is not the one that was measured are fitted again; ``--text`` fits none, and
names fit the rows that they name.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from attar import Autoencoder
from attar.codes import Code, CodeModule, SymbolModule
from attar.data.source import read
from attar.parts import Part
from attar.recipe import Recipe, Row
from attar.recipes import TABLE
from attar.sampling import FromPrior, GaussianMixture

DOCS = Path(__file__).parent
PAGE, PICTURES = DOCS / "recipes.md", DOCS / "recipes"
FIGURES = PICTURES / "figures.json"

SIZE, EPOCHS = 16, 60

Figures = dict[str, dict[str, Any]]

OPENING = f"""# The recipes

Every row of the table (`src/attar/recipes.py`) is a published variant, and one expression of parts.
Use it by its name, or write the expression and change what you like:

```python
attar.Autoencoder("beta-vae").fit(X)
attar.Autoencoder(attar.Recipe(attar.codes.Gaussian(beta=2.0))).fit(X)
```

An expression shows what differs from the defaults; its parts are in `attar.codes`, `attar.priors`,
`attar.penalties`, `attar.bounds`, `attar.corruptions`, `attar.conditions`, `attar.likelihoods` and
`attar.sampling`.

All rows below learnt the same 1,437 digits of 8 × 8 pixels, in a few seconds each, by
`Autoencoder(name, {SIZE}, epochs={EPOCHS}, random_state=0)`, all else by default; more
time makes most of them better. In each picture the first line shows digits that the model has not
seen, the second what it makes of them, and the third new ones.

The figures are of 360 unseen digits. *Error* is the mean squared error as a share of that of {SIZE}
principal components: below 1 is better than the best linear code. *Bound* is an upper bound on
−log p(x), in nats a row, where the model has such a density: less is better. *Bits* is what a
code of symbols takes; {SIZE} principal components are {SIZE} numbers of 32 bits.
"""

CLOSING = "This page is made from the table by `make recipes`.\n"

GROUPS = {
    "Points": "The code of a row is a point: small, or kept smooth, or drawn to a prior.",
    "Sparse codes": "Few of a code's numbers are active, so that each may come to mean something.",
    "Gaussians": "The code of a row is a distribution in flat space: a gaussian, or a bent one.",
    "Curved spaces": "Codes have a geometry of their own, in which they are compared and walked.",
    "Symbols": "Codes are discrete: entries of codebooks, rounded numbers, categories, bits.",
}

PROVIDES = {
    "point": "Codes are without chance.",
    "density": "Rows have a likelihood.",
    "moments": "The code of a row is a gaussian.",
    "symbols": "Codes are discrete.",
    "sparse": "Codes larger than the data are usual.",
    "ordered": "The first k numbers are a code too.",
}


def expression(value: object) -> str:
    """Return the shortest Python expression of a part: only what differs from the defaults."""
    if isinstance(value, tuple):
        inner = ", ".join(map(expression, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, str):
        return json.dumps(value)
    if not isinstance(value, Part):
        return repr(value)
    default, shown = type(value)(), []
    for name in (field.name for field in fields(value)):
        setting = getattr(value, name)
        if isinstance(setting, Code):
            shown.append(expression(setting))
        elif setting != getattr(default, name):
            shown.append(f"{name}={expression(setting)}")
    return f"{type(value).__name__}({', '.join(shown)})"


def group(code: Code) -> str:
    """Return the title of the group that a code belongs to."""
    if "symbols" in code.provides:
        return "Symbols"
    if "sparse" in code.provides:
        return "Sparse codes"
    if "point" in code.provides:
        return "Points"
    flat = type(built(code)).distance is CodeModule.distance
    return "Gaussians" if flat else "Curved spaces"


def built(code: Code) -> CodeModule:
    """Return the module of a code for digits."""
    return code.build(SIZE, (1, 8, 8))


def offers(recipe: Recipe) -> str:
    """Return in words what a recipe provides."""
    code = built(recipe.code)
    words = [PROVIDES[key] for key in PROVIDES if key in recipe.code.provides]
    sampler = recipe.sampler or (GaussianMixture() if code.prior is None else FromPrior())
    words.append(f"New codes come from the sampler `{sampler.name}`.")
    if recipe.condition is not None:
        words.append("Fit it with `fit(X, condition=labels)`.")
    return " ".join(words)


def measured(name: str, row: Row, metrics: Figures) -> dict[str, str]:
    """Return the figures of a row, as they are shown."""
    known, code, shown = metrics.get(name, {}), built(row.recipe.code), {}
    if "error_to_pca" in known:
        shown["error"] = f"{known['error_to_pca']:.2f}"
    if "nll_bound" in known:
        shown["bound"] = f"{known['nll_bound']:.1f}".replace("-", "−")
    if isinstance(code, SymbolModule):
        shown["bits"] = f"{sum(map(math.log2, code.sizes)):.0f}"
    return shown


def contents(table: dict[str, Row], metrics: Figures) -> str:
    """Return the rows of a group, with their figures beside them."""
    cells = {name: measured(name, row, metrics) for name, row in table.items()}
    columns = [key for key in ("error", "bound", "bits") if any(key in c for c in cells.values())]
    lines = [f"| recipe | | {' | '.join(columns)} |", "|---" * 2 + "|--:" * len(columns) + "|"]
    for name, row in table.items():
        shown = " | ".join(cells[name].get(key, "") for key in columns)
        lines.append(f"| [{name}](#{name}) | {row.summary} | {shown} |")
    return "\n".join(lines)


def section(name: str, row: Row) -> str:
    """Return the section of a row."""
    return f"""### {name}

{row.summary}

```python
{expression(row.recipe)}
```

{offers(row.recipe)}

![Digits, what {name} makes of them, and new ones](recipes/{name}.png)

{row.citation}
"""


def page(table: dict[str, Row], metrics: Figures) -> str:
    """Return the text of the page."""
    groups = {
        title: {name: row for name, row in table.items() if group(row.recipe.code) == title}
        for title in GROUPS
    }
    listed = [
        f"**[{title}](#{title.lower().replace(' ', '-')})**\n\n{contents(rows, metrics)}\n"
        for title, rows in groups.items()
    ]
    sections = [
        "\n".join([f"## {title}\n\n{GROUPS[title]}\n", *(section(*item) for item in rows.items())])
        for title, rows in groups.items()
    ]
    return "\n".join([OPENING, *listed, *sections, CLOSING])


def ten(labels: NDArray[Any]) -> NDArray[Any]:
    """Return where the first row of each of the ten labels is."""
    return np.array([np.flatnonzero(labels == digit)[0] for digit in range(10)])


def picture(lines: Sequence[NDArray[Any]]) -> Image.Image:
    """Return lines of ten digits (10, 8, 8), of values 0 to 16, as one picture."""
    ink = np.rint(np.stack(lines) * (255 / 16)).astype(np.uint8)
    tiles = np.pad(ink, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=255)
    whole = tiles.transpose(0, 2, 1, 3).reshape(len(lines) * 9, 90)[:-1, :-1]
    return Image.fromarray(whole).resize((4 * 89, 4 * whole.shape[0]), Image.Resampling.NEAREST)


def fit(name: str) -> dict[str, Any]:
    """Fit a row, save its picture, and return its figures."""
    recipe, train, test = TABLE[name].recipe, read("digits/train"), read("digits/test")

    def told(labels: NDArray[Any]) -> dict[str, Any]:
        return {} if recipe.condition is None else {"condition": labels}

    torch.set_num_threads(1)
    ae = Autoencoder(name, SIZE, epochs=EPOCHS, random_state=0, verbose=False)
    ae.fit(train.data, **told(train.labels))
    digits = np.arange(10)
    seen = test.data[ten(test.labels)]
    back = ae.reconstruct(seen, **told(digits))
    made = ae.sample(10, random_state=0, **told(digits))
    picture([seen, back, made]).save(PICTURES / f"{name}.png", optimize=True)
    metrics = ae.evaluate(test.data, **told(test.labels))
    shown = {key: metrics[key] for key in ("error_to_pca", "nll_bound") if key in metrics}
    return {"recipe": str(recipe), **{key: round(value, 4) for key, value in shown.items()}}


def changed(metrics: Figures) -> list[str]:
    """Return the rows whose recipe is not the one that was measured."""
    return [
        name
        for name, row in TABLE.items()
        if metrics.get(name, {}).get("recipe") != str(row.recipe)
        or not (PICTURES / f"{name}.png").exists()
    ]


def main() -> None:
    """Fit what must be fitted, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows to fit, changed or not")
    parser.add_argument("--text", action="store_true", help="fit nothing, write the text alone")
    asked = parser.parse_args()
    metrics: Figures = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
    names = [] if asked.text else asked.names or changed(metrics)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        for name, found in zip(names, processes.map(fit, names), strict=True):
            print(name, flush=True)
            metrics[name] = found
            known = {key: metrics[key] for key in TABLE if key in metrics}
            FIGURES.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for path in PICTURES.glob("*.png"):
        if path.stem not in TABLE:
            path.unlink()
    PAGE.write_text(page(TABLE, metrics), "utf-8")


if __name__ == "__main__":
    main()
