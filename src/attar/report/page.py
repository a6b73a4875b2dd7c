"""The page: written whole, with everything that it shows inside."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, tostring

import numpy as np
from torch import Generator

from attar.data.kind import Rows
from attar.data.source import read, without_infinities
from attar.data.stream import evenly_spaced
from attar.predictor import Predictor
from attar.report import sections
from attar.report.display import Display, Shown, brought_back
from attar.report.html import Colouring, by_label, one_each, plain, tag
from attar.report.images import ImageDisplay
from attar.report.selection import called, drawn
from attar.report.series import SeriesDisplay
from attar.report.sparse import SparseDisplay
from attar.report.tables import TableDisplay
from attar.storage import written_whole

if TYPE_CHECKING:
    from attar.estimator import Autoencoder

DISPLAYS: dict[str, type[Display]] = {
    "table": TableDisplay,
    "images": ImageDisplay,
    "series": SeriesDisplay,
    "sparse": SparseDisplay,
}

MOST_SHOWN = 2000

# The browser itself sees to it that the page fetches nothing and runs nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(
    estimator: Autoencoder,
    data: Any,
    path: str | Path,
    labels: Any = None,
    condition: Any = None,
) -> None:
    """Write one self-contained HTML page about a fitted estimator, whole or not at all.

    Parameters
    ----------
    estimator : Autoencoder
    data : table, array, sparse matrix, Series, Stream, path, or name of a data set
        Rows to show and to measure, best not those that were learnt from. All are measured; where
        they are many, a sample is shown.
    path : path
    labels : array (n,) or None
        What the rows are coloured by; None takes the labels that the data brings, if any.
    condition : array (n,) or table (n, columns), or None
        What the rows are told, where the model was fitted with a condition.

    Raises
    ------
    DataError
        If the data is not of the form that was fitted, or there is not one label a row.
    FileError
        If the page cannot be written.
    """
    preparation = estimator.fitted.predictor.preparation
    kind = preparation.kind
    source = read(data, part="test", kind=kind)
    known = without_infinities(source.data) if estimator.infinite_as_missing else source.data
    metrics = estimator.evaluate(known, condition=condition)
    rows, places = drawn(preparation, known)
    labels = source.labels if labels is None else labels
    if labels is None:
        colouring = plain(called(kind.index(known), places))
    else:
        colouring = by_label(one_each(labels, int(metrics["rows"]))[places])
    predictor = estimator._predictor(condition, int(metrics["rows"])).at(places)
    page = _page(estimator, predictor, rows, colouring, metrics)
    text = "<!doctype html>\n" + tostring(page, encoding="unicode", method="html") + "\n"
    with written_whole(Path(path)) as beside:
        beside.write_text(text, "utf-8", errors="xmlcharrefreplace")


def _page(
    estimator: Autoencoder,
    predictor: Predictor,
    rows: Rows,
    colouring: Colouring,
    metrics: dict[str, float],
) -> Element:
    fitted = estimator.fitted
    kind = predictor.preparation.kind
    chosen = evenly_spaced(rows.shape[0], MOST_SHOWN)
    predictor, colouring = predictor.at(chosen), colouring.at(chosen)
    shown = Shown.of(predictor, rows[chosen])
    display = DISPLAYS[kind.name](kind, shown)
    title = f"{display.form} in {predictor.code_size:,} number" + "s" * (predictor.code_size > 1)
    codes = fitted.sampler()(display.sampled, Generator().manual_seed(0)).numpy()
    # A sample is told what one of the rows shown was told.
    alike = np.resize(evenly_spaced(len(chosen), display.sampled), display.sampled)
    pca_errors = fitted.training_summary.baseline.errors(
        predictor.preparation.prepare(rows).numpy()
    )
    main = tag(
        "main",
        sections.opening(title, fitted, metrics, display.row),
        sections.diagnosis(estimator.diagnose(), fitted.training_summary.diagnostics.held_out),
        sections.comparison(display, shown, colouring),
        tag(
            "div",
            sections.code_map(shown, colouring, display.row),
            sections.importance(fitted),
            class_="pair",
        ),
        tag(
            "div",
            sections.against_pca(
                pca_errors, metrics, fitted.training_summary.diagnostics.size_errors
            ),
            sections.learning(fitted),
            class_="pair",
        ),
        *sections.walks(display, fitted.code, predictor, shown, colouring),
        sections.samples(display, *brought_back(predictor.at(alike), codes)),
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
