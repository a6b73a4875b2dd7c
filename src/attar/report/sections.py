"""The sections of the page: each figure with a caption in plain words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element

import numpy as np
import torch

from attar.codes import CodeModule
from attar.data.kind import Rows
from attar.data.stream import evenly_spaced
from attar.evaluation.diagnostics import Finding
from attar.fitted import Fitted
from attar.predictor import Predictor
from attar.recipe import Recipe
from attar.recipes import TABLE
from attar.report import svg
from attar.report.display import Display, Shown, Walk, brought_back
from attar.report.html import Colouring, captioned, legend, number, tag
from attar.report.selection import plane, walk_ends

WALKS, STEPS = 4, 8

# Measures by name: how they read, and what they are.
METRICS: dict[str, tuple[Callable[[float], str], str]] = {
    "error_to_pca": (lambda value: f"{number(value)} ×", "PCA’s error with as many numbers"),
    "error": (number, "mean squared error of a prepared cell"),
    "pca_error": (number, "the same of PCA"),
    "explained_variance": (lambda value: f"{number(100 * value)} %", "of the variance explained"),
    "psnr": (lambda value: f"{number(value)} dB", "peak signal-to-noise ratio"),
    "nll_bound": (number, "nats a row, bound on −log p"),
    "distortion": (number, "nats a row, distortion"),
}


def opening(title: str, fitted: Fitted, metrics: dict[str, float], row: str) -> Element:
    """Return the title, what the model is, and the key svg."""
    rows = int(metrics["rows"])
    facts = [
        tag(
            "div",
            tag("dt", words),
            tag("dd", tag("data", read(metrics[key]), value=repr(metrics[key]))),
        )
        for key, (read, words) in METRICS.items()
        if key in metrics
    ]
    return tag(
        "header",
        tag("p", f"attar report on {_count(rows, row)}", class_="eyebrow"),
        tag("h1", title),
        tag("p", *_described(fitted.recipe)),
        tag("dl", *facts, class_="facts"),
    )


def diagnosis(findings: Sequence[Finding], held_out: bool) -> Element:
    """Return what is wrong, and what to do."""
    whose = "rows held out from it" if held_out else "rows learnt from, as none were held out"
    items = [
        tag("li", *(tag("p", words) for words in (f.problem, f.advice) if words), class_=f.name)
        for f in findings
    ]
    return tag(
        "section",
        tag("h2", "Diagnosis"),
        tag("ul", *items, class_="findings"),
        tag("p", "Made when training ended, from ", whose, ".", class_="after"),
    )


def comparison(display: Display, shown: Shown, colouring: Colouring) -> Element:
    """Return rows and their reconstructions, from the best to the worst of those shown."""
    ranked = np.argsort(shown.errors, kind="stable")
    places = ranked[evenly_spaced(len(ranked), display.compared)]
    names = colouring.at(places).names
    return tag("section", tag("h2", "What comes back"), *display.compare(shown.at(places), names))


def code_map(shown: Shown, colouring: Colouring, row: str) -> Element:
    """Return the codes on a plane."""
    points, x, y = plane(shown.codes)
    entries = colouring.legend
    texts = [meaning for _, meaning in entries] if colouring.categorical else []
    figure = captioned(
        svg.code_map(points, colouring.groups, colouring.tones, texts, x, y),
        *([legend(entries)] if entries else []),
        f"Each dot is the code of one of {_count(len(points), row)}; {row}s that are near each "
        "other here are alike to the model.",
        " Colours are labels, which it never saw." if entries else "",
    )
    return tag("section", tag("h2", "The map of codes"), figure)


def importance(fitted: Fitted) -> Element:
    """Return how much each code dimension carries."""
    growth = np.asarray(fitted.training_summary.diagnostics.importance)
    left_out = len(growth) - svg.MOST_BARS
    some = f" The {svg.MOST_BARS} of {len(growth)} that carry most." if left_out > 0 else ""
    figure = captioned(
        svg.importance(growth),
        "How much the error grows when one number of the code is held at its mean. A number "
        "without a bar carries nothing." + some,
    )
    return tag("section", tag("h2", "What each number carries"), figure)


def against_pca(
    pca_errors: Sequence[float], metrics: dict[str, float], size_errors: Sequence[float]
) -> Element:
    """Return the error beside PCA's at each code size."""
    error, size = metrics["error"], int(metrics["code_size"])
    needed = next((k for k, other in enumerate(pca_errors) if other <= error), None)
    enough = f"{needed:,}" if needed is not None else f"more than {len(pca_errors) - 1:,}"
    figure = captioned(
        svg.error_by_size(pca_errors, size, error, size_errors),
        legend([("first", "this model"), ("second", "PCA")]),
        f"With {_count(size, 'number')} the error is {number(error)}; PCA, the best linear code, "
        f"needs {enough} to come as near.",
        " The code is ordered: when training ended, its first k numbers had the error drawn at k."
        * bool(size_errors),
    )
    return tag("section", tag("h2", "Against PCA"), figure)


def learning(fitted: Fitted) -> Element:
    """Return the loss curves."""
    history, best = fitted.history, fitted.training_summary.diagnostics.best_epoch
    held_out = history[-1].validation_loss is not None
    entries = [("first", "rows held out")] * held_out + [("second", "rows learnt from")]
    figure = captioned(
        svg.loss_curves(history, best),
        legend(entries),
        f"The loss after each of {_count(len(history), 'epoch')}. The model kept is that of epoch "
        f"{best:,}, with {number(history[best - 1].monitored_loss)} nats a row",
        " on rows held out." if held_out else ".",
    )
    return tag("section", tag("h2", "Learning"), figure)


def walks(
    display: Display, code: CodeModule, predictor: Predictor, shown: Shown, colouring: Colouring
) -> list[Element]:
    """Return walks between the codes of two rows; none where there is but one row."""
    along = plane(shown.codes)[0][:, 0]
    steps, codes = torch.linspace(0, 1, STEPS), torch.from_numpy(shown.codes).float()
    walked = [
        Walk(
            colouring.names[a],
            colouring.names[b],
            *brought_back(
                predictor.at([a] * STEPS), code.interpolate(codes[a], codes[b], steps).numpy()
            ),
        )
        for a, b in walk_ends(colouring.groups, along, WALKS)
    ]
    if not walked:
        return []
    return [tag("section", tag("h2", "Walks between two codes"), *display.walks(walked))]


def samples(display: Display, rows: Rows, decoded: Rows) -> Element:
    """Return new rows, raw (n, *cells) and prepared (n, *shape)."""
    heading = tag("h2", f"New {display.row}s")
    return tag("section", heading, *display.samples(rows, decoded))


def making(fitted: Fitted) -> Element:
    """Return what was chosen from the data, and why."""
    diagnostics = fitted.training_summary.diagnostics
    lines = [
        tag(
            "tr",
            tag("th", choice.setting.replace("_", " "), scope="row"),
            tag("td", choice.value),
            tag("td", choice.reason),
        )
        for choice in fitted.choices
    ]
    words = f"The error was {number(diagnostics.train_error)} on rows learnt from"
    words += f" and {number(diagnostics.error)} on rows held out." if diagnostics.held_out else "."
    return tag(
        "section",
        tag("h2", "How it was made"),
        tag("table", *lines, class_="choices"),
        tag("p", words, class_="after"),
        *(tag("p", words, class_="after") for words in _citation(fitted.recipe)),
    )


def _described(recipe: Recipe) -> list[Element | str]:
    for name, row in TABLE.items():
        if row.recipe == recipe:
            return [tag("code", name), f" {row.summary}"]
    return [tag("code", str(recipe)), " A recipe of its own."]


def _citation(recipe: Recipe) -> list[str]:
    return [row.citation for row in TABLE.values() if row.recipe == recipe]


def _count(n: int, thing: str) -> str:
    return f"{n:,} {thing}" + "s" * (n != 1)
