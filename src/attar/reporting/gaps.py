"""The page of an imputer: errors of hidden values, and imputed values beside known ones."""

from __future__ import annotations

import warnings
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.source import Data, Source, read
from attar.data.stream import evenly_spaced
from attar.data.table import Table
from attar.errors import AttarWarning
from attar.reporting import svg
from attar.reporting.html import (
    captioned,
    head,
    headed,
    legend,
    lines,
    number,
    scrolling,
    section,
    tag,
    toned,
)
from attar.reporting.measured import MOST_PARTS, counted, percent
from attar.reporting.selection import names_of, short_times
from attar.reporting.tables import MOST_COLUMNS, NumberField, fields_of
from attar.tasks.gaps.imputer import Imputer

# Rows that are shown, columns whose distributions are, and bins of these.
ROWS, DISTRIBUTIONS, BINS = 12, 12, 24

# A column with such a part of the error of its mean, or of its most frequent level, is not
# predicted; and one of which so much more is missing than in the fit has changed.
USELESS, MORE = 0.95, 0.1

# The probability of intervals.
LEVEL = 0.9


def imputation_page(imputer: Imputer, data: Data | Source) -> tuple[str, Element]:
    """Return the title and the content of the page of an imputer on data."""
    kind = imputer.model_.kind
    assert isinstance(kind, Table)
    source = read(data, "test", kind=kind)
    with warnings.catch_warnings():  # all was said when the rows were first read
        warnings.simplefilter("ignore", AttarWarning)
        found = imputer.uncertainty(source, LEVEL)
        total = sum(map(imputer.model_.size, imputer.pieces(source.data)))
        errors = _errors(imputer, found, total)
        imputed = []
        if len(found):
            imputed = [_rows(imputer, kind, source, found), *_distributions(kind, imputer, source)]
    title = f"missing values of {counted(len(errors), 'column')}"
    main = tag(
        "main",
        _header(title, found, errors, total),
        _findings(errors),
        section("Error of each column", _table(errors)),
        *imputed,
    )
    return title, main


def _errors(imputer: Imputer, found: pd.DataFrame, total: int) -> pd.DataFrame:
    """Return errors of columns, and which share of their cells is missing here."""
    missing = found.groupby("column").size() / total
    errors = imputer.errors_
    return errors.assign(here=errors["column"].map(missing).fillna(0.0))


def _header(title: str, found: pd.DataFrame, errors: pd.DataFrame, total: int) -> Element:
    """Return the title, and the figures."""
    numeric = errors["measure"] == "RMSE"
    values = [
        (f"{len(found):,}", f"missing values, {percent(errors['here'].mean())} of all"),
        (f"{found['row'].nunique():,}", f"rows of {total:,} with missing values"),
    ]
    if numeric.any():
        error = errors.loc[numeric, "error"].mean()
        values.append((number(float(f"{error:.3g}")), "mean RMSE of numbers, standard deviations"))
    if not numeric.all():
        right = 1 - errors.loc[~numeric, "error"].mean()
        values.append((percent(right), "mean accuracy of categories"))
    metrics = (tag("div", tag("dt", label), tag("dd", value)) for value, label in values)
    return tag(
        "header",
        tag("p", f"attar report on {counted(total, 'row')}", class_="eyebrow"),
        tag("h1", title),
        tag("p", "Errors and intervals are those of known values of the fit that were hidden."),
        tag("dl", *metrics, class_="metrics"),
    )


def _findings(errors: pd.DataFrame) -> Element:
    """Return columns that are not predicted, or of which more is missing than in the fit."""
    found = []
    useless = errors[errors["error"] >= USELESS * errors["baseline"]]
    if len(useless):
        found.append(
            (
                f"{_named(useless)}: the other columns do not predict missing values, which are "
                "imputed by about the mean or the most frequent category.",
                "Leave these columns out of an analysis, or use multiple imputations, which are "
                "as uncertain as the values are.",
            )
        )
    changed = errors[errors["here"] > errors["share"] + MORE]
    if len(changed):
        found.append(
            (
                f"{_named(changed)}: a larger share is missing than in the fit.",
                "Errors may be larger than stated: fit again on rows such as these.",
            )
        )
    items = [tag("li", tag("p", problem), tag("p", advice)) for problem, advice in found]
    usual = "each column is predicted by others, and as much is missing as in the fit."
    items = items or [tag("li", tag("p", usual), class_="no-problems")]
    return section("Findings", tag("ul", *items, class_="findings"))


def _named(errors: pd.DataFrame) -> str:
    names = [str(name) for name in errors["column"]]
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if names[3:] else "")


def _table(errors: pd.DataFrame) -> Element:
    """Return a table of the errors of columns, the largest relative ones first."""
    relative = (errors["error"] / errors["baseline"]).fillna(1.0)
    shown = errors.assign(relative=relative).sort_values("relative", ascending=False)
    titles = ("column", "", "of the baseline", "error", "missing here", "in the fit")
    rows = [tag("tr", *(head(title, "col") for title in titles))]
    columns = ["column", "measure", "relative", "error", "here", "share"]
    for name, measure, share, error, here, of_fit in shown.head(MOST_PARTS)[columns].to_numpy():
        bar = tag("td", tag("i", style=f"--share:{min(share, 1):.4f}"), class_="share")
        of_column = f"{number(float(f'{error:.3g}'))} sd" if measure == "RMSE" else percent(error)
        texts = (percent(share), of_column, percent(here), percent(of_fit))
        rows.append(tag("tr", head(str(name), "row"), bar, *(tag("td", x) for x in texts)))
    words = (
        "The error of known values that were hidden: root mean squared, in standard deviations of "
        "the column (sd), or the share of wrong categories; and its part of that of the baseline, "
        "the mean or the most frequent category."
    )
    if len(shown) > MOST_PARTS:
        words += f" The {MOST_PARTS} of {len(shown):,} columns with the largest part."
    return captioned(scrolling(tag("table", *rows), "parts", "Error of each column"), words)


def _rows(imputer: Imputer, kind: Table, source: Source, found: pd.DataFrame) -> Element:
    """Return some rows, with their imputed cells marked."""
    incomplete = found["row"].unique()
    places = incomplete[evenly_spaced(len(incomplete), ROWS)]
    known = _at(kind, imputer, source, places)
    filled = kind.rows(imputer.transform(kind.restore(known)))
    most = found["column"].value_counts().index[:MOST_COLUMNS]
    fields = [field for field in fields_of(kind) if field.name in most]
    cells = {(row, column): one for row, column, *one in found.itertuples(index=False)}
    body = []
    texts = {field.name: field.texts(filled) for field in fields}
    for i, name in enumerate(names_of(kind, source.data, places)):
        row = [_cell(text[i], cells.get((places[i], column))) for column, text in texts.items()]
        body.append(tag("tr", head(name, "row"), *row))
    words = (
        f"Imputed cells are marked. Below each is the interval of {LEVEL:.0%}, or the probability "
        "of the category."
    )
    if len(most) < found["column"].nunique():
        words += f" The {len(most)} columns with the most missing values."
    table = scrolling(headed(texts, body), "compared", "Imputed rows")
    return section("Imputed rows", captioned(table, words))


def _at(kind: Table, imputer: Imputer, source: Source, places: NDArray[np.intp]) -> Any:
    """Return the raw rows at some places of a source."""
    start, parts = 0, []
    for piece in imputer.pieces(source.data):
        rows = kind.rows(piece)
        own = places[(places >= start) & (places < start + len(rows))]
        parts.append(rows[own - start])
        start += len(rows)
    return np.concatenate(parts)


def _cell(text: str, imputed: list[Any] | None) -> Element:
    if imputed is None:
        return lines(tag("span", text, title=text))
    _, low, high, probability = imputed
    if low is None or pd.isna(low):
        words = percent(probability)
    else:
        words = " to ".join(dict.fromkeys(short_times([_text(low), _text(high)])))
    return lines(
        tag("span", text, title=text, class_="differs", style=toned("below", 0.4)),
        tag("span", words, title=words),
    )


def _text(value: Any) -> str:
    if isinstance(value, int | float | np.number):
        return number(float(f"{value:.4g}"))
    return str(value)


def _distributions(kind: Table, imputer: Imputer, source: Source) -> list[Element]:
    """Return the distributions of known and of imputed numbers."""
    piece = next(iter(imputer.pieces(source.data)))
    rows, filled = kind.rows(piece), kind.rows(imputer.transform(piece))
    body = []
    for field in fields_of(kind):
        place = field.cells.start
        gap = np.isnan(rows[:, place])
        if not isinstance(field, NumberField) or not gap.any() or gap.all():
            continue
        known, imputed = rows[~gap, place], filled[gap, place]
        low, high = np.quantile(known, [0.005, 0.995])
        edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
        shares = [np.histogram(x.clip(low, high), edges)[0] / len(x) for x in (known, imputed)]
        drawn = svg.chart(
            [("second", shares[0]), ("first", shares[1])],
            0.0,
            float(max(map(np.max, shares))),
            f"{field.name}: known and imputed values.",
        )
        texts = (number(float(f"{x:.4g}")) for x in (low, high, known.mean(), imputed.mean()))
        body.append(
            tag("tr", head(field.name, "row"), tag("td", drawn), *(tag("td", x) for x in texts))
        )
    if not body:
        return []
    words = (
        f"Shares of known and of imputed numbers in {BINS} bins from the 0.5% to the 99.5% "
        "quantile. Imputed ones are expected values, which vary less than known ones."
    )
    tones = legend([("second", "known"), ("first", "imputed")])
    titles = ["distribution", "low", "high", "mean known", "mean imputed"]
    table = scrolling(headed(titles, body[:DISTRIBUTIONS]), "charts", "Distributions")
    if len(body) > DISTRIBUTIONS:
        words += f" The first {DISTRIBUTIONS} of {len(body):,} columns."
    return [section("Known and imputed values", captioned(tag("div", tones, table), words))]
