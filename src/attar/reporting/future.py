"""The page of a forecaster: forecasts with prediction intervals, and a backtest."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attar.data.points import LongTable
from attar.data.source import Data, Source, read
from attar.errors import AttarWarning, DataError
from attar.reporting import svg
from attar.reporting.html import (
    captioned,
    findings,
    head,
    headed,
    legend,
    metric_list,
    number,
    scrolling,
    section,
    tag,
)
from attar.reporting.measured import counted, percent
from attar.reporting.scale import Scale
from attar.tasks.future.backtest import Backtest
from attar.tasks.future.forecaster import Forecaster
from attar.tasks.future.histories import seconds
from attar.tasks.future.outlook import Outlook
from attar.tasks.steps import DAY

Array = NDArray[np.float64]

# The prediction intervals of a fan, the widest first, and that of a backtest.
FAN, COVERAGE = (0.95, 0.8, 0.5), 0.9

# Charts of forecasts, steps before them in horizons, and forecasts and channels of a backtest.
MOST_FANS, BEFORE, ORIGINS, CHANNELS = 8, 2, 4, 7

# How far a coverage may be from what it should be before it is a finding.
ROOM = 0.05


@dataclass(frozen=True)
class Fan:
    """The end of a channel of a series, its forecast, and prediction intervals.

    Attributes
    ----------
    past, forecast : (array (n,), array (n,))
        Times and values; dates are seconds since 1970.
    bands : list of (array (steps,), array (steps,))
        The low and the high end of each interval, the widest first.
    dates, zoned : bool
        Whether times are dates, and whether these have a time zone, and are in UTC.
    """

    past: tuple[Array, Array]
    forecast: tuple[Array, Array]
    bands: list[tuple[Array, Array]]
    dates: bool
    zoned: bool

    @classmethod
    def of(cls, forecaster: Forecaster, one: Outlook, channel: int) -> Self:
        """Return the fan of a channel, whose intervals are the quantiles of an outlook."""
        history, steps = one.history, len(one.forecast)
        shown = max(BEFORE * steps, min(forecaster.history_, 4 * BEFORE * steps))
        past, values = history.times[-shown:], history.rows[-shown:, channel]
        after = (
            np.asarray(seconds(one.times), np.float64)
            if one.times
            else history.times[-1] + forecaster.series_.clock.step * np.arange(1, steps + 1)
        )
        quantiles = one.quantiles()[:, :, channel]
        form = forecaster.series_.form
        return cls(
            (past, values),
            (after, one.forecast[:, channel]),
            list(zip(quantiles[::2], quantiles[1::2], strict=True)),
            isinstance(form, LongTable) and form.clock == "dates",
            getattr(history.dtype, "tz", None) is not None,
        )


def interval_levels(coverages: Sequence[float]) -> list[float]:
    """Return the quantiles at the ends of intervals, low and high of each in turn."""
    return [share for width in coverages for share in ((1 - width) / 2, (1 + width) / 2)]


@dataclass(frozen=True)
class Tested:
    """A backtest beside that of the naive forecast, the last value of each channel.

    Attributes
    ----------
    found : Backtest
    naive : array (n, channels)
    """

    found: Backtest
    naive: Array

    @classmethod
    def of(cls, forecaster: Forecaster, data: Data, outlooks: Sequence[Outlook]) -> Self | None:
        """Return the backtest of all steps after those of the fit; None if there are too few."""
        try:
            found = forecaster.backtest(data, COVERAGE)
        except DataError:
            return None
        last = np.full((len(found.times), len(found.channels)), np.nan)
        for history in (one.history for one in outlooks):
            own = found.series == str(history.name)
            before = np.searchsorted(history.times, found.times[own]) - 1
            last[own] = pd.DataFrame(history.rows).ffill().to_numpy()[before]
        return cls(found, last)

    def by_step(self, forecast: Array) -> Array:
        """Return the root mean squared error of each step ahead, in deviations of the channels."""
        squares = np.square((self.found.actual - forecast) / np.nanstd(self.found.actual, (0, 1)))
        return np.asarray(np.sqrt(np.nanmean(squares, (0, 2))))

    @property
    def errors(self) -> tuple[Array, Array]:
        """Of the forecaster and of the naive forecast, for each step ahead."""
        return self.by_step(self.found.forecast), self.by_step(self.naive[:, None])

    @property
    def coverage(self) -> float:
        """The share of outcomes in their prediction intervals."""
        return float(np.nanmean(self.found.covered))


def forecast_page(forecaster: Forecaster, data: Data | Source) -> tuple[str, Element]:
    """Return the title and the content of the page of a forecaster on series."""
    series = read(data, "test").data
    outlooks = forecaster.outlooks(series, interval_levels(FAN))
    with warnings.catch_warnings():  # all was said when the series were first read
        warnings.simplefilter("ignore", AttarWarning)
        tested = Tested.of(forecaster, series, outlooks)
    names = forecaster.channels_
    title = f"forecasts of {counted(len(names), 'channel')}, {forecaster.horizon_} steps ahead"
    main = tag(
        "main",
        _header(title, forecaster, outlooks, tested),
        _findings(tested),
        _fans(forecaster, outlooks, names),
        *([] if tested is None else _backtest(tested, names)),
        _model(forecaster),
    )
    return title, main


def _header(
    title: str, forecaster: Forecaster, outlooks: Sequence[Outlook], tested: Tested | None
) -> Element:
    """Return the title, and the figures."""
    values = [
        (number(forecaster.model_.held_out_error), "MSE on held-out steps of the fit, standardized")
    ]
    if tested is not None:
        error, naive = (np.sqrt(np.square(each).mean()) for each in tested.errors)
        values += [
            (percent(tested.coverage), f"coverage of intervals of {COVERAGE:.0%}"),
            (f"{number(error / naive)}×", "ratio of the RMSE to that of the last value"),
            (f"{len(tested.found.times):,}", "forecasts in the backtest"),
        ]
    return tag(
        "header",
        tag("p", f"attar report on {len(outlooks):,} series", class_="eyebrow"),
        tag("h1", title),
        tag(
            "p",
            f"Each forecast is made from {counted(forecaster.history_, 'step')}. Prediction "
            "intervals are quantiles of held-out errors, adapted to the latest ones.",
        ),
        metric_list(values),
    )


def _findings(tested: Tested | None) -> Element:
    """Return what is unlike what was promised."""
    found = []
    if tested is None:
        found.append(
            (
                "these series have too few steps after those of the fit for a backtest.",
                "Report on series with a horizon of later steps or more, to see how good forecasts "
                "of them were.",
            )
        )
    else:
        if abs(tested.coverage - COVERAGE) > ROOM:
            found.append(
                (
                    f"intervals of {COVERAGE:.0%} hold {percent(tested.coverage)} of outcomes.",
                    "The series have changed since the fit: fit again with the later steps.",
                )
            )
        error, naive = (np.sqrt(np.square(each).mean()) for each in tested.errors)
        if error >= naive:
            found.append(
                (
                    f"the RMSE is {number(error / naive)} times that of the last value of each "
                    "channel.",
                    "Take the last value as the forecast, or give columns that are known ahead.",
                )
            )
    return findings(found, "coverage is as stated, and errors are below those of the last value.")


def _fans(forecaster: Forecaster, outlooks: Sequence[Outlook], names: Sequence[str]) -> Element:
    """Return the end of each series and its forecast."""
    pairs = [(one, channel) for one in outlooks for channel in range(len(names))]
    several = len(outlooks) > 1
    figures = []
    for one, channel in pairs[:MOST_FANS]:
        name = f"{one.history.name}, {names[channel]}" if several else names[channel]
        figures.append(tag("figure", _fan(forecaster, one, channel, name)))
    widths = ", ".join(f"{width:.0%}" for width in FAN[::-1])
    words = f"The last steps of series, and forecasts with prediction intervals of {widths}."
    if len(pairs) > MOST_FANS:
        words += f" The first {MOST_FANS} of {len(pairs):,} channels of all series."
    tones = legend([("second", "series"), ("first", "forecast")])
    charts = tag("div", tones, tag("div", *figures, class_="pair"))
    return section("Forecasts", captioned(charts, words))


def _fan(forecaster: Forecaster, one: Outlook, channel: int, name: str) -> Element:
    found = Fan.of(forecaster, one, channel)
    if found.dates:
        start, end = np.array([found.past[0][0], found.forecast[0][-1]]).astype("datetime64[s]")
        zone = " in UTC" if found.zoned else ""
        scale, unit = Scale.over_times(start, end, f"time{zone}", 5), float(DAY)
    else:
        scale, unit = Scale.over(float(found.past[0][0]), float(found.forecast[0][-1]), "step"), 1.0
    past, forecast = ((times / unit, values) for times, values in (found.past, found.forecast))
    return svg.fan(scale, name, past, forecast, found.bands)


def _backtest(tested: Tested, names: Sequence[str]) -> list[Element]:
    """Return forecasts beside outcomes, errors of each step ahead, and figures of channels."""
    found = tested.found
    steps = found.forecast.shape[1]
    error, naive = tested.errors
    some = np.linspace(0, len(found.times) - 1, min(ORIGINS, len(found.times))).astype(np.intp)
    worst = np.argsort(-np.nan_to_num(_relative(found)), kind="stable")[:CHANNELS]
    rows = [_compared(found, some, channel) for channel in sorted(worst)]
    titles = [f"forecast {place + 1:,} of {len(found.times):,}" for place in some]
    words = f"Outcomes beside forecasts with intervals of {COVERAGE:.0%}, {steps} steps each."
    if len(names) > CHANNELS:
        words += f" The {CHANNELS} of {len(names)} channels with the largest standardized errors."
    tones = legend([("second", "outcome"), ("first", "forecast and interval")])
    charts = scrolling(headed(titles, rows), "charts", "Backtest")
    caption = "Root mean squared error, in standard deviations of the outcomes of a channel."
    lines = legend([("first", "forecast"), ("faint", "last value")])
    curves = captioned(svg.errors_by_step(error, naive), lines, caption)
    return [
        section("Backtest", captioned(tag("div", tones, charts), words)),
        tag(
            "div",
            section("Error of each step ahead", curves),
            section("Channels", _scores(found)),
            class_="pair",
        ),
    ]


def _relative(found: Backtest) -> Array:
    """Return the mean squared error of each channel, in variances of its outcomes."""
    squares = np.nanmean(np.square(found.actual - found.forecast), (0, 1))
    return np.asarray(squares / np.nanvar(found.actual, (0, 1)))


def _compared(found: Backtest, some: NDArray[np.intp], channel: int) -> Element:
    """Return the charts of a channel."""
    parts = [each[some, :, channel] for each in (found.actual, found.forecast)]
    ends = [each[some, :, channel] for each in (found.low, found.high)]
    low, high = (float(f([f(each) for each in (*parts, *ends)])) for f in (np.nanmin, np.nanmax))
    charts = [
        svg.chart(
            [("first", forecast), ("second", actual)],
            low,
            high,
            f"{found.channels[channel]}, a forecast and what came.",
            band=(below, above),
        )
        for actual, forecast, below, above in zip(*parts, *ends, strict=True)
    ]
    name = found.channels[channel]
    size = tag("small", f"{number(low)} to {number(high)}")
    title = tag("th", tag("span", name, title=name), size, scope="row")
    return tag("tr", title, *(tag("td", drawn) for drawn in charts))


def _scores(found: Backtest) -> Element:
    """Return a table of the errors and the coverage of channels."""
    titles = ("channel", "RMSE", "MAE", "coverage", "width")
    rows = [tag("tr", *(head(title, "col") for title in titles))]
    for name, mse, mae, coverage, width in found.scores().itertuples():
        cells = (number(float(f"{x:.3g}")) for x in (mse**0.5, mae))
        texts = (*cells, percent(coverage), number(float(f"{width:.3g}")))
        rows.append(tag("tr", head(str(name), "row"), *(tag("td", text) for text in texts)))
    words = f"In units of the channel; coverage and mean width of intervals of {COVERAGE:.0%}."
    return captioned(scrolling(tag("table", *rows), "parts", "Channels"), words)


def _model(forecaster: Forecaster) -> Element:
    """Return what was chosen on held-out steps."""
    model, shape = forecaster.model_, forecaster.model_.blend.shapes[0]
    own = "one for all channels" if np.isinf(shape.others) else "one for each channel"
    chosen = [
        ("history", counted(model.blend.history, "step"), "the length of a window"),
        ("linear forecast", f"ridge regression, {own}", f"penalty {number(shape.penalty)}"),
        ("calendar", "used" if model.with_calendar else "not used", "phases of day, week and year"),
        ("network", "not used" if model.correction is None else "used", "corrects the linear part"),
    ]
    lines = [
        tag("tr", tag("th", name, scope="row"), tag("td", value), tag("td", reason))
        for name, value, reason in chosen
    ]
    words = "Each was chosen by the error on held-out steps of the series of the fit."
    return section("Model", tag("table", *lines, class_="choices"), tag("p", words, class_="after"))
