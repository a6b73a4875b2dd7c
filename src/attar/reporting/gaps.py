"""The page of an imputer: errors of hidden values, and imputed values beside known ones."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.images import Images
from attar.data.kind import Rows
from attar.data.points import Points
from attar.data.series import Windows, finite_points, joined
from attar.data.source import Data, Source, read
from attar.data.stream import evenly_spaced
from attar.data.table import Table
from attar.errors import AttarWarning
from attar.reporting import svg
from attar.reporting.html import (
    captioned,
    findings,
    head,
    headed,
    legend,
    lines,
    metric_list,
    number,
    scrolling,
    section,
    tag,
    toned,
)
from attar.reporting.images import COMPARED_SIDE, Shades, picture
from attar.reporting.measured import MOST_PARTS, counted, percent
from attar.reporting.selection import names_of, short_times
from attar.reporting.series import MOST_CHANNELS
from attar.reporting.tables import MOST_COLUMNS, NumberField, fields_of, note_of_texts
from attar.tasks.gaps.imputer import Imputer
from attar.tasks.steps import places_of_series

# Rows that are shown, columns whose distributions are, and bins of these.
ROWS, DISTRIBUTIONS, BINS = 12, 12, 24

# Gaps of series that are shown, and steps on both sides of each.
GAPS, AROUND = 4, 24

# A column with such a part of the error of its mean, or of its most frequent level, is not
# predicted; and one of which so much more is missing than in the fit has changed.
USELESS, MORE = 0.95, 0.1

# The probability of intervals.
LEVEL = 0.9


class ImputedDisplay(ABC):
    """The look of imputed data of one kind.

    Attributes
    ----------
    row, part : str
        What one row is called, and a column.
    """

    row: ClassVar[str] = "row"
    part: ClassVar[str] = "column"

    def __init__(self, imputer: Imputer, source: Source, found: pd.DataFrame) -> None:
        self.imputer, self.source, self.found = imputer, source, found

    def missing(self, total: int) -> pd.Series:
        """Return the share of missing cells of columns, where ``total`` rows are."""
        return self.found.groupby("column").size() / total

    @abstractmethod
    def imputed(self) -> list[Element]:
        """Return sections of imputed values beside known ones."""


class ImputedTable(ImputedDisplay):
    """Rows of tables, with imputed cells marked, and distributions of columns."""

    def imputed(self) -> list[Element]:
        """Return rows, and distributions."""
        return [self._rows(), *self._distributions()]

    @property
    def _kind(self) -> Table:
        kind = self.imputer.model_.kind
        assert isinstance(kind, Table)
        return kind

    def _rows(self) -> Element:
        """Return some rows, with their imputed cells marked."""
        incomplete = self.found["row"].unique()
        places = incomplete[evenly_spaced(len(incomplete), ROWS)]
        filled = self._kind.rows(self.imputer.transform(self._kind.restore(self._at(places))))
        most = self.found["column"].value_counts().index[:MOST_COLUMNS]
        fields = [field for field in fields_of(self._kind) if field.name in most]
        cells = {(row, column): one for row, column, *one in self.found.itertuples(index=False)}
        body = []
        texts = {field.name: field.texts(filled) for field in fields}
        for i, name in enumerate(names_of(self._kind, self.source.data, places)):
            row = [_cell(text[i], cells.get((places[i], column))) for column, text in texts.items()]
            body.append(tag("tr", head(name, "row"), *row))
        words = (
            f"Imputed cells are marked. Below each is the interval of {LEVEL:.0%}, or the "
            "probability of the category."
        )
        if len(most) < self.found["column"].nunique():
            words += f" The {len(most)} columns with the most missing values."
        words += note_of_texts(fields)
        table = scrolling(headed(texts, body), "compared", "Imputed rows")
        return section("Imputed rows", captioned(table, words))

    def _at(self, places: NDArray[np.intp]) -> Rows:
        """Return the raw rows at some places of the source."""
        start, parts = 0, []
        for piece in self.imputer.pieces(self.source.data):
            rows = self._kind.rows(piece)
            own = places[(places >= start) & (places < start + len(rows))]
            parts.append(rows[own - start])
            start += len(rows)
        return np.concatenate(parts)

    def _distributions(self) -> list[Element]:
        """Return the distributions of known and of imputed numbers."""
        piece = next(iter(self.imputer.pieces(self.source.data)))
        rows, filled = (self._kind.rows(x) for x in (piece, self.imputer.transform(piece)))
        body = []
        for field in fields_of(self._kind):
            place = field.cells.start
            gap = np.isnan(rows[:, place])
            if isinstance(field, NumberField) and gap.any() and not gap.all():
                known, imputed = rows[~gap, place], filled[gap, place]
                body.append(_distribution(field.name, known, imputed))
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


class ImputedSeries(ImputedDisplay):
    """The longest gaps of series, with what is imputed there and its intervals."""

    row, part = "step", "channel"

    def imputed(self) -> list[Element]:
        """Return charts around the longest gaps."""
        kind = self.imputer.model_.kind
        assert isinstance(kind, Windows)
        piece = next(iter(self.imputer.pieces(self.source.data)))
        points = finite_points(kind.form, joined([piece])[0])
        filled = finite_points(kind.form, joined([self.imputer.transform(piece)])[0])
        gaps = self.found.pivot_table("value", "row", "column", "count")
        names = list(gaps.count().sort_values(ascending=False).index[:MOST_CHANNELS])
        moments = _longest(points, gaps.index.to_numpy())
        body = []
        for name in sorted(names, key=[str(x) for x in kind.form.channels].index):
            channel = [str(x) for x in kind.form.channels].index(name)
            known, whole = points.values[:, channel], filled.values[:, channel]
            own = self.found[self.found["column"] == name]
            ends = np.full((2, len(known)), np.nan)
            ends[:, own["row"]] = own[["low", "high"]].to_numpy(np.float64).T
            body.append(_around(name, known, whole, ends, moments))
        words = (
            f"The longest gaps, on a shaded background, with {AROUND} steps on both sides, and "
            f"imputed values with intervals of {LEVEL:.0%}. The charts of a channel have one scale."
        )
        tones = legend([("second", "known"), ("first", "imputed")])
        heads = short_times([str(points.labels.iloc[steps[0]]) for steps in moments])
        table = scrolling(headed([f"from {x}" for x in heads], body), "charts", "Imputed steps")
        return [section("Longest gaps", captioned(tag("div", tones, table), words))]


class ImputedImages(ImputedDisplay):
    """Images with missing pixels above the same without."""

    row, part = "image", "channel"

    def missing(self, total: int) -> pd.Series:
        """Return the share of missing pixels of channels."""
        names, kind = list(self.imputer.errors_["column"]), self._kind
        places = {name: i for i, name in enumerate(kind.feature_names())}
        pixels = prod(kind.shape[1:])
        channels = self.found["column"].map(places).to_numpy() // pixels
        counts = np.bincount(channels.astype(np.intp), minlength=len(names))
        return pd.Series(counts / (total * pixels), names)

    def imputed(self) -> list[Element]:
        """Return some images."""
        kind, incomplete = self._kind, self.found["row"].unique()
        places = incomplete[evenly_spaced(len(incomplete), ROWS)]
        piece = np.concatenate([np.asarray(x) for x in self.imputer.pieces(self.source.data)])
        rows, filled = (
            kind.rows(x) for x in (piece[places], self.imputer.transform(piece[places]))
        )
        shades = Shades.of(kind, filled)
        columns = [
            tag(
                "div",
                picture(shades.bytes(row), f"{name}, incomplete", COMPARED_SIDE),
                picture(shades.bytes(other), f"{name}, imputed", COMPARED_SIDE),
                tag("span", name, title=name),
            )
            for row, other, name in zip(
                rows, filled, names_of(kind, self.source.data, places), strict=True
            )
        ]
        words = "Images with missing pixels, which are transparent, above the same without."
        shown = tag("div", *columns, class_=f"pictures{shades.size}")
        return [section("Imputed images", captioned(shown, words))]

    @property
    def _kind(self) -> Images:
        kind = self.imputer.model_.kind
        assert isinstance(kind, Images)
        return kind


def display_of(imputer: Imputer, source: Source, found: pd.DataFrame) -> ImputedDisplay:
    """Return the display of what an imputer was fitted on."""
    match imputer.model_.kind:
        case Table():
            return ImputedTable(imputer, source, found)
        case Windows():
            return ImputedSeries(imputer, source, found)
        case Images():
            return ImputedImages(imputer, source, found)
    raise TypeError(f"There is no page of imputed {imputer.model_.kind.name}.")


def imputation_page(imputer: Imputer, data: Data | Source) -> tuple[str, Element]:
    """Return the title and the content of the page of an imputer on data."""
    source = read(data, "test", kind=imputer.model_.kind)
    with warnings.catch_warnings():  # all was said when the rows were first read
        warnings.simplefilter("ignore", AttarWarning)
        found = imputer.uncertainty(source, LEVEL)
        total = sum(map(imputer.model_.size, imputer.pieces(source.data)))
        display = display_of(imputer, source, found)
        here = imputer.errors_["column"].map(display.missing(total)).fillna(0.0)
        errors = imputer.errors_.assign(here=here)
        imputed = display.imputed() if len(found) else []
    title = f"missing values of {counted(len(errors), display.part)}"
    main = tag(
        "main",
        _header(title, found, errors, total, display.row),
        _findings(errors, display.part),
        section(f"Error of each {display.part}", _table(errors, display.part)),
        *imputed,
    )
    return title, main


def _header(title: str, found: pd.DataFrame, errors: pd.DataFrame, total: int, row: str) -> Element:
    """Return the title, and the figures."""
    numeric = errors["measure"] == "RMSE"
    values = [
        (f"{len(found):,}", f"missing values, {percent(errors['here'].mean())} of all"),
        (f"{found['row'].nunique():,}", f"{row}s of {total:,} with missing values"),
    ]
    if numeric.any():
        error = errors.loc[numeric, "error"].mean()
        values.append((number(float(f"{error:.3g}")), "mean RMSE of numbers, standard deviations"))
    if not numeric.all():
        right = 1 - errors.loc[~numeric, "error"].mean()
        values.append((percent(right), "mean accuracy of categories"))
    return tag(
        "header",
        tag("p", f"attar report on {counted(total, row)}", class_="eyebrow"),
        tag("h1", title),
        tag("p", "Errors and intervals are those of known values of the fit that were hidden."),
        metric_list(values),
    )


def _findings(errors: pd.DataFrame, part: str) -> Element:
    """Return columns that are not predicted, or of which more is missing than in the fit."""
    found = []
    useless = errors[errors["error"] >= USELESS * errors["baseline"]]
    if len(useless):
        found.append(
            (
                f"{_named(useless)}: missing values are hardly predicted better than by the mean "
                "or the most frequent category.",
                f"Leave these {part}s out of an analysis, or use multiple imputations, which are "
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
    return findings(
        found, f"each {part} is predicted by others, and as much is missing as in the fit."
    )


def _named(errors: pd.DataFrame) -> str:
    names = [str(name) for name in errors["column"]]
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if names[3:] else "")


def _table(errors: pd.DataFrame, part: str) -> Element:
    """Return a table of the errors of columns, the largest relative ones first."""
    relative = (errors["error"] / errors["baseline"]).fillna(1.0)
    shown = errors.assign(relative=relative).sort_values("relative", ascending=False)
    titles = (part, "", "of the baseline", "error", "missing here", "in the fit")
    rows = [tag("tr", *(head(title, "col") for title in titles))]
    columns = ["column", "measure", "relative", "error", "here", "share"]
    for name, measure, share, error, here, of_fit in shown.head(MOST_PARTS)[columns].to_numpy():
        bar = tag("td", tag("i", style=f"--share:{min(share, 1):.4f}"), class_="share")
        of_column = f"{number(float(f'{error:.3g}'))} sd" if measure == "RMSE" else percent(error)
        texts = (percent(share), of_column, percent(here), percent(of_fit))
        rows.append(tag("tr", head(str(name), "row"), bar, *(tag("td", x) for x in texts)))
    words = (
        "The error of known values that were hidden: root mean squared, in standard deviations of "
        f"the {part} (sd), or the share of wrong categories; and its part of that of the baseline, "
        "the mean or the most frequent category."
    )
    if len(shown) > MOST_PARTS:
        words += f" The {MOST_PARTS} of {len(shown):,} {part}s with the largest part."
    return captioned(scrolling(tag("table", *rows), "parts", f"Error of each {part}"), words)


def _cell(text: str, imputed: list[Any] | None) -> Element:
    if imputed is None:
        return lines(tag("span", text, title=text))
    _, low, high, probability = imputed
    if low is None or pd.isna(low):
        words = "" if pd.isna(probability) else percent(probability)
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


def _distribution(name: str, known: Rows, imputed: Rows) -> Element:
    """Return the row of a column: known and imputed numbers in bins, and their means."""
    low, high = np.quantile(known, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    shares = [np.histogram(x.clip(low, high), edges)[0] / len(x) for x in (known, imputed)]
    drawn = svg.chart(
        [("second", shares[0]), ("first", shares[1])],
        0.0,
        float(max(map(np.max, shares))),
        f"{name}: known and imputed values.",
    )
    texts = (number(float(f"{x:.4g}")) for x in (low, high, known.mean(), imputed.mean()))
    return tag("tr", head(name, "row"), tag("td", drawn), *(tag("td", x) for x in texts))


def _longest(points: Points, missing: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return the points around each of the longest runs of incomplete ones."""
    incomplete = np.zeros(len(points.codes), bool)
    incomplete[missing] = True
    runs: list[tuple[int, NDArray[np.intp]]] = []
    for own in places_of_series(points):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], incomplete[own], [False]])))
        for start, stop in edges.reshape(-1, 2):
            around = own[max(0, start - AROUND) : stop + AROUND]
            runs.append((int(stop - start), around))
    found: list[NDArray[np.intp]] = []
    for _, around in sorted(runs, key=lambda run: -run[0]):
        if len(found) < GAPS and all(not np.isin(around, other).any() for other in found):
            found.append(around)
    return found


def _around(
    name: str, known: Rows, whole: Rows, ends: Rows, moments: Sequence[NDArray[np.intp]]
) -> Element:
    """Return the charts of a channel: known values, and imputed ones with their intervals."""
    shown = np.concatenate([whole[steps] for steps in moments])
    both = np.concatenate([shown, *(ends[:, steps].ravel() for steps in moments)])
    low, high = float(np.nanmin(both)), float(np.nanmax(both))
    charts = [
        svg.chart(
            [("second", known[steps]), ("first", _with_neighbours(known, whole)[steps])],
            low,
            high,
            f"{name}: a gap, and what is imputed.",
            band=(ends[0, steps], ends[1, steps]),
        )
        for steps in moments
    ]
    size = tag("small", f"{number(low)} to {number(high)}")
    title = tag("th", tag("span", name, title=name), size, scope="row")
    return tag("tr", title, *(tag("td", drawn) for drawn in charts))


def _with_neighbours(known: Rows, whole: Rows) -> Rows:
    """Return imputed values and the known ones beside them; NaN elsewhere."""
    gap = np.isnan(known)
    near = gap | np.append(gap[1:], False) | np.append(False, gap[:-1])
    return np.where(near, whole, np.nan)
