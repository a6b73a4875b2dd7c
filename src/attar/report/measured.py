"""What was measured: the rows and their gaps, each column, and the oddest rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

import numpy as np

from attar.data.kind import Kind
from attar.data.training_data import FittedRows
from attar.evaluation.evaluate import Evaluation, PartMetrics
from attar.report.display import Display, Examples
from attar.report.html import captioned, head, number, scrolling, tag
from attar.report.selection import Indices

# Names in a sentence, columns and rows in a table, and cells of an odd row.
MOST_NAMED, MOST_PARTS, ODDEST, MOST_CELLS = 5, 24, 6, 3


def percent(share: float) -> str:
    """Return a share in percent.

    Examples
    --------
    >>> percent(0.0213), percent(1.0), percent(-0.2)
    ('2.1 %', '100 %', '−20 %')
    """
    return f"{number(round(100 * share, 1))} %"


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
        "validation": f"Everything here is measured on {which(evaluation, row)} of {fit}.",
        "training": f"No {row}s were held out: everything here is measured on training {row}s of "
        f"{fit}, and is better than it would be for new ones.",
        "test": f"Everything here is measured on {which(evaluation, row)}, none of the fit.",
    }
    words = [of.get(evaluation.rows_of, f"These {row}s are not the data of the fit.")]
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
    varying = sorted(
        (part for part in parts if not math.isnan(part.explained_variance)),
        key=lambda part: part.explained_variance,
    )
    classes = any(part.accuracy is not None for part in varying)
    gaps = any(part.missing for part in varying)
    titles = [kind.part, "", "explained variance"]
    titles += ["correct", "most frequent"] * classes + ["missing"] * gaps
    lines = [tag("tr", *(head(title, "col") for title in titles))]
    for part in varying[:MOST_PARTS]:
        share = min(max(part.explained_variance, 0.0), 1.0)
        shares: list[float | None] = [part.explained_variance]
        shares += [part.accuracy, part.most_frequent] if classes else []
        shares += [part.missing] * gaps
        cells = (tag("td", "" if x is None else percent(x)) for x in shares)
        bar = tag("td", tag("i", style=f"--share:{share:.4f}"), class_="share")
        lines.append(tag("tr", head(part.name, "row"), bar, *cells))
    words = "1 − squared error / variance of the prepared cells, on one scale from 0 to 100 %."
    if len(varying) > MOST_PARTS:
        middle = float(np.median([part.explained_variance for part in varying]))
        words += f" The {MOST_PARTS} of {len(varying):,} {kind.part}s with the lowest; the median "
        words += f"is {percent(middle)}."
    if classes:
        words += (
            " Of a category, the cells are its indicators; “correct” is the share of rows whose "
            "category is reconstructed, beside that of its most frequent one."
        )
    return captioned(scrolling(tag("table", *lines), "parts", "Explained variance"), words)


def oddest(scores: np.ndarray) -> Indices:
    """Return the places of the rows with the lowest scores, the lowest first."""
    return np.argsort(scores, kind="stable")[:ODDEST]


def oddest_table(
    kind: Kind,
    display: Display,
    examples: Examples,
    names: Sequence[str],
    scores: np.ndarray,
    deficits: np.ndarray,
    median: float,
) -> Element:
    """Return a table of odd rows: their scores, and the cells that are least likely.

    Parameters
    ----------
    kind : Kind
    display : Display
    examples : Examples
        The odd rows.
    names : sequence of str (n,)
    scores : array (n,)
    deficits : array (n, cells)
        By how much the log-density of each prepared cell is below its mean.
    median : float
        The median of the scores of all rows.
    """
    parts = kind.parts
    columns = [head("score", "col")] + [head(f"least likely {kind.part}s", "col")] * (
        len(parts) > 1
    )
    lines = [tag("tr", tag("td"), *columns)]
    lost = np.stack([deficits[:, place].sum(1) for _, place in parts], 1)
    for i, (name, score) in enumerate(zip(names, scores, strict=True)):
        cells = [tag("td", number(float(score)))]
        if len(parts) > 1:
            places = np.argsort(-lost[i], kind="stable")[:MOST_CELLS]
            least = [
                f"{parts[j][0]}{display.cell(examples, i, int(j))} −{number(float(lost[i, j]))}"
                for j in places
                if lost[i, j] > 0
            ]
            cells.append(tag("td", *(tag("span", text) for text in least), class_="least"))
        lines.append(tag("tr", head(name, "row"), *cells))
    words = f"The lowest scores (log-likelihoods in nats); the median is {number(median)}."
    if len(parts) > 1:
        words += f" Beside each, how far the log-density of a {kind.part} is below its mean."
    return captioned(scrolling(tag("table", *lines), "oddest", "Oddest rows"), words)


def _missing(part: PartMetrics) -> float:
    return -part.missing


def _named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
