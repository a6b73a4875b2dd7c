"""Odd lines of a service's log: those that are unlike all before.

Without arguments the log is made up. ``python examples/logs.py FILE`` takes a file of lines, and in
a shell ``attar fit FILE --for anomalies -o a.attar && attar score a.attar FILE -o scores.csv``.
"""

import sys

import numpy as np

import attar

USUAL = [
    "GET /api/orders/{n} 200 {t} ms",
    "POST /api/orders 201 {t} ms, order {n}",
    "User {who} logged in from 10.0.{t}.7",
    "Session of {who} expired after {n} s",
    "Cache miss for order:{n}, loaded in {t} ms",
    "Invoice {n} written to /var/data/{n}.pdf",
]
NEW = "Disk write of /var/data/{n}.pdf failed: no space left on device"
WHO = ["anna", "ben", "carla", "david", "emma", "felix", "greta", "hugo", "ida", "jonas"]


def log(n: int, seed: int = 0, new: int = 0) -> tuple[list[str], list[int]]:
    """Return lines, and the places of those of a new template, which are near the end."""
    rng = np.random.default_rng(seed)
    templates = list(rng.choice(USUAL, n))
    places = sorted(rng.choice(np.arange(n // 2, n), new, replace=False).tolist())
    for place in places:
        templates[place] = NEW
    return [
        f"12:{i * 60 // n:02d}:{rng.integers(60):02d} "
        + template.format(n=rng.integers(10**6), t=rng.integers(250), who=rng.choice(WHO))
        for i, template in enumerate(templates)
    ], places


def main(source: str | None = None, n: int = 1000) -> float:
    """Print the oddest lines and why; return how many of the new lines are among the oddest."""
    if source:
        lines = attar.Lines(source).read()
        new = []
        before = lines
    else:
        before, _ = log(n)
        lines, new = log(n, seed=1, new=5)
    detector = attar.AnomalyDetector(random_state=0).fit(before)
    scores = -detector.score_samples(lines)
    oddest = np.argsort(-scores, kind="stable")[:5]
    words = detector.explain([lines[i] for i in oddest], most=2).groupby("row")["word"]
    for i, why in zip(oddest, words, strict=True):
        print(f"{scores[i]:6.2f}  {lines[i]}  [{', '.join(map(str, why[1]))}]")
    return float(np.isin(new, oddest).mean()) if new else 0.0


if __name__ == "__main__":
    main(*sys.argv[1:2])
