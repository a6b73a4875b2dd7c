"""The page: figures of a fitted model with captions, in one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, tostring

import numpy as np
import torch
from torch import Generator

from attar.codes import Contextual, NoCode
from attar.data.images import Images
from attar.data.kind import Kind, Rows
from attar.data.recordings import SoundWindows
from attar.data.scaling import Scaling, Standard, Symmetric
from attar.data.series import Windows
from attar.data.source import Data, Source, read, without_infinities
from attar.data.sparse import SparseMatrix
from attar.data.stream import evenly_spaced
from attar.data.table import Table
from attar.data.text import Text
from attar.errors import SettingError
from attar.evaluation.diagnostics import Finding, size_errors
from attar.evaluation.evaluate import Evaluation
from attar.evaluation.reconstruction import PartMetrics
from attar.fitted import Fitted
from attar.isolation import default_settings
from attar.likelihoods import Causal
from attar.page import Report
from attar.predictor import Predictor, monitored_rows
from attar.recipes import TABLE
from attar.remote import file_at
from attar.reporting import svg
from attar.reporting.anomalies import anomaly_page
from attar.reporting.bitrates import bitrates
from attar.reporting.clusters import cluster_page
from attar.reporting.colours import best_explained
from attar.reporting.compressed import compressed_table
from attar.reporting.display import Display, Examples, Interpolation, decode
from attar.reporting.future import forecast_page
from attar.reporting.gaps import imputation_page
from attar.reporting.html import captioned, legend, number, section, tag
from attar.reporting.images import ImageDisplay
from attar.reporting.measured import (
    columns_table,
    counted,
    data_words,
    oddest,
    oddest_table,
    oddest_words,
    which,
)
from attar.reporting.qualities import qualities
from attar.reporting.selection import (
    Colouring,
    by_label,
    interpolation_ends,
    label_array,
    names_of,
    plain,
    plane,
    sample_rows,
)
from attar.reporting.series import SeriesDisplay, step_times
from attar.reporting.sounds import SoundDisplay
from attar.reporting.sparse import SparseDisplay
from attar.reporting.tables import TableDisplay
from attar.reporting.texts import TextDisplay, text_names
from attar.tasks.anomalies.detector import AnomalyDetector
from attar.tasks.clusters.clusterer import Clusterer
from attar.tasks.future.forecaster import Forecaster
from attar.tasks.gaps.imputer import Imputer
from attar.tasks.labels.estimators import LabelEstimator

if TYPE_CHECKING:
    from attar.estimator import Autoencoder

MOST_POINTS = 2000

INTERPOLATIONS, STEPS = 4, 8

# So many rows are shown with so many neighbours each.
QUERIES, NEAREST = 6, 4

# The browser enforces that the page loads nothing and runs nothing.
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"

# Metrics by name: their format and label.
METRICS: dict[str, tuple[Callable[[float], str], str]] = {
    "error": (number, "MSE on {} values"),
    "pca_error": (number, "MSE of PCA with as many dimensions"),
    "error_to_pca": (lambda value: f"{number(value)}×", "ratio of the MSE to PCA’s"),
    "explained_variance": (lambda value: f"{number(100 * value)}%", "explained variance"),
    "psnr": (lambda value: f"{number(value)} dB", "peak signal-to-noise ratio"),
    "nll_bound": (number, "NLL bound, nats per row"),
    "accuracy": (lambda value: f"{number(100 * value)}%", "categories reconstructed correctly"),
    "distortion": (number, "reconstruction NLL, nats per row"),
}

TEXT_METRICS: dict[str, tuple[Callable[[float], str], str]] = {
    "accuracy": (METRICS["accuracy"][0], "tokens reconstructed in their place"),
    "exact": (METRICS["accuracy"][0], "texts reconstructed exactly"),
    **{name: METRICS[name] for name in ("nll_bound", "distortion")},
}


@default_settings()
def report(
    estimator: (Autoencoder | AnomalyDetector | Imputer | Forecaster | Clusterer | LabelEstimator),
    data: Data | Source,
    path: str | Path | None = None,
    labels: Data | None = None,
    condition: Data | None = None,
) -> Report:
    """Return one self-contained HTML page about a fitted estimator, which a notebook shows.

    Parameters
    ----------
    estimator : Autoencoder, AnomalyDetector, Imputer, Forecaster or Clusterer
    data : table, array, sparse matrix, Series, Stream, path, or name of a data set
        Rows to evaluate. Of the data of the fit of an autoencoder, the validation rows are; any
        others, all. Plots are of a sample where there are many.
    path : path or None
        Where the page is written, whole or not at all.
    labels : array (n,) or None
        Labels that determine the colours; None takes those of the data, if any.
    condition : array (n,) or table (n, columns), or None
        The condition of the rows, where the model was fitted with one.

    Raises
    ------
    DataError
        If the data is not of the form that was fitted, or there is not one label per row.
    SettingError
        If an estimator other than Autoencoder gets labels or a condition, or there is no report of
        it.
    FileError
        If the page cannot be written.

    Examples
    --------
    >>> import attar
    >>> from tempfile import TemporaryDirectory
    >>> ae = attar.Autoencoder(code_size=4, epochs=1).fit("digits")
    >>> page = attar.report(ae, "digits")
    >>> "Comparison with PCA" in page.html
    True
    >>> with TemporaryDirectory() as folder:
    ...     page.save(Path(folder) / "page.html")
    """
    if isinstance(estimator, LabelEstimator):
        name = type(estimator).__name__
        raise SettingError(
            f"There is no report of {name}: attar predict says how good it is on rows with labels; "
            "in Python, report its autoencoder, model_.autoencoder."
        )
    if isinstance(estimator, AnomalyDetector | Imputer | Forecaster | Clusterer):
        if labels is not None or condition is not None:
            raise SettingError(
                f"The report of {type(estimator).__name__} has no labels or condition: leave them "
                "out."
            )
        return _finished(*_task_page(estimator, data), path)
    preparation = estimator.fitted_.predictor.preparation
    kind = preparation.kind
    source = read(data, part="test", kind=kind)
    clean = without_infinities(source.data) if estimator.infinite_as_missing else source.data
    evaluation = estimator.evaluate_held_out(source, condition=condition)
    if evaluation.rows is None:
        rows, places, n = sample_rows(preparation, clean)
        scores = evaluation.scores[places]
    else:
        measured = estimator.fitted_.training_summary.measured
        order = np.argsort(measured.places)
        n, places = measured.total, measured.places[order]
        rows, scores = evaluation.rows[order], evaluation.scores[order]
    named = text_names(kind, rows) if isinstance(kind, Text) else None
    names, times = named or names_of(kind, clean, places), step_times(kind, clean)
    labels = source.labels if labels is None else labels
    colouring = plain(names)
    if labels is not None:
        colouring = by_label(label_array(labels, n)[places]).named(names)
    predictor = estimator.fitted_.conditioned(condition, n).at(places)
    drawn = None if times is None else times[places]
    page = _page(estimator, predictor, rows, drawn, colouring, evaluation, scores, places)
    found = _finished(*page, path)
    if path is not None:
        for callback in estimator.callbacks:
            callback.on_report(file_at(path), evaluation.metrics)
    return found


def _task_page(
    estimator: AnomalyDetector | Imputer | Forecaster | Clusterer, data: Data | Source
) -> tuple[str, Element]:
    match estimator:
        case AnomalyDetector():
            return anomaly_page(estimator, data)
        case Imputer():
            return imputation_page(estimator, data)
        case Forecaster():
            return forecast_page(estimator, data)
        case Clusterer():
            return cluster_page(estimator, data)


def _finished(title: str, main: Element, path: str | Path | None) -> Report:
    """Return the page with this title and content, and write it where it is to be written."""
    title = f"attar: {title}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", title),
        tag("style", files("attar.reporting").joinpath("page.css").read_text("utf-8")),
    )
    page = tag("html", head, tag("body", main), lang="en")
    text = "<!doctype html>\n" + tostring(page, encoding="unicode", method="html") + "\n"
    found = Report(title, text)
    if path is not None:
        found.save(path)
    return found


def _page(
    estimator: Autoencoder,
    predictor: Predictor,
    rows: Rows,
    times: Rows | None,
    colouring: Colouring,
    evaluation: Evaluation,
    scores: Rows,
    places: Rows,
) -> tuple[str, Element]:
    """Return the title and the content of the page of an autoencoder."""
    fitted = estimator.fitted_
    summary, metrics = fitted.training_summary, evaluation.metrics
    sizes = summary.diagnostics.size_errors
    if sizes and evaluation.rows is None:
        prepared = predictor.preparation.prepare(rows).numpy()
        sizes = size_errors(predictor, predictor.encode(rows), prepared)
    odd = oddest(scores, places, fitted.kind.overlap)
    odd_times = None if times is None else times[odd]
    odd_rows = predictor.at(odd), rows[odd], odd_times, colouring.at(odd).names, scores[odd]
    chosen = evenly_spaced(rows.shape[0], MOST_POINTS)
    predictor, colouring = predictor.at(chosen), colouring.at(chosen)
    examples = Examples.of(predictor, rows[chosen], None if times is None else times[chosen])
    display = display_of(predictor.preparation.kind, examples)
    title = display.title
    if fitted.recipe.compared:
        title += f" in {counted(predictor.code_size, 'latent dimension')}"
    odd_section = _oddest_rows(display, fitted, *odd_rows, float(np.median(evaluation.scores)))
    curves = _loss_curves(fitted, display.row)
    compression = _compression(estimator, rows, display.row)
    if _has_code(fitted):
        sections = [
            _reconstructions(display, examples, colouring),
            *_denoised(display, predictor, examples, colouring),
            *_columns(fitted.kind, evaluation.parts),
            odd_section,
        ]
        sections[:0] = compression
        if fitted.recipe.compared:
            sections += [
                tag(
                    "div",
                    _latent_space(display, examples, colouring),
                    _importance(
                        np.asarray(summary.diagnostics.importance),
                        f"{summary.diagnostics.rows_of} {display.row}s",
                    ),
                    class_="pair",
                ),
                tag(
                    "div", _comparison(evaluation.pca_errors, metrics, sizes), curves, class_="pair"
                ),
                *_interpolations(display, fitted, predictor, examples, colouring),
            ]
        elif isinstance(fitted.kind, Text):
            sections += [
                tag("div", _latent_space(display, examples, colouring), curves, class_="pair"),
                *_interpolations(display, fitted, predictor, examples, colouring),
            ]
        else:
            sections.append(curves)
        sections += _neighbours(display, fitted, examples)
    else:
        sections = [tag("div", *compression, curves, class_="pair"), odd_section]
    main = tag(
        "main",
        _header(title, fitted, evaluation, display.row, _unit(estimator)),
        _diagnosis(fitted, estimator.diagnose(evaluation), evaluation, display.row),
        *sections,
        _samples(display, fitted, predictor, len(chosen)),
        _settings(fitted),
    )
    return title, main


def display_of(kind: Kind, examples: Examples) -> Display:
    """Return the display of a kind of data."""
    match kind:
        case Table():
            return TableDisplay(kind, examples)
        case Images():
            return ImageDisplay(kind, examples)
        case Windows():
            return SeriesDisplay(kind, examples)
        case SparseMatrix():
            return SparseDisplay(kind, examples)
        case SoundWindows():
            return SoundDisplay(kind, examples)
        case Text():
            return TextDisplay(kind, examples)
    raise TypeError(f"There is no display of {type(kind).__name__}.")


def _has_code(fitted: Fitted) -> bool:
    """Return whether rows have codes; else their reconstructions are all the same."""
    return not isinstance(fitted.recipe.code, NoCode)


def _unit(estimator: Autoencoder) -> str:
    """Return what the values are on which errors are measured."""
    chosen = {choice.setting: choice.value for choice in estimator.choices_}
    scaling = Scaling.resolve(chosen.get("scaling", estimator.scaling))
    return "standardized" if isinstance(scaling, Standard | Symmetric) else "prepared"


def _header(title: str, fitted: Fitted, evaluation: Evaluation, row: str, unit: str) -> Element:
    """Return the title, the recipe, the metrics, and what they are measured on."""
    metrics = evaluation.metrics
    shown = TEXT_METRICS if isinstance(fitted.kind, Text) else METRICS
    names = [name for name, entry in TABLE.items() if entry.recipe == fitted.recipe]
    name = names[0] if names else str(fitted.recipe)
    summary = TABLE[name].summary if names else "A custom recipe."
    values = [
        tag(
            "div",
            tag("dt", label.format(unit)),
            tag("dd", tag("data", formatted(metrics[key]), value=repr(metrics[key]))),
        )
        for key, (formatted, label) in shown.items()
        if key in metrics and (key == "nll_bound" or _has_code(fitted))
    ]
    return tag(
        "header",
        tag("p", f"attar report on {which(evaluation, row)}", class_="eyebrow"),
        tag("h1", title),
        tag("p", tag("code", name), f" {summary}"),
        tag("dl", *values, class_="metrics"),
        tag(
            "p",
            data_words(fitted.kind, evaluation, fitted.training_summary.measured, row),
            class_="after",
        ),
    )


def _diagnosis(
    fitted: Fitted, findings: Sequence[Finding], evaluation: Evaluation, row: str
) -> Element:
    """Return problems of the model, and what to do about them."""
    items = [
        tag("li", tag("p", finding.problem), tag("p", finding.advice), class_=finding.name)
        for finding in findings
    ]
    found = section("Diagnostics", tag("ul", *items, class_="findings"))
    if _has_code(fitted):
        words = f"Errors are those of the {which(evaluation, row)} of this report."
        if evaluation.rows is None:
            words += (
                " The importance of latent dimensions and the loss curves are those of the fit."
            )
        found.append(tag("p", words, class_="after"))
    return found


def _compression(estimator: Autoencoder, rows: Rows, row: str) -> list[Element]:
    """Return what the rows take, compressed, where the model is one for compression."""
    if estimator.fitted_.symbol_network is not None and isinstance(rows, np.ndarray):
        return [section("Bitrates", *bitrates(estimator, rows))]
    if isinstance(estimator.fitted_.recipe.code, Contextual) and isinstance(rows, np.ndarray):
        return [section("Qualities", *found)] if (found := qualities(estimator, rows)) else []
    if not isinstance(estimator.fitted_.likelihood, Causal):
        return []
    return [section("Lossless compression", compressed_table(estimator, rows, row))]


def _reconstructions(display: Display, examples: Examples, colouring: Colouring) -> Element:
    """Return rows and their reconstructions, by increasing error."""
    ranked = np.argsort(examples.errors, kind="stable")
    places = ranked[evenly_spaced(len(ranked), display.compared)]
    names = colouring.at(places).names
    order = "from the lowest error to the highest"
    return section("Reconstructions", *display.reconstructions(examples.at(places), names, order))


def _denoised(
    display: Display, predictor: Predictor, examples: Examples, colouring: Colouring
) -> list[Element]:
    """Return rows with noise and without; nothing where the model was fitted without noise."""
    shrinkage, preparation = predictor.model.shrinkage, predictor.preparation
    if shrinkage is None:
        return []
    level = (shrinkage.low + shrinkage.high) / 2
    clean = torch.from_numpy(examples.prepared).nan_to_num()
    noise = torch.randn(clean.shape, generator=Generator().manual_seed(0), dtype=clean.dtype)
    noisy = preparation.raw(clean + level * noise)
    found, prepared = decode(predictor, predictor.encode(noisy, level))
    before, after = (
        float(np.sqrt(np.nanmean(np.square(x - examples.prepared))))
        for x in ((clean + level * noise).numpy(), prepared)
    )
    words = (
        f"With noise of standard deviation {number(float(f'{level:.3g}'))} in prepared units, in "
        f"the middle of the levels of the training, the RMSE is {number(before)} before and "
        f"{number(after)} after denoising: {20 * np.log10(before / after):.1f} dB less."
    )
    places = evenly_spaced(len(clean), display.compared)
    clean_rows, noisy_rows, found_rows = (x[places] for x in (examples.rows, noisy, found))
    shown = display.denoised(clean_rows, noisy_rows, found_rows, colouring.at(places).names)
    return [section("Denoising", *shown, tag("p", words, class_="after"))]


def _columns(kind: Kind, parts: Sequence[PartMetrics]) -> list[Element]:
    """Return how well each column is reconstructed; nothing where there is one."""
    if len(parts) < 2:
        return []
    return [section(f"Explained variance of each {kind.part}", columns_table(kind, parts))]


def _oddest_rows(
    display: Display,
    fitted: Fitted,
    predictor: Predictor,
    rows: Rows,
    times: Rows | None,
    names: Sequence[str],
    scores: Rows,
    median: float,
) -> Element:
    """Return the rows with the lowest scores, and the cells that make them odd."""
    examples, shown = Examples.of(predictor, rows, times), []
    if not _has_code(fitted):
        shown = display.originals(rows, names)
    elif isinstance(fitted.kind, Images | Windows | SoundWindows | Text):
        shown = display.reconstructions(examples, names, "the oddest first")
    if isinstance(fitted.kind, Images | SoundWindows | Text):
        shown.append(tag("p", oddest_words(scores, median), class_="after"))
    else:
        cells = partial(display.cell, examples, expected=_has_code(fitted))
        deficits = fitted.training_summary.reference.deficits(predictor, rows)
        shown.append(oddest_table(fitted.kind, cells, names, scores, deficits, median))
    return section(f"Oddest {display.row}s", *shown)


def _latent_space(display: Display, examples: Examples, colouring: Colouring) -> Element:
    """Return the codes on a plane, coloured by labels or else by the column explained best."""
    points, x, y = plane(examples.codes)
    words = " Colours are labels, which were not used in training."
    if not colouring.legend and (best := best_explained(display.attributes(examples), points)):
        attribute, share = best
        colouring = attribute.colouring(colouring.names)
        words = f" Colours are {attribute.name}, which the map explains best"
        words += f": {share:.0%} of its variance."
    entries = colouring.legend
    texts = [meaning for _, meaning in entries] if colouring.categorical else []
    name = "legend" if colouring.categorical else "legend scale"
    return section(
        "Latent space",
        captioned(
            svg.code_map(points, colouring.groups, colouring.tones, texts, x, y, colouring.names),
            *([legend(entries, name)] if entries else []),
            f"The codes of {counted(len(points), display.row)}.",
            words if entries else "",
        ),
    )


def _importance(growth: Rows, rows: str) -> Element:
    """Return how much each latent dimension matters."""
    caption = f"Increase of the MSE of {rows} when a latent dimension is fixed at its mean."
    if len(growth) > svg.MOST_BARS:
        caption += f" The {svg.MOST_BARS} most important of {len(growth)} dimensions."
    return section(
        "Importance of each latent dimension", captioned(svg.importance(growth), caption)
    )


def _comparison(
    pca_errors: Sequence[float], metrics: dict[str, float], size_errors: Sequence[float]
) -> Element:
    """Return the error beside PCA's at each code size."""
    error, size = metrics["error"], int(metrics["code_size"])
    needed = next((k for k, other in enumerate(pca_errors) if other <= error), None)
    enough = f"{needed:,}" if needed is not None else f"more than {len(pca_errors) - 1:,}"
    caption = f"MSE {number(error)} with {counted(size, 'latent dimension')}; PCA needs {enough}."
    if size_errors:
        caption += " The code is ordered: the curve is the MSE with its first k dimensions."
    return section(
        "Comparison with PCA",
        captioned(
            svg.error_by_size(pca_errors, size, error, size_errors),
            legend([("first", "this model"), ("second", "PCA")]),
            caption,
        ),
    )


def _loss_curves(fitted: Fitted, row: str) -> Element:
    """Return the losses of all epochs."""
    history, best = fitted.history, fitted.training_summary.diagnostics.best_epoch
    if not history:
        return section("Loss curves", tag("p", "The model was trained by another library."))
    validation = history[-1].validation_loss is not None
    entries = [("first", "validation")] * validation + [("second", "training")]
    loss = f"{'validation' if validation else 'training'} loss"
    most = monitored_rows(fitted.kind)
    if len(fitted.training_summary.measured.places) > most:
        loss += f" of {most:,} {row}s"
    return section(
        "Loss curves",
        captioned(
            svg.loss_curves(history, best),
            legend(entries),
            f"The {loss} is lowest at epoch {best:,} of {len(history):,}, with "
            f"{number(history[best - 1].monitored_loss)} nats per row; the weights are those of "
            "this epoch.",
        ),
    )


def _interpolations(
    display: Display,
    fitted: Fitted,
    predictor: Predictor,
    examples: Examples,
    colouring: Colouring,
) -> list[Element]:
    """Return interpolations between the codes of two rows; none where there is only one row."""
    along = plane(examples.codes)[0][:, 0]
    steps, codes = torch.linspace(0, 1, STEPS), torch.from_numpy(examples.codes).float()
    found = [
        Interpolation(
            colouring.names[a],
            colouring.names[b],
            *decode(
                predictor.at([a] * STEPS),
                fitted.code.interpolate(codes[a], codes[b], steps).numpy(),
            ),
        )
        for a, b in interpolation_ends(colouring.groups, along, INTERPOLATIONS)
    ]
    return [section("Latent interpolation", *display.interpolations(found))] if found else []


def _neighbours(display: Display, fitted: Fitted, examples: Examples) -> list[Element]:
    """Return some rows with those whose codes are nearest, where the display shows such."""
    codes = torch.from_numpy(examples.codes).float()
    places = evenly_spaced(len(codes), QUERIES)
    with torch.no_grad():
        distances = fitted.code.distance(codes[places], codes)
    distances[np.arange(len(places)), places] = torch.inf
    found = distances.topk(min(NEAREST, len(codes) - 1), largest=False)
    shown = display.neighbours(examples.rows, places, found.indices.numpy(), found.values.numpy())
    return [section(f"Nearest {display.row}s", *shown)] if shown else []


def _samples(display: Display, fitted: Fitted, predictor: Predictor, rows: int) -> Element:
    """Return generated samples, as :meth:`Autoencoder.sample`, conditioned as some of the rows."""
    codes = fitted.sampler()(display.sampled, Generator().manual_seed(0)).numpy()
    drawn = predictor.at(np.resize(evenly_spaced(rows, display.sampled), display.sampled))
    noisy = fitted.kind.noisy or fitted.likelihood.joint
    samples = fitted.draw(drawn, codes, None, 0) if noisy else decode(drawn, codes)[0]
    return section("Generated samples", *display.samples(samples, noisy))


def _settings(fitted: Fitted) -> Element:
    """Return the settings that were chosen from the data, with the reasons."""
    lines = [
        tag(
            "tr",
            tag("th", choice.setting.replace("_", " "), scope="row"),
            tag("td", choice.value),
            tag("td", choice.reason),
        )
        for choice in fitted.choices
    ]
    diagnostics = fitted.training_summary.diagnostics
    measure = "token error rate" if isinstance(fitted.kind, Text) else "MSE"
    errors = f"Training {measure} {number(diagnostics.train_error)}"
    errors += (
        f", validation {measure} {number(diagnostics.error)}."
        if diagnostics.rows_of == "validation"
        else "."
    )
    citations = [row.citation for row in TABLE.values() if row.recipe == fitted.recipe]
    return section(
        "Settings chosen from the data",
        tag("table", *lines, class_="choices"),
        *(tag("p", text, class_="after") for text in [errors] * _has_code(fitted) + citations),
    )
