"""Write the page of recipes from the table: docs/recipes.md, its metrics and its pictures.

The table itself is written to src/attar/recipes.json, for who doesn't wait for torch.

Rows whose recipe has changed since it was measured are fitted again; ``--text`` fits none, and
names fit those rows.
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
from attar.codes import Code, CodeModule, Contextual, NoCode, SymbolModule
from attar.data.source import read
from attar.parts import Part
from attar.recipe import Recipe, Row
from attar.recipes import TABLE
from attar.sampling import FromPrior, GaussianMixture

DOCS = Path(__file__).parent
PAGE, PICTURES = DOCS / "recipes.md", DOCS / "recipes"
METRICS = PICTURES / "metrics.json"
JSON = DOCS.parent / "src" / "attar" / "recipes.json"

SIZE, EPOCHS, WIDTH = 16, 60, 100

# What a recipe with a network of its own takes, and the page about it.
OTHER_DATA = {
    "spectral": ("sound", "speech.md"),
    "lapped": ("pictures of any size", "pictures.md"),
    "text-transformer": ("text", "text.md"),
}

Metrics = dict[str, dict[str, Any]]

OPENING = f"""# The recipes

Every row of the table (`src/attar/recipes.py`) is a published variant, and one expression of parts.
Use it by its name, or write the expression and change it:

```python
import attar

attar.Autoencoder("beta-vae", epochs=2).fit("digits")
attar.Autoencoder(attar.Recipe(attar.codes.Gaussian(beta=2.0)), epochs=2).fit("digits")
```

An expression shows what differs from the defaults; its parts are in `attar.codes`, `attar.priors`,
`attar.penalties`, `attar.bounds`, `attar.corruptions`, `attar.conditions`, `attar.likelihoods` and
`attar.sampling`.

All rows below were trained on the same 1,437 digits of 8 × 8 pixels, in a few seconds each, by
`Autoencoder(name, {SIZE}, epochs={EPOCHS}, random_state=0)`, all else by default; longer training
improves most of them. In each picture the first line shows test digits, the second their
reconstructions, and the third generated digits.

The metrics are those of the 360 test digits. *Error* is the mean squared error relative to that of
PCA with {SIZE} components: below 1 is better than the best linear code. *Bound* is an upper bound
on −log p(x), in nats per row, where the model has a density: lower is better. *Bits* is the size of
a discrete code; {SIZE} principal components take {SIZE} numbers of 32 bits.
"""

CLOSING = "This page is generated from the table by `make recipes`.\n"

GROUPS = {
    "Deterministic codes": "The code of a row is a point, regularized or matched to a prior.",
    "Sparse codes": "Few dimensions of a code are active, which makes single ones interpretable.",
    "Gaussian codes": "The posterior of a row is a Gaussian, or a transformed Gaussian.",
    "Curved spaces": "Codes have a geometry of their own for distances and interpolation.",
    "Discrete codes": "Codes are entries of codebooks, rounded values, categories or bits.",
    "No code": "Each cell depends on those before it. The bound is a probability, not a density.",
}

PROVIDES = {
    "point": "Codes are deterministic.",
    "density": "Rows have a likelihood.",
    "moments": "The posterior is a diagonal Gaussian.",
    "symbols": "Codes are discrete.",
    "sparse": "Codes larger than the data are usual.",
    "ordered": "The first k dimensions are a code too.",
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
    default, settings = type(value)(), []
    for name in (field.name for field in fields(value)):
        setting = getattr(value, name)
        if isinstance(setting, Code):
            settings.append(expression(setting))
        elif setting != getattr(default, name):
            settings.append(f"{name}={expression(setting)}")
    whole = f"{type(value).__name__}({', '.join(settings)})"
    if len(whole) <= WIDTH:
        return whole
    lines = "".join(f"    {setting},\n" for setting in settings)
    return f"{type(value).__name__}(\n{lines})"


def group(code: Code) -> str:
    """Return the title of the group that a code belongs to."""
    if isinstance(code, NoCode):
        return "No code"
    if "symbols" in code.provides or isinstance(code, Contextual):
        return "Discrete codes"
    if "sparse" in code.provides:
        return "Sparse codes"
    if "point" in code.provides:
        return "Deterministic codes"
    flat = type(built(code)).distance is CodeModule.distance
    return "Gaussian codes" if flat else "Curved spaces"


def built(code: Code) -> CodeModule:
    """Return the module of a code for digits."""
    size = code.size(64) if isinstance(code, Contextual) else code.nearest_size(SIZE)
    return code.build(size, (1, 8, 8))


def features(recipe: Recipe) -> str:
    """Return in words what a recipe provides."""
    code = built(recipe.code)
    words = [PROVIDES[key] for key in PROVIDES if key in recipe.code.provides]
    sampler = recipe.sampler or (GaussianMixture() if code.prior is None else FromPrior())
    words.append(f"New codes are sampled by `{sampler.name}`.")
    if recipe.condition is not None:
        words.append("Fit it with `fit(X, condition=labels)`.")
    if recipe.network is not None:
        what, page = OTHER_DATA[recipe.network.name]
        words.append(f"It is for {what}, and none of the digits above: see [{page}]({page}).")
    return " ".join(words)


def of_digits(recipe: Recipe) -> bool:
    """Return whether a recipe takes digits: some have a network that takes other data only."""
    return recipe.network is None


def measured(name: str, row: Row, metrics: Metrics) -> dict[str, str]:
    """Return the formatted metrics of a row."""
    known, code, formatted = metrics.get(name, {}), built(row.recipe.code), {}
    if "error_to_pca" in known:
        formatted["error"] = f"{known['error_to_pca']:.2f}"
    if "nll_bound" in known:
        formatted["bound"] = f"{known['nll_bound']:.1f}".replace("-", "−")
    if isinstance(code, SymbolModule) and of_digits(row.recipe):
        formatted["bits"] = f"{sum(map(math.log2, code.sizes)):.0f}"
    return formatted


def contents(table: dict[str, Row], metrics: Metrics) -> str:
    """Return the table of a group: its rows with their metrics."""
    cells = {name: measured(name, row, metrics) for name, row in table.items()}
    columns = [key for key in ("error", "bound", "bits") if any(key in c for c in cells.values())]
    lines = [f"| recipe | | {' | '.join(columns)} |", "|---" * 2 + "|--:" * len(columns) + "|"]
    for name, row in table.items():
        values = " | ".join(cells[name].get(key, "") for key in columns)
        lines.append(f"| [{name}](#{name}) | {row.summary} | {values} |")
    return "\n".join(lines)


def section(name: str, row: Row) -> str:
    """Return the section of a row."""
    return f"""### {name}

{row.summary}

```python
{expression(row.recipe)}
```

{features(row.recipe)}
{shown(name) if of_digits(row.recipe) else ""}
{row.citation}
"""


def shown(name: str) -> str:
    """Return the picture of a row."""
    return (
        f"\n![Digits, their reconstructions by {name}, and generated digits](recipes/{name}.png)\n"
    )


def page(table: dict[str, Row], metrics: Metrics) -> str:
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


def json_of(table: dict[str, Row]) -> str:
    """Return the table as JSON."""
    rows = [
        {"name": name, "summary": row.summary, "citation": row.citation}
        | {"expression": str(row.recipe), "recipe": row.recipe.to_json()}
        for name, row in table.items()
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def ten(labels: NDArray[Any]) -> NDArray[Any]:
    """Return the index of the first row of each of the ten labels."""
    return np.array([np.flatnonzero(labels == digit)[0] for digit in range(10)])


def picture(lines: Sequence[NDArray[Any]]) -> Image.Image:
    """Return lines of ten digits (10, 8, 8), of values 0 to 16, as one picture."""
    ink = np.rint(np.stack(lines) * (255 / 16)).astype(np.uint8)
    tiles = np.pad(ink, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=255)
    image = tiles.transpose(0, 2, 1, 3).reshape(len(lines) * 9, 90)[:-1, :-1]
    return Image.fromarray(image).resize((4 * 89, 4 * image.shape[0]), Image.Resampling.NEAREST)


def fit(name: str) -> dict[str, Any]:
    """Fit a row, save its picture, and return its metrics."""
    recipe, train, test = TABLE[name].recipe, read("digits/train"), read("digits/test")

    def condition(labels: NDArray[Any]) -> dict[str, Any]:
        return {} if recipe.condition is None else {"condition": labels}

    torch.set_num_threads(1)
    ae = Autoencoder(name, SIZE, epochs=EPOCHS, random_state=0, verbose=False)
    ae.fit(train.data, **condition(train.labels))
    digits = np.arange(10)
    originals = test.data[ten(test.labels)]
    reconstructions = ae.reconstruct(originals, **condition(digits))
    samples = ae.sample(10, random_state=0, **condition(digits))
    picture([originals, reconstructions, samples]).save(PICTURES / f"{name}.png", optimize=True)
    metrics = ae.evaluate(test.data, **condition(test.labels))
    kept = {key: metrics[key] for key in ("error_to_pca", "nll_bound") if key in metrics}
    return {"recipe": str(recipe), **{key: round(value, 4) for key, value in kept.items()}}


def changed(metrics: Metrics) -> list[str]:
    """Return the rows whose recipe has changed since it was measured."""
    return [
        name
        for name, row in TABLE.items()
        if of_digits(row.recipe)
        and (
            metrics.get(name, {}).get("recipe") != str(row.recipe)
            or not (PICTURES / f"{name}.png").exists()
        )
    ]


def main() -> None:
    """Fit changed rows, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows to fit, changed or not")
    parser.add_argument("--text", action="store_true", help="fit nothing, write the text only")
    arguments = parser.parse_args()
    JSON.write_text(json_of(TABLE), "utf-8")
    metrics: Metrics = json.loads(METRICS.read_text("utf-8")) if METRICS.exists() else {}
    names = [] if arguments.text else arguments.names or changed(metrics)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        for name, found in zip(names, processes.map(fit, names), strict=True):
            print(name, flush=True)
            metrics[name] = found
            known = {key: metrics[key] for key in TABLE if key in metrics}
            METRICS.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for path in PICTURES.glob("*.png"):
        if path.stem not in TABLE:
            path.unlink()
    PAGE.write_text(page(TABLE, metrics), "utf-8")


if __name__ == "__main__":
    main()
