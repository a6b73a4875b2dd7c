"""The page: written whole, with everything that it shows inside."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, tostring

from attar.data.kind import Rows
from attar.data.source import read
from attar.files import written_whole
from attar.report import sections
from attar.report.colouring import Colouring, by_label, plain
from attar.report.display import Display
from attar.report.markup import tag
from attar.report.pictures import Pictures
from attar.report.selection import evenly_spread
from attar.report.shown import Shown
from attar.report.tables import Tables

if TYPE_CHECKING:
    from attar.estimator import Autoencoder

DISPLAYS: dict[str, type[Display]] = {"table": Tables, "images": Pictures}

MOST_SHOWN = 2000

# The browser itself sees to it that the page fetches nothing and runs nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(estimator: Autoencoder, data: Any, path: str | Path, labels: Any = None) -> None:
    """Write one self-contained HTML page about a fitted estimator, whole or not at all.

    Parameters
    ----------
    estimator : Autoencoder
    data : array, DataFrame, path, or name of a data set
        Rows to show and to measure, best not those that were learnt from.
    path : path
    labels : array (n,) or None
        What the rows are coloured by; None takes the labels that the data brings, if any.

    Raises
    ------
    DataError
        If the data is not of the form that was fitted, or there is not one label a row.
    FileError
        If the page cannot be written.
    """
    source = read(data, part="test")
    measures = estimator.evaluate(source.data)
    rows = estimator.fitted.applied.preparation.kind.rows(source.data)
    labels = source.labels if labels is None else labels
    colouring = plain(len(rows)) if labels is None else by_label(labels, len(rows))
    page = _page(estimator, rows, colouring, measures)
    text = "<!doctype html>\n" + tostring(page, encoding="unicode", method="html") + "\n"
    with written_whole(Path(path)) as beside:
        beside.write_text(text, "utf-8", errors="xmlcharrefreplace")


def _page(
    estimator: Autoencoder, rows: Rows, colouring: Colouring, measures: dict[str, float]
) -> Element:
    fitted = estimator.fitted
    applied = fitted.applied
    kind = applied.preparation.kind
    chosen = evenly_spread(len(rows), MOST_SHOWN)
    shown, colouring = Shown.of(applied, rows[chosen]), colouring.at(chosen)
    display = DISPLAYS[kind.name](kind, shown)
    title = f"{display.form} in {applied.code_size:,} number" + "s" * (applied.code_size > 1)
    samples = kind.rows(estimator.sample(display.sampled, random_state=0))
    pca_errors = fitted.study.baseline.errors(applied.preparation.prepare(rows).numpy())
    main = tag(
        "main",
        sections.opening(title, fitted, measures),
        sections.diagnosis(estimator.diagnose(), fitted.study.facts.held_out),
        sections.comparison(display, shown, colouring),
        tag("div", sections.code_map(shown, colouring), sections.carried(fitted), class_="pair"),
        tag(
            "div",
            sections.against_pca(pca_errors, measures),
            sections.learning(fitted),
            class_="pair",
        ),
        *sections.walks(display, applied, shown, colouring),
        sections.samples(display, samples),
        sections.making(fitted),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", f"attar: {title}"),
        tag("style", files("attar.report").joinpath("page.css").read_text("utf-8")),
    )
    return tag("html", head, tag("body", main), lang="en")
