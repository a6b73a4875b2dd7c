"""Displays of rows: reconstructions, and traversals of the latent space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray

from attar.checks import positive_integer
from attar.codes import NoCode
from attar.data.kind import Kind, Rows
from attar.data.source import Data, read, without_infinities
from attar.data.stream import evenly_spaced
from attar.data.text import Text
from attar.errors import SettingError
from attar.estimator import Autoencoder
from attar.isolation import default_settings
from attar.plotting.base import Plot, cells_of, check_type, picture_grid
from attar.reporting.display import Display, Examples, PictureDisplay, decode
from attar.reporting.sections import display_of
from attar.reporting.selection import names_of, sample_rows
from attar.reporting.series import SeriesDisplay
from attar.reporting.texts import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Channels of series, columns of tables, and letters of a title.
MOST_CHANNELS, MOST_COLUMNS, MOST_LETTERS = 3, 24, 16


class RowPlot(ABC):
    """How rows of a kind are drawn."""

    @abstractmethod
    def compare(self, ax: Axes, examples: Examples, names: Sequence[str]) -> None:
        """Draw rows beside their reconstructions."""

    @abstractmethod
    def traverse(
        self, ax: Axes, rows: Rows, decoded: Rows, titles: Sequence[str], ends: tuple[str, str]
    ) -> None:
        """Draw steps along latent dimensions.

        Parameters
        ----------
        ax : matplotlib Axes
        rows, decoded : array (dimensions, steps, *cells), array (dimensions, steps, *shape)
            Raw, and prepared.
        titles : sequence of str
            Of the dimensions.
        ends : pair of str
            What the first and the last step are.
        """


class PictureRows(RowPlot):
    """Pictures: originals above reconstructions above differences."""

    def __init__(self, display: PictureDisplay) -> None:
        self.display = display

    def compare(self, ax: Axes, examples: Examples, names: Sequence[str]) -> None:
        """Draw a column for each row."""
        lines = {
            "original": self.display.pixels(examples.rows),
            "reconstruction": self.display.pixels(examples.reconstructed),
            "difference": self.display.differences(examples.rows, examples.reconstructed),
        }
        grid = picture_grid(ax, lines)
        for cell, name in zip(grid[0], names, strict=True):
            cell.set_title(shortened(name, MOST_LETTERS), fontsize="small")

    def traverse(
        self, ax: Axes, rows: Rows, decoded: Rows, titles: Sequence[str], ends: tuple[str, str]
    ) -> None:
        """Draw a line of pictures for each dimension."""
        pairs = zip(titles, rows, strict=True)
        grid = picture_grid(ax, {title: self.display.pixels(line) for title, line in pairs})
        for place, text in zip((0, -1), ends, strict=True):
            grid[0][place].set_title(text, fontsize="small")


class LineRows(RowPlot):
    """Windows of series: lines, of the channels with the largest errors."""

    def __init__(self, display: SeriesDisplay) -> None:
        worst = np.argsort(-display.errors, kind="stable")[:MOST_CHANNELS]
        self.channels, self.names = np.sort(worst), display.names

    def compare(self, ax: Axes, examples: Examples, names: Sequence[str]) -> None:
        """Draw a column for each window and a line of cells for each channel."""
        grid = cells_of(ax, len(self.channels), len(names))
        for cells, channel in zip(grid, self.channels, strict=True):
            for i, cell in enumerate(cells):
                cell.plot(examples.rows[i, channel], "0.6", label="original")
                cell.plot(examples.reconstructed[i, channel], "C0", label="reconstruction")
            self._aligned(cells, self.names[channel], cells is grid[-1])
        for cell, name in zip(grid[0], names, strict=True):
            cell.set_title(shortened(name, MOST_LETTERS), fontsize="small")
        grid[0][0].legend(fontsize="x-small", frameon=False)

    def traverse(
        self, ax: Axes, rows: Rows, decoded: Rows, titles: Sequence[str], ends: tuple[str, str]
    ) -> None:
        """Draw all steps of a dimension in one cell, from dark to bright."""
        from matplotlib import colormaps

        shades = colormaps["viridis"](np.linspace(0, 0.9, rows.shape[1]))
        grid = cells_of(ax, len(self.channels), len(titles))
        for cells, channel in zip(grid, self.channels, strict=True):
            for cell, line in zip(cells, rows[:, :, channel], strict=True):
                for place, (step, colour) in enumerate(zip(line, shades, strict=True)):
                    label = {0: ends[0], len(line) - 1: ends[1]}.get(place)
                    cell.plot(step, color=colour, linewidth=1, label=label)
            self._aligned(cells, self.names[channel], cells is grid[-1])
        for cell, title in zip(grid[0], titles, strict=True):
            cell.set_title(title, fontsize="small")
        grid[0][0].legend(fontsize="x-small", frameon=False)

    def _aligned(self, cells: Sequence[Axes], name: str, last: bool) -> None:
        """Give the cells of a channel one scale, and its name; the last ones have all ticks."""
        low, high = zip(*(cell.get_ylim() for cell in cells), strict=True)
        for cell in cells:
            cell.set_ylim(min(low), max(high))
            cell.tick_params(labelsize="x-small", labelleft=cell is cells[0], labelbottom=last)
        cells[0].set_ylabel(shortened(name, MOST_LETTERS))


class CellRows(RowPlot):
    """Rows of tables: prepared cells as colours, of the columns that vary most."""

    def __init__(self, kind: Kind, prepared: Rows) -> None:
        known = np.nan_to_num(prepared)
        spread = [float(known[:, place].var(0).sum()) for _, place in kind.parts]
        most = np.sort(np.argsort(spread)[::-1][:MOST_COLUMNS])
        self.parts = [kind.parts[i] for i in most]

    def compare(self, ax: Axes, examples: Examples, names: Sequence[str]) -> None:
        """Draw originals, reconstructions and differences from left to right."""
        before, after = self._cells(examples.prepared), self._cells(examples.decoded)
        lines = {"original": before, "reconstruction": after, "difference": after - before}
        (cells,) = cells_of(ax, 1, len(lines))
        largest = float(np.nanmax(np.abs(before))) or 1.0
        for cell, (title, values) in zip(cells, lines.items(), strict=True):
            self._map(cell, values, largest)
            cell.set_title(title, fontsize="small")
        cells[0].set_yticks(
            range(len(names)), [shortened(x, MOST_LETTERS) for x in names], fontsize="x-small"
        )

    def traverse(
        self, ax: Axes, rows: Rows, decoded: Rows, titles: Sequence[str], ends: tuple[str, str]
    ) -> None:
        """Draw, for each dimension, how the columns change from step to step."""
        cells = [line[0] for line in cells_of(ax, len(titles), 1)]
        steps = decoded.shape[1]
        changes = [self._cells(line - line[steps // 2]) for line in decoded]
        largest = float(np.abs(changes).max()) or 1.0
        for cell, change, title in zip(cells, changes, titles, strict=True):
            self._map(cell, change, largest)
            cell.set_ylabel(title)
            cell.set_yticks([0, steps - 1], list(ends), fontsize="x-small")
            cell.tick_params(labelbottom=cell is cells[-1])

    def _cells(self, prepared: Rows) -> Rows:
        return np.concatenate([prepared[:, place] for _, place in self.parts], axis=1)

    def _map(self, cell: Axes, values: Rows, largest: float) -> None:
        """Draw values as colours, red above 0 and blue below, and name the columns."""
        cell.imshow(values, "RdBu_r", vmin=-largest, vmax=largest, aspect="auto")
        widths = [place.stop - place.start for _, place in self.parts]
        middles = np.cumsum(widths) - (np.array(widths) + 1) / 2
        names = [shortened(name, MOST_LETTERS) for name, _ in self.parts]
        cell.set_xticks(middles, names, rotation=90, fontsize="x-small")
        cell.set_yticks([])


def row_plot(kind: Kind, display: Display, prepared: Rows) -> RowPlot:
    """Return how rows of a kind are drawn.

    Parameters
    ----------
    kind : Kind
    display : Display
        Of some rows.
    prepared : array (n, *shape)
        The same rows.
    """
    match display:
        case PictureDisplay():
            return PictureRows(display)
        case SeriesDisplay():
            return LineRows(display)
    return CellRows(kind, prepared)


@dataclass(eq=False)
class ReconstructionDisplay(Plot):
    """Rows beside their reconstructions, from the lowest error to the highest.

    Images and sound are pictures, with differences that are red where the reconstruction is too
    bright; windows of series are lines; rows of tables are colours of prepared values.

    Parameters
    ----------
    examples : Examples
        The rows, their codes and reconstructions.
    names : list of str
    rows : RowPlot

    Examples
    --------
    >>> import attar
    >>> ae = attar.Autoencoder(epochs=3, random_state=0).fit("digits")
    >>> display = attar.plotting.ReconstructionDisplay.from_estimator(ae, "digits", most=4)
    >>> display.examples.rows.shape, display.names[0].startswith("row ")
    ((4, 1, 8, 8), True)
    """

    examples: Examples
    names: list[str]
    rows: RowPlot

    size = (8.0, 3.8)

    @classmethod
    @default_settings()
    def from_estimator(
        cls,
        estimator: Autoencoder,
        X: Data,
        *,
        most: int = 8,
        condition: Data | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw some rows of X.

        Parameters
        ----------
        estimator : Autoencoder
        X : table, array, ...
        most : int, default 8
            How many rows, from the one with the lowest error to the one with the highest.
        condition : array (n,) or table, default None
        ax : matplotlib Axes, default None

        Raises
        ------
        SettingError
            If the estimator is another, or reconstructs texts or nothing.
        DataError
            If X is not of the form that was fitted.
        """
        check_rows(cls, estimator)
        preparation = estimator.fitted_.predictor.preparation
        data = read(X, part="test", kind=preparation.kind).data
        clean = without_infinities(data) if estimator.infinite_as_missing else data
        rows, places, total = sample_rows(preparation, clean)
        examples = Examples.of(estimator.fitted_.conditioned(condition, total).at(places), rows)
        ranked = np.argsort(examples.errors, kind="stable")
        chosen = ranked[evenly_spaced(len(ranked), positive_integer("most", most))]
        some = examples.at(chosen)
        display = display_of(preparation.kind, some)
        names = names_of(preparation.kind, clean, places[chosen])
        return cls(some, names, row_plot(preparation.kind, display, some.prepared)).plot(ax)

    def _draw(self, ax: Axes) -> None:
        self.rows.compare(ax, self.examples, self.names)


@dataclass(eq=False)
class TraversalDisplay(Plot):
    """What changes in decoded rows while one latent dimension does, and all others stay.

    Codes start at the mean of the training rows' codes, and are constrained to valid ones.

    Parameters
    ----------
    codes : array (dimensions, steps, d)
    decoded : array (dimensions, steps, *cells)
        The raw rows of these codes.
    prepared : array (dimensions, steps, *shape)
    dimensions : int array (dimensions,)
    width : float
        How far the first and the last step are from the mean, in standard deviations of codes.
    rows : RowPlot

    Examples
    --------
    >>> import attar
    >>> ae = attar.Autoencoder(code_size=4, epochs=3, random_state=0).fit("digits")
    >>> display = attar.plotting.TraversalDisplay.from_estimator(ae, dimensions=2, steps=7)
    >>> display.decoded.shape
    (2, 7, 1, 8, 8)
    """

    codes: Rows
    decoded: Rows
    prepared: Rows
    dimensions: NDArray[np.intp]
    width: float
    rows: RowPlot

    size = (8.0, 4.6)

    @classmethod
    @default_settings()
    @torch.no_grad()
    def from_estimator(
        cls,
        estimator: Autoencoder,
        *,
        dimensions: int | Sequence[int] = 5,
        steps: int = 9,
        width: float = 2.0,
        condition: Data | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw traversals of some latent dimensions.

        Parameters
        ----------
        estimator : Autoencoder
        dimensions : int or sequence of int, default 5
            How many, the most important first; or which.
        steps : int, default 9
        width : float, default 2.0
            How far to go on both sides, in standard deviations of the training rows' codes.
        condition : label or table of one row, default None
            The condition of all steps, where the model was fitted with one.
        ax : matplotlib Axes, default None

        Raises
        ------
        SettingError
            If the estimator is another, reconstructs texts or nothing, has codes too large to be
            kept, or there is no such dimension.
        """
        check_rows(cls, estimator)
        fitted, known = estimator.fitted_, estimator.fitted_.training_summary.codes
        if len(known) < 2:
            raise SettingError(
                f"Codes of {estimator.code_size_:,} dimensions are not kept: traverse smaller ones."
            )
        chosen = _dimensions(estimator, dimensions)
        offsets = np.linspace(-width, width, positive_integer("steps", steps))
        codes = np.tile(known.mean(0), (len(chosen), steps, 1))
        for i, dimension in enumerate(chosen):
            codes[i, :, dimension] += offsets * known[:, dimension].std()
        flat = fitted.code.constrain(torch.from_numpy(codes.reshape(-1, codes.shape[-1]))).numpy()
        predictor = fitted.conditioned(condition, 1).at(np.zeros(len(flat), np.intp))
        raw, prepared = decode(predictor, flat)
        kind = predictor.preparation.kind
        residuals = prepared - prepared.mean(0)
        rows = row_plot(
            kind,
            display_of(kind, Examples(raw, raw, prepared, prepared, residuals, flat)),
            prepared,
        )
        shape = codes.shape[:2]
        raw, prepared = (x.reshape(*shape, *x.shape[1:]) for x in (raw, prepared))
        return cls(flat.reshape(codes.shape), raw, prepared, chosen, width, rows).plot(ax)

    def _draw(self, ax: Axes) -> None:
        titles = [f"z{dimension}" for dimension in self.dimensions]
        ends = (f"\N{MINUS SIGN}{self.width:g} sd", f"+{self.width:g} sd")
        self.rows.traverse(ax, self.decoded, self.prepared, titles, ends)


def check_rows(display: type[Plot], estimator: Autoencoder) -> None:
    """Refuse an estimator whose rows are not drawn.

    Raises
    ------
    SettingError
    """
    check_type(display, estimator, Autoencoder)
    fitted = estimator.fitted_
    if isinstance(fitted.kind, Text):
        raise SettingError(f"{display.__name__} draws no texts: attar.report shows them.")
    if isinstance(fitted.recipe.code, NoCode):
        raise SettingError(
            f"The recipe has no code, and reconstructs nothing: {display.__name__} needs another."
        )


def _dimensions(estimator: Autoencoder, wanted: int | Sequence[int]) -> NDArray[np.intp]:
    """Return latent dimensions: those wanted, or as many, the most important first."""
    summary, size = estimator.fitted_.training_summary, estimator.code_size_
    if isinstance(wanted, int):
        growth = np.asarray(summary.diagnostics.importance or summary.codes.std(0))
        return np.argsort(-growth, kind="stable")[: positive_integer("dimensions", wanted)]
    chosen = np.asarray(wanted, np.intp)
    if not len(chosen) or chosen.min() < 0 or chosen.max() >= size:
        raise SettingError(f"Latent dimensions are 0 to {size - 1}, not {list(wanted)}.")
    return chosen
