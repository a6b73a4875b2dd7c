"""What was measured: the rows and their gaps, each column, and the oddest rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element

import numpy as np

from attar.data.kind import Kind
from attar.data.training_data import FittedRows
from attar.evaluation.evaluate import Evaluation
from attar.evaluation.reconstruction import PartMetrics
from attar.reporting.html import captioned, head, number, scrolling, tag
from attar.reporting.selection import Indices

# Names in a sentence, columns and rows in a table, and cells of an odd row.
MOST_NAMED, MOST_PARTS, ODDEST, MOST_CELLS = 5, 24, 6, 3

# Cells that lose less than this part of what the least likely one does are not what is odd.
NOTABLE = 0.1


def percent(share: float) -> str:
    """Return a share in percent.

    Examples
    --------
    >>> percent(0.0213), percent(1.0), percent(-0.2), percent(-1e-9)
    ('2.1%', '100.0%', '−20.0%', '0.0%')
    """
    return f"{round(share, 3) + 0.0:.1%}".replace("-", "−")


def counted(n: int, thing: str) -> str:
    """Return a number of things."""
    return f"{n:,} {thing}" + "s" * (n != 1)


def which(evaluation: Evaluation, row: str) -> str:
    """Return how many rows were measured, and which these are."""
    part = "" if evaluation.rows_of == "given" else f"{evaluation.rows_of} "
    return counted(int(evaluation.metrics["rows"]), part + row)


def data_words(kind: Kind, evaluation: Evaluation, fitted: FittedRows, row: str) -> str:
    """Return what is known of the rows: where they are from, what is missing and not used."""
    fit = f"the {counted(fitted.total, row)} of the fit"
    of = {
        "validation": f"Measured on {which(evaluation, row)} of {fit}.",
        "training": f"No {row}s were held out: measured on training {row}s of {fit}, with lower "
        "errors than new ones have.",
        "test": f"Measured on {which(evaluation, row)}; the fit had {counted(fitted.total, row)}.",
    }
    words = [of.get(evaluation.rows_of, f"These {row}s are not {fit}.")]
    gaps = sorted((part for part in evaluation.parts if part.missing > 0), key=_missing)
    if gaps:
        share = float(np.mean([part.missing for part in evaluation.parts]))
        named = _named([f"{part.name} {percent(part.missing)}" for part in gaps])
        columns = kind.part + "s" * (len(evaluation.parts) > 1)
        words.append(f"Missing: {percent(share)} of the cells of all {columns} ({named}).")
    unused = [p for p in kind.portions if p.columns.start == p.columns.stop]
    if unused:
        named = _named([f"{p.name} ({p.remark})" if p.remark else p.name for p in unused])
        words.append(f"Not used by the model: {named}.")
    return " ".join(words)


def columns_table(kind: Kind, parts: Sequence[PartMetrics]) -> Element:
    """Return a table of how well each column is reconstructed, the worst first."""
    varying = [part for part in parts if not math.isnan(part.explained_variance)]
    most = sorted(varying, key=_unexplained, reverse=True)[:MOST_PARTS]
    shown = sorted(most, key=lambda part: part.explained_variance)
    classes = any(part.accuracy is not None for part in shown)
    gaps = any(part.missing for part in shown)
    titles = [kind.part, "", "explained"]
    titles += ["correct", "most frequent"] * classes + ["missing"] * gaps
    lines = [tag("tr", *(head(title, "col") for title in titles))]
    for part in shown:
        share = min(max(part.explained_variance, 0.0), 1.0)
        shares: list[float | None] = [part.explained_variance]
        shares += [part.accuracy, part.most_frequent] if classes else []
        shares += [part.missing] * gaps
        cells = (tag("td", "" if x is None else percent(x)) for x in shares)
        bar = tag("td", tag("i", style=f"--share:{share:.4f}"), class_="share")
        lines.append(tag("tr", head(part.name, "row"), bar, *cells))
    words = "1 − squared error / variance of the prepared cells, on one scale from 0 to 100%."
    if len(varying) > MOST_PARTS:
        middle = float(np.median([part.explained_variance for part in varying]))
        words += f" Of the {len(varying):,} {kind.part}s that vary in these rows, the {MOST_PARTS} "
        words += f"that have most of the error; the median of all is {percent(middle)}."
    if classes:
        words += (
            " Of a category, the cells are its indicators; “correct” is the share of rows whose "
            "category is reconstructed, beside that of its most frequent one."
        )
    return captioned(scrolling(tag("table", *lines), "parts", "Explained variance"), words)


def oddest(scores: np.ndarray, places: Indices, overlap: int) -> Indices:
    """Return which rows have the lowest scores, the lowest first, and none that overlap.

    Parameters
    ----------
    scores, places : array (n,)
        Of each row: its score, and its index in the data.
    overlap : int
        How many of the following rows share cells with a row.
    """
    found: list[int] = []
    for row in np.argsort(scores, kind="stable"):
        if all(abs(places[row] - places[other]) > overlap for other in found):
            found.append(int(row))
        if len(found) == ODDEST:
            break
    return np.array(found, np.intp)


def oddest_table(
    kind: Kind,
    cell: Callable[[int, int], str],
    names: Sequence[str],
    scores: np.ndarray,
    deficits: np.ndarray,
    median: float,
) -> Element:
    """Return a table of odd rows: their scores, and the cells that are least likely.

    Parameters
    ----------
    kind : Kind
    cell : callable
        From the number of a row and of a part to the value in words.
    names : sequence of str (n,)
    scores : array (n,)
    deficits : array (n, cells)
        By how much the log-density of each prepared cell is below its mean.
    median : float
        The median of the scores of all rows.
    """
    parts = kind.parts
    lines = [tag("tr", tag("td"), head("score", "col"), head("least likely", "col"))]
    lost = np.stack([deficits[:, place].sum(1) for _, place in parts], 1)
    for i, (name, score) in enumerate(zip(names, scores, strict=True)):
        worst = np.argsort(-lost[i], kind="stable")[:MOST_CELLS]
        least = [
            f"{parts[j][0]}{cell(i, int(j))} ({_nats(lost[i, j])})"
            for j in worst
            if lost[i, j] > NOTABLE * max(0.0, lost[i, worst[0]])
        ]
        cells = tag("td", *(tag("span", text) for text in least), class_="least")
        lines.append(tag("tr", head(name, "row"), tag("td", number(float(score))), cells))
    words = (
        f"The lowest scores, which are log-likelihoods in nats (the median is {number(median)}), "
        f"and how far the log-density of the least likely {kind.part}s is below its mean."
    )
    return captioned(scrolling(tag("table", *lines), "oddest", "Oddest rows"), words)


def oddest_words(scores: np.ndarray, median: float) -> str:
    """Return the scores of odd rows."""
    texts = ", ".join(number(float(score)) for score in scores)
    return (
        f"The lowest scores, which are log-likelihoods in nats, are {texts}; the median is "
        f"{number(median)}."
    )


def _nats(lost: float) -> str:
    return f"{number(float(f'{-lost:.2g}'))}\N{NO-BREAK SPACE}nats"


def _unexplained(part: PartMetrics) -> float:
    return part.variance * (1 - part.explained_variance)


def _missing(part: PartMetrics) -> float:
    return -part.missing


def _named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
