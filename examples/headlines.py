"""Headlines as codes, and back: reconstruct, find similar ones, walk between two, make new ones.

Without arguments the headlines are made up. ``python examples/headlines.py FILE COLUMN`` takes a
column of a table, and ``attar fit FILE --column COLUMN`` does the same in a shell.
"""

import sys

import numpy as np

import attar

WHO = ["Oil firm", "Chip maker", "Airline", "City council", "Home team", "Space agency", "Bank"]
DOES = ["cuts", "raises", "delays", "reports", "defends", "drops", "expects"]
WHAT = ["prices", "jobs", "first launch", "record profit", "new stadium", "talks", "forecast"]
WHEN = ["", " in May", " for a second year", " after strike", " despite protests", " again"]


def headlines(n: int, seed: int = 0) -> list[str]:
    """Return headlines that are all different."""
    every = [f"{a} {b} {c}{d}" for a in WHO for b in DOES for c in WHAT for d in WHEN]
    return list(np.random.default_rng(seed).permutation(every)[:n])


def main(
    source: str | None = None,
    column: str | None = None,
    recipe: str | attar.Recipe = "text",
    epochs: int | str = "auto",
    n: int = 1500,
) -> float:
    """Fit a model, show what its codes are good for, and return the share of exact texts."""
    lines = attar.Lines(source, column=column) if source else headlines(n)
    ae = attar.Autoencoder(recipe, epochs=epochs, random_state=0).fit(lines)

    one, other = "Airline expects record profit in May", "Home team delays new stadium again"
    print(*ae.reconstruct([one, other]), sep="\n")
    print(*ae.interpolate([one], [other], steps=5), sep="\n")
    print(*ae.sample(5, random_state=0), sep="\n")
    if source is None:
        _, places = ae.neighbours([one], n=3)
        print(*(lines[place] for place in places[0]), sep="\n")
    return float(ae.evaluate(lines)["exact"])


if __name__ == "__main__":
    main(*sys.argv[1:3])
