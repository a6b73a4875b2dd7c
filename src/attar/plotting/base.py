"""What all displays share: an Axes that is given, or a figure of its own."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from attar.errors import SettingError
from attar.estimator import Autoencoder
from attar.reporting.selection import STEPS, Colouring

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# Of the points of a map, and the gap between the cells of a grid, in parts of a cell.
MARKER_AREA, GAP = 14.0, 0.08

# The pixels of an inch of a figure in a notebook.
RESOLUTION = 110


class Plot(ABC):
    """A plot of numbers that were computed before; it can be drawn more than once.

    A figure of its own is not one of pyplot's, so that nothing global is left behind: a notebook
    shows the display where it is the last value of a cell, and ``figure_.savefig`` writes it. With
    ``ax`` of ``matplotlib.pyplot.subplots`` it is part of any other figure.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on last.
    figure_ : matplotlib Figure
    """

    # Width and height of a figure of its own, in inches.
    size: ClassVar[tuple[float, float]] = (5.6, 3.8)

    ax_: Axes
    figure_: Figure | SubFigure
    _own: Figure | None = None

    @abstractmethod
    def _draw(self, ax: Axes) -> None:
        """Draw on an Axes."""

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw on an Axes, or on a figure of its own, and return the display.

        Parameters
        ----------
        ax : matplotlib Axes, default None
            None makes a figure.
        """
        self._own = None
        if ax is None:
            from matplotlib.figure import Figure

            self._own = Figure(figsize=self.size, layout="constrained")
            ax = self._own.add_subplot()
        self._draw(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _repr_png_(self) -> bytes | None:
        """Return the figure for a notebook; one that is pyplot's is shown by pyplot."""
        if self._own is None:
            return None
        file = io.BytesIO()
        self._own.savefig(file, format="png", dpi=RESOLUTION, bbox_inches="tight")
        return file.getvalue()


def check_type(display: type[Plot], estimator: object, *known: type[object]) -> None:
    """Refuse an estimator that a display does not show.

    Raises
    ------
    SettingError
    """
    if not isinstance(estimator, known):
        names = " or ".join(one.__name__ for one in known)
        own = isinstance(getattr(estimator, "autoencoder_", None), Autoencoder)
        instead = "its autoencoder_" if own and Autoencoder in known else "one of these"
        raise SettingError(
            f"{display.__name__} shows a fitted {names}, not {type(estimator).__name__}: give "
            f"{instead}."
        )


def cells_of(ax: Axes, rows: int, columns: int) -> list[list[Axes]]:
    """Return a grid of Axes within an Axes, which has no frame then, row by row from above."""
    ax.set_axis_off()
    width, height = 1 / (columns + GAP * (columns - 1)), 1 / (rows + GAP * (rows - 1))
    return [
        [
            ax.inset_axes(
                (
                    (1 + GAP) * width * column,
                    1 - height - (1 + GAP) * height * row,
                    width,
                    height,
                )
            )
            for column in range(columns)
        ]
        for row in range(rows)
    ]


def picture_grid(ax: Axes, lines: Mapping[str, Sequence[NDArray[np.uint8]]]) -> list[list[Axes]]:
    """Draw named lines of pictures of one size; return the grid of their Axes."""
    pictures = list(lines.values())
    height, width = pictures[0][0].shape[:2]
    ax.set_box_aspect(len(pictures) * height / (len(pictures[0]) * width))
    grid = cells_of(ax, len(pictures), len(pictures[0]))
    for cells, (name, line) in zip(grid, lines.items(), strict=True):
        for cell, pixels in zip(cells, line, strict=True):
            cell.imshow(pixels, "gray", vmin=0, vmax=255, interpolation="nearest")
            cell.set(xticks=[], yticks=[])
        cells[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return grid


def scatter(ax: Axes, points: np.ndarray, colouring: Colouring, x: str, y: str) -> None:
    """Draw points (n, 2) in the colours of their groups, with a legend where there are several."""
    for group, colour in enumerate(colours_of(colouring.tones)):
        own = points[colouring.groups == group]
        name = colouring.meanings[group]
        ax.scatter(own[:, 0], own[:, 1], MARKER_AREA, [colour], label=name, linewidths=0)
    ax.set(xlabel=x, ylabel=y)
    if colouring.legend:
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def colours_of(tones: Sequence[str]) -> list[str | tuple[float, ...]]:
    """Return matplotlib's colours for the tones of a colouring: of the cycle, or of a scale."""
    from matplotlib import colormaps

    scale = colormaps["viridis"]
    known: dict[str, str | tuple[float, ...]] = {"plain": "C0", "other": "0.6"}
    known |= {f"s{i}": tuple(map(float, scale(i / (STEPS - 1)))) for i in range(STEPS)}
    return [known.get(tone, tone.upper()) for tone in tones]
