"""The page of a detector: scores and their limit, the oddest rows, and columns that moved."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from attar.data.images import Images
from attar.data.kind import Kind
from attar.data.points import Points
from attar.data.series import finite_points
from attar.data.source import Data, Source, read
from attar.data.sparse import SparseMatrix
from attar.data.table import Table
from attar.data.text import Text, as_bytes, as_string
from attar.errors import AttarWarning
from attar.reporting import svg
from attar.reporting.html import (
    MISSING,
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
    tint,
    toned,
)
from attar.reporting.images import COMPARED_SIDE, Shades, heat, picture
from attar.reporting.measured import NOTABLE, counted, percent
from attar.reporting.selection import names_of, short_times
from attar.reporting.series import MOST_CHANNELS
from attar.reporting.svg import chart
from attar.reporting.tables import MOST_COLUMNS, fields_of, note_of_texts
from attar.reporting.texts import shortened
from attar.tasks.anomalies.calibration import discoveries
from attar.tasks.anomalies.counts import CountScorer
from attar.tasks.anomalies.detector import AnomalyDetector, Drift
from attar.tasks.anomalies.moments import SeriesScorer
from attar.tasks.anomalies.rows import RowScorer
from attar.tasks.anomalies.scorer import Array
from attar.tasks.anomalies.texts import WORD, TextScorer
from attar.tasks.steps import places_of_series

# Rows that are shown, cells of each that are marked or listed, and columns that are shown to move.
ODDEST, MARKED, LISTED, MOVED = 12, 3, 4, 12

# Words of a line that are marked, and characters that are shown.
WORDS, SHOWN = 6, 600

# Moments of series that are shown, and steps on both sides of each.
MOMENTS, AROUND = 6, 100

# The rate of false discoveries, and the p-value from which on columns have moved.
RATE, UNLIKELY = 0.05, 0.01

# Cells of fewer nats are not marked; the least strength of a mark.
UNUSUAL, FAINTEST = 3.0, 0.3


class AnomalyDisplay(ABC):
    """The look of what is odd in data of one kind.

    Attributes
    ----------
    row : str
        What one row is called.
    compared : str
        What of rows is compared with those of the fit, where it is not their values.
    kind : Kind or None
        The form of the data that are opened.
    """

    row: ClassVar[str] = "row"
    compared: ClassVar[str] = ""
    kind: Kind | None

    @property
    @abstractmethod
    def title(self) -> str:
        """What the data are, in words."""

    @abstractmethod
    def oddest(self, source: Source, scores: Array) -> list[Element]:
        """Return the oddest rows, and what makes them odd.

        Parameters
        ----------
        source : Source
        scores : array (n,)
            How odd each row is, in nats.
        """


@dataclass(frozen=True)
class OddRows:
    """The oddest rows of some data, the oddest first.

    Attributes
    ----------
    names : list of str (n,)
    scores, pvalues : array (n,)
    data : table or array (n, ...)
        In the user's own form.
    """

    names: list[str]
    scores: Array
    pvalues: Array
    data: Any

    @classmethod
    def of(cls, detector: AnomalyDetector, kind: Kind, source: Source, scores: Array) -> OddRows:
        """Return the oddest rows of a source, which is read again."""
        places = np.argsort(-scores, kind="stable")[:ODDEST]
        start, parts = 0, []
        for piece in detector.pieces(source.data):
            rows = kind.rows(piece)
            own = (places >= start) & (places < start + rows.shape[0])
            parts.append((np.flatnonzero(own), rows[places[own] - start]))
            start += rows.shape[0]
        order = np.argsort(np.concatenate([own for own, _ in parts]))
        joined = [part for _, part in parts]
        stacked = sparse.vstack(joined) if sparse.issparse(joined[0]) else np.concatenate(joined)
        rows = stacked[order]
        names = names_of(kind, source.data, places)
        return cls(
            names, scores[places], detector.model_.pvalues(scores[places]), kind.restore(rows)
        )


class OddTableDisplay(AnomalyDisplay):
    """Rows of tables, with their least likely cells marked."""

    kind: Table

    def __init__(self, detector: AnomalyDetector, kind: Table) -> None:
        self.detector, self.kind, self.fields = detector, kind, fields_of(kind)

    @property
    def title(self) -> str:
        """The number of columns."""
        return f"rows of {counted(len(self.fields), 'column')}"

    def oddest(self, source: Source, scores: Array) -> list[Element]:
        """Return a table of the columns in which most is odd."""
        odd = OddRows.of(self.detector, self.kind, source, scores)
        why = self.detector.explain(odd.data, MARKED)
        total = why[why["nats"] > 0].groupby("column")["nats"].sum()
        shown = list(total.nlargest(MOST_COLUMNS).index)
        most = why.groupby("row")["nats"].transform("max")
        why = why[why["nats"] > np.maximum(NOTABLE * most, UNUSUAL)]
        rows, fields = self.kind.rows(odd.data), {field.name: field for field in self.fields}
        texts = {name: fields[name].texts(rows) for name in shown}
        marks = {(why_row.row, why_row.column): why_row for why_row in why.itertuples()}
        largest = float(why["nats"].max()) if len(why) else 1.0
        body = []
        for i, (name, score, p) in enumerate(zip(odd.names, odd.scores, odd.pvalues, strict=True)):
            cells = [
                _marked(text[i], marks.get((i, column)), largest) for column, text in texts.items()
            ]
            numbers = (tag("td", number(float(f"{x:.3g}"))) for x in (score, p))
            body.append(tag("tr", head(name, "row"), *numbers, *cells))
        words = (
            "The highest scores, in nats. Marked cells are the least likely ones of their row, "
            "given its other cells: red above what was expected, blue below, amber for another "
            "category, the stronger the less likely. Below each is the interval that holds with "
            "90%, or the most likely category."
        )
        if len(total) > len(shown):
            words += f" The {len(shown)} columns in which most is odd."
        words += note_of_texts(self.fields)
        table = headed(["score", "p-value", *texts], body)
        return [captioned(scrolling(table, "compared", "Oddest rows"), words)]


class OddImageDisplay(AnomalyDisplay):
    """Images, with a map of where they are odd."""

    row = "image"
    kind: Images

    def __init__(self, detector: AnomalyDetector, kind: Images) -> None:
        self.detector, self.kind = detector, kind

    @property
    def title(self) -> str:
        """Height and width."""
        _, height, width = self.kind.shape
        return f"images of {height} × {width} pixels"

    def oddest(self, source: Source, scores: Array) -> list[Element]:
        """Return each image above what was expected and its map."""
        odd = OddRows.of(self.detector, self.kind, source, scores)
        maps = self.detector.anomaly_maps(odd.data)
        rows, expected = self.kind.rows(odd.data), self.kind.rows(maps.expected)
        shades = Shades.of(self.kind, rows)
        columns = [
            tag(
                "div",
                picture(shades.bytes(row), f"{name}, original", COMPARED_SIDE),
                picture(shades.bytes(other), f"{name}, expected", COMPARED_SIDE),
                picture(heat(nats), f"{name}, where it is odd", COMPARED_SIDE),
                tag("span", name, title=name),
                tag("span", f"{number(float(f'{score:.3g}'))} nats"),
            )
            for row, other, nats, name, score in zip(
                rows, expected, maps.nats, odd.names, odd.scores, strict=True
            )
        ]
        words = (
            "The highest scores. Below each image is what was expected of each pixel, given those "
            "that are not around it, and a map of how unlikely the region around each pixel is: "
            "the redder, the less likely within this image."
        )
        return [captioned(tag("div", *columns, class_=f"pictures{shades.size}"), words)]


class OddCountsDisplay(AnomalyDisplay):
    """Rows of sparse matrices, with their least likely cells."""

    kind: SparseMatrix

    def __init__(self, detector: AnomalyDetector, kind: SparseMatrix) -> None:
        self.detector, self.kind = detector, kind

    @property
    def title(self) -> str:
        """The number of columns."""
        return f"sparse rows of {counted(self.kind.width, 'column')}"

    def oddest(self, source: Source, scores: Array) -> list[Element]:
        """Return a table of the least likely cells of each row."""
        odd = OddRows.of(self.detector, self.kind, source, scores)
        why = self.detector.explain(odd.data, LISTED).dropna()
        rows = [tag("tr", tag("td"), *(head(x, "col") for x in ("score", "p-value", "unlikely")))]
        for i, (name, *figures) in enumerate(zip(odd.names, odd.scores, odd.pvalues, strict=True)):
            own = why[why["row"] == i]
            least = [
                f"column {column} = {number(value)}, expected {number(float(f'{expected:.2g}'))} "
                f"({number(float(f'{nats:.2g}'))}\N{NO-BREAK SPACE}nats)"
                for column, value, expected, nats in zip(
                    own["column"], own["value"], own["expected"], own["nats"], strict=True
                )
            ]
            numbers = (tag("td", number(float(f"{x:.3g}"))) for x in figures)
            cells = tag("td", *(tag("span", text) for text in least), class_="least")
            rows.append(tag("tr", head(name, "row"), *numbers, cells))
        words = (
            "The highest scores, and the stored cells that are least likely in a row with so many: "
            "in nats, -log of the share of usual rows in which some cell is as unlikely."
        )
        return [captioned(scrolling(tag("table", *rows), "oddest", "Oddest rows"), words)]


class OddTextDisplay(AnomalyDisplay):
    """Lines of text, with the words that few other lines have marked."""

    row, compared = "line", " scores of"
    kind: Text

    def __init__(self, detector: AnomalyDetector, kind: Text) -> None:
        self.detector, self.kind = detector, kind

    @property
    def title(self) -> str:
        """The column that the text is."""
        return "lines of text" if self.kind.column is None else f"texts of {self.kind.column}"

    def oddest(self, source: Source, scores: Array) -> list[Element]:
        """Return a table of the lines."""
        places = np.argsort(-scores, kind="stable")[:ODDEST]
        wanted, pieces = set(places.tolist()), self.detector.pieces(source.data)
        every = chain.from_iterable(as_bytes(piece, self.kind.column) for piece in pieces)
        found = {place: text for place, text in enumerate(every) if place in wanted}
        texts = [as_string(found[place]) for place in places.tolist()]
        why = self.detector.explain(texts, WORDS)
        most = why.groupby("row")["nats"].transform("max")
        why = why[why["nats"] > np.maximum(most / 2, UNUSUAL)]
        largest = float(why["nats"].max()) if len(why) else 1.0
        rows = [tag("tr", tag("td"), *(head(x, "col") for x in ("score", "p-value", self.row)))]
        figures = scores[places], self.detector.model_.pvalues(scores[places])
        names = names_of(self.kind, source.data, places)
        for i, (name, text, *own) in enumerate(zip(names, texts, *figures, strict=True)):
            nats = why[why["row"] == i].set_index("word")["nats"].to_dict()
            words = (
                _word(part, nats.get(part), largest) for part in WORD.split(shortened(text, SHOWN))
            )
            numbers = (tag("td", number(float(f"{x:.3g}"))) for x in own)
            rows.append(tag("tr", head(name, "row"), *numbers, tag("td", *words, class_="least")))
        caption = (
            "The highest scores, in nats. Marked words are those that the fewest lines of the fit "
            "have, by their rarest n-gram of characters: the stronger, the fewer."
        )
        return [captioned(scrolling(tag("table", *rows), "oddest", "Oddest lines"), caption)]


class OddSeriesDisplay(AnomalyDisplay):
    """Moments of series, each with what was before and after."""

    row, compared = "step", " errors of forecasts of"
    kind = None

    def __init__(self, detector: AnomalyDetector, scorer: SeriesScorer) -> None:
        self.detector, self.scorer = detector, scorer

    @property
    def title(self) -> str:
        """The number of channels."""
        return f"steps of series with {counted(len(self.scorer.used), 'channel')}"

    def oddest(self, source: Source, scores: Array) -> list[Element]:
        """Return charts of values, forecasts and scores around each moment."""
        piece = next(self.detector.pieces(source.data))
        points = finite_points(self.scorer.form, piece)
        why = self.detector.explain(source.data, len(self.scorer.used))
        expected = why.pivot_table("expected", "row", "column", dropna=False)
        names = [self.scorer.columns[channel] for channel in self.scorer.used]
        total = why.groupby("column")["nats"].sum().reindex(names)
        shown = [names[i] for i in sorted(np.argsort(-total.to_numpy())[:MOST_CHANNELS])]
        moments = _moments(points, scores)
        flagged = -scores < self.detector.offset_
        heads = [str(points.labels.iloc[steps[middle]]) for steps, middle in moments]
        lines = {}
        for name in shown:
            values = points.values[:, self.scorer.used[names.index(name)]]
            lines[name] = [expected[name].reindex(range(len(values))).to_numpy(), values]
        lines["score in nats"] = [scores.round(3)]
        steps = max(places_of_series(points), key=lambda own: scores[own].max())
        whole = [(steps, int(scores[steps].argmax()))]
        over = [self._line(name, each[-1:], whole, flagged) for name, each in lines.items()]
        around = [self._line(name, each, moments, flagged) for name, each in lines.items()]
        words = (
            f"Above, {counted(len(steps), 'step')}; below, the highest scores, each in the middle "
            f"of {2 * AROUND + 1} steps. Flagged steps are marked. The charts of a channel have "
            "one scale."
        )
        if len(shown) < len(names):
            words += f" The {len(shown)} of {len(names)} channels whose forecasts were missed most."
        tones = legend([("first", "value"), ("faint", "forecast from the steps before")])
        ends = short_times([str(points.labels.iloc[i]) for i in (steps[0], steps[-1])])
        all_ = headed([" to ".join(ends)], over)
        all_.set("class", "whole")
        grids = (
            scrolling(all_, "charts", "All steps"),
            scrolling(headed(short_times(heads), around), "charts", "Oddest moments"),
        )
        return [captioned(tag("div", tones, *grids), words)]

    def _line(
        self,
        name: str,
        lines: list[Array],
        moments: list[tuple[NDArray[np.intp], int]],
        flagged: NDArray[np.bool_],
    ) -> Element:
        """Return the charts of a channel, whose last line is what happened."""
        places = np.concatenate([steps for steps, _ in moments])
        low, high = float(np.nanmin(lines[-1][places])), float(np.nanmax(lines[-1][places]))
        tones = ["faint", "first"][-len(lines) :]
        charts = [
            chart(
                [
                    (tone, np.clip(line[steps], low, high))
                    for tone, line in zip(tones, lines, strict=True)
                ],
                low,
                high,
                f"{name} around step {steps[middle]}.",
                [middle / max(len(steps) - 1, 1)],
                flagged[steps],
            )
            for steps, middle in moments
        ]
        ends = tag("small", f"{number(low)} to {number(high)}")
        title = tag("th", tag("span", name, title=name), ends, scope="row")
        return tag("tr", title, *(tag("td", drawn) for drawn in charts))


def _moments(points: Points, scores: Array) -> list[tuple[NDArray[np.intp], int]]:
    """Return the numbers of the steps around each of the oddest, and its place among them."""
    found: list[tuple[NDArray[np.intp], int]] = []
    series = places_of_series(points)
    where = np.concatenate([np.full(len(own), i) for i, own in enumerate(series)])
    within = np.concatenate([np.arange(len(own)) for own in series])
    order = np.argsort(-scores[np.concatenate(series)], kind="stable")
    taken = np.zeros(len(order), bool)
    for at in order:
        if len(found) == MOMENTS:
            break
        if taken[at]:
            continue
        own = series[where[at]]
        start, stop = max(0, within[at] - AROUND), min(len(own), within[at] + AROUND + 1)
        found.append((own[start:stop], int(within[at] - start)))
        taken |= (where == where[at]) & (np.abs(within - within[at]) <= 2 * AROUND)
    return found


def display_of(detector: AnomalyDetector) -> AnomalyDisplay:
    """Return the display of what a detector was fitted on."""
    scorer = detector.model_
    if isinstance(scorer, TextScorer):
        return OddTextDisplay(detector, scorer.kind)
    if isinstance(scorer, RowScorer):
        match scorer.kind:
            case Table() as kind:
                return OddTableDisplay(detector, kind)
            case Images() as kind:
                return OddImageDisplay(detector, kind)
    if isinstance(scorer, CountScorer):
        return OddCountsDisplay(detector, scorer.kind)
    assert isinstance(scorer, SeriesScorer)
    return OddSeriesDisplay(detector, scorer)


def anomaly_page(detector: AnomalyDetector, data: Data | Source) -> tuple[str, Element]:
    """Return the title and the content of the page of a detector on rows."""
    display = display_of(detector)
    source = read(data, "test", kind=display.kind)
    scores = -detector.score_samples(source.data).ravel()
    with warnings.catch_warnings():  # all was said when the rows were first read
        warnings.simplefilter("ignore", AttarWarning)
        drift = detector.drift(source.data)
        oddest = display.oddest(source, scores)
    title = f"odd {display.title}"
    main = tag(
        "main",
        _header(title, detector, scores, drift, display.row),
        _findings(detector, scores, drift, display.row),
        _scores(detector, scores, display.row),
        section(f"Oddest {display.row}s", *oddest),
        _drift(drift, display.row, display.compared),
    )
    return title, main


def _flagged(detector: AnomalyDetector, scores: Array) -> int:
    return int((-scores < detector.offset_).sum())


def _header(
    title: str, detector: AnomalyDetector, scores: Array, drift: Drift, row: str
) -> Element:
    """Return the title, and the figures."""
    flagged, found = _flagged(detector, scores), detector.model_.pvalues(scores)
    values = [(percent(flagged / len(scores)), f"flagged: {flagged:,} {row}s")]
    if detector.contamination == "auto":
        low, high = detector.alarm_interval_
        values.append((f"{_ratio(low)}–{_ratio(high)}%", f"of usual {row}s would be flagged"))
    values += [
        (f"{discoveries(found, RATE).sum():,}", f"odd at a false discovery rate of {RATE:.0%}"),
        (number(float(f"{scores.max():.3g}")), "highest score, nats"),
        (number(float(f"{drift.pvalue:.2g}")), "p-value of drift"),
    ]
    return tag(
        "header",
        tag("p", f"attar report on {counted(len(scores), row)}", class_="eyebrow"),
        tag("h1", title),
        tag(
            "p",
            f"A score is the mean of −log p in nats, where p is the share of usual {row}s that are "
            f"as odd; the detector was calibrated on {counted(detector.model_.own.size, row)}.",
        ),
        metric_list(values),
    )


def _ratio(share: float) -> str:
    """Return a share in percent, with two digits."""
    return f"{round(100 * share, 3):.2g}"


def _findings(detector: AnomalyDetector, scores: Array, drift: Drift, row: str) -> Element:
    """Return what is unlike what was promised."""
    found = []
    share, high = _flagged(detector, scores) / len(scores), detector.alarm_interval_[1]
    # What chance adds to the promise with so many rows.
    room = 2 * (high * (1 - high) / len(scores)) ** 0.5
    if detector.contamination == "auto" and share > high + room:
        found.append(
            (
                f"{percent(share)} of the {row}s are flagged, and of usual ones {high:.2%} would "
                f"be at most.",
                f"Look at the oddest {row}s below: they are odd, or the data have moved.",
            )
        )
    if drift:
        low = drift.columns["pvalue"] * len(drift.columns) < UNLIKELY
        moved = [str(name).strip("()") for name in drift.columns["column"][low]]
        named = ", ".join(moved[:3]) + (f" and {len(moved) - 3:,} more" if moved[3:] else "")
        found.append(
            (
                f"these {row}s do not come from where those of the fit came: {named} moved.",
                "Fit a new detector where this is the new usual, as its promises do not hold.",
            )
        )
    return findings(
        found, f"as many {row}s are flagged as usual ones would be, and no drift is found."
    )


def _scores(detector: AnomalyDetector, scores: Array, row: str) -> Element:
    """Return the distribution of scores beside that of usual rows, and their tails."""
    limit, usual = -float(detector.offset_), detector.model_.own.ravel()
    tones = [("second", f"these {row}s"), ("faint", f"usual {row}s, those of the fit")]
    if np.isfinite(limit):
        tones.insert(1, ("first", "flagged"))
        words = f"Scores beyond {number(float(f'{limit:.3g}'))} nats are flagged."
    else:
        words = f"No score is flagged: the fit had too few {row}s."
    tails = (
        f"The share of {row}s with at least a score. Where these {row}s are above usual ones, "
        "there are more odd ones than chance has."
    )
    curves, names = svg.score_tails(scores, usual, limit), [tones[0], tones[-1]]
    return tag(
        "div",
        section(
            "Scores", captioned(svg.score_histogram(scores, usual, limit), legend(tones), words)
        ),
        section("Tail of the scores", captioned(curves, legend(names), tails)),
        class_="pair",
    )


def _drift(drift: Drift, row: str, compared: str) -> Element:
    """Return a table of the columns that moved most."""
    shown = drift.columns.head(MOVED)
    titles = ("column", "", "distance", "p-value")
    rows = [tag("tr", *(head(title, "col") for title in titles))]
    for name, statistic, p in shown.itertuples(index=False):
        bar = tag("td", tag("i", style=f"--share:{statistic:.4f}"), class_="share")
        numbers = (tag("td", text) for text in (percent(statistic), number(float(f"{p:.2g}"))))
        rows.append(tag("tr", head(str(name), "row"), bar, *numbers))
    words = (
        f"The distance of Kolmogorov and Smirnov between{compared} these {row}s and those of the "
        f"fit, on one scale from 0 to 100%: by how much the shares of {row}s below a value differ "
        f"at most. Where nothing moved, the smallest of {counted(len(drift.columns), 'p-value')} "
        "is seldom below "
        f"{number(float(f'{UNLIKELY / len(drift.columns):.1g}'))}."
    )
    if len(drift.columns) > MOVED:
        words += f" The {MOVED} that moved most."
    return section("Drift", captioned(scrolling(tag("table", *rows), "parts", "Drift"), words))


def _marked(text: str, why: Any, largest: float) -> Element:
    """Return a cell, marked where it is unlikely."""
    if why is None:
        return lines(tag("span", text, title=text))
    strength = FAINTEST + (1 - FAINTEST) * min(1.0, why.nats / largest)
    if pd.isna(why.value) or isinstance(why.value, str | bool | np.bool_):
        style, words = toned("another", 0.7 * strength), _texts([why.expected])[0]
    else:
        style = tint(strength if why.value > why.expected else -strength)
        words = " to ".join(dict.fromkeys(_texts([why.low, why.high])))
    return lines(
        tag("span", text, title=f"{text}, {why.nats:.1f} nats", class_="differs", style=style),
        tag("span", words, title=words),
    )


def _word(word: str, nats: float | None, largest: float) -> Element | str:
    """Return a word, marked where it is rare."""
    if nats is None:
        return word
    return tag("mark", word, title=f"{nats:.1f} nats", style=tint((nats / largest) ** 2))


def _texts(values: Sequence[Any]) -> list[str]:
    """Return values of the user's as text."""
    texts = []
    for value in values:
        if pd.isna(value):
            texts.append(MISSING)
        elif isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_):
            texts.append(number(float(f"{value:.4g}")))
        elif isinstance(value, np.datetime64):
            texts.append(str(pd.Timestamp(value)))
        elif isinstance(value, np.timedelta64):
            texts.append(str(pd.Timedelta(value)))
        else:
            texts.append(str(value))
    return short_times(texts)
