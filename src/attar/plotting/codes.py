"""Displays of a training and a code: losses, the error beside that of PCA, the map of codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from attar.data.kind import Rows
from attar.data.source import Data, read, without_infinities
from attar.data.stream import evenly_spaced
from attar.errors import SettingError
from attar.estimator import Autoencoder
from attar.isolation import default_settings
from attar.plotting.base import Plot, check_type, scatter
from attar.reporting.colours import best_explained
from attar.reporting.display import Examples
from attar.reporting.sections import MOST_POINTS, display_of
from attar.reporting.selection import Colouring, by_label, label_array, plain, plane, sample_rows
from attar.reporting.svg import settled_losses

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(eq=False)
class LossDisplay(Plot):
    """The losses of all epochs, in nats per row.

    Parameters
    ----------
    loss, validation_loss : array (epochs,)
        The latter NaN where no rows were held out.
    best_epoch : int
        The one whose weights are the model's.
    settled : list of float
        The losses that set the scale; those of the first epochs are too high.

    Examples
    --------
    >>> import attar
    >>> ae = attar.Autoencoder(epochs=3, random_state=0).fit("digits")
    >>> display = attar.plotting.LossDisplay.from_estimator(ae)
    >>> display.ax_.get_xlabel(), len(display.loss)
    ('epoch', 3)
    """

    loss: NDArray[np.float64]
    validation_loss: NDArray[np.float64]
    best_epoch: int
    settled: list[float]

    @classmethod
    def from_estimator(cls, estimator: Autoencoder, *, ax: Axes | None = None) -> Self:
        """Draw the losses of a fitted autoencoder.

        Parameters
        ----------
        estimator : Autoencoder
        ax : matplotlib Axes, default None

        Raises
        ------
        SettingError
            If the estimator is another, or was trained by another library.
        """
        check_type(cls, estimator, Autoencoder)
        if not estimator.fitted_.history:
            raise SettingError("The model was trained by another library: there are no losses.")
        history, fitted = estimator.history_, estimator.fitted_
        best = fitted.training_summary.diagnostics.best_epoch
        loss, held_out = (history[name].to_numpy(float) for name in ("loss", "validation_loss"))
        return cls(loss, held_out, best, settled_losses(fitted.history)).plot(ax)

    def _draw(self, ax: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        epochs = np.arange(1, len(self.loss) + 1)
        held_out = not np.isnan(self.validation_loss).all()
        ax.plot(epochs, self.loss, "C1", label="training")
        monitored = self.validation_loss if held_out else self.loss
        if held_out:
            ax.plot(epochs, monitored, "C0", label="validation")
        best = monitored[self.best_epoch - 1]
        ax.plot(self.best_epoch, best, "C0o", label=f"best epoch, {self.best_epoch}")
        room = 0.05 * (max(self.settled) - min(self.settled)) or 0.5
        ax.set(xlabel="epoch", ylabel="loss, nats per row")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_ylim(min(self.settled) - room, max(self.settled) + room)
        ax.legend(frameon=False)


@dataclass(eq=False)
class ErrorBySizeDisplay(Plot):
    """The mean squared error beside that of PCA with 0, 1, 2, ... components.

    Of an ordered code, the error with its first 0, 1, 2, ... dimensions is drawn too.

    Parameters
    ----------
    pca_errors : list of float
    code_size : int
    error : float
    size_errors : list of float
        Empty where the code is not ordered.

    Examples
    --------
    >>> import attar
    >>> ae = attar.Autoencoder(code_size=8, epochs=3, random_state=0).fit("digits")
    >>> display = attar.plotting.ErrorBySizeDisplay.from_estimator(ae)
    >>> display.code_size, display.error < display.pca_errors[4]
    (8, True)
    """

    pca_errors: list[float]
    code_size: int
    error: float
    size_errors: list[float]

    @classmethod
    def from_estimator(
        cls,
        estimator: Autoencoder,
        X: Data | None = None,
        *,
        condition: Data | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the errors of a fitted autoencoder.

        Parameters
        ----------
        estimator : Autoencoder
        X : table, array, ..., default None
            The rows that are measured; None for the validation rows of the fit.
        condition : array (n,) or table, default None
        ax : matplotlib Axes, default None

        Raises
        ------
        SettingError
            If the estimator is another, or its code is not compared with principal components.
        """
        check_type(cls, estimator, Autoencoder)
        fitted = estimator.fitted_
        if not fitted.recipe.compared:
            raise SettingError(
                f"The code {fitted.recipe.code.name!r} is not compared with principal components: "
                "ErrorBySizeDisplay shows codes that are."
            )
        found = fitted.training_summary.diagnostics
        if X is not None:
            found = found.on(estimator.evaluate_held_out(X, condition=condition))
        return cls(found.pca_errors, estimator.code_size_, found.error, found.size_errors).plot(ax)

    def _draw(self, ax: Axes) -> None:
        ax.plot(range(len(self.pca_errors)), self.pca_errors, "C1.-", label="PCA")
        if self.size_errors:
            ax.plot(range(len(self.size_errors)), self.size_errors, "C0-")
        ax.plot(self.code_size, self.error, "C0o", label="this model")
        ax.set(xlabel="latent dimensions", ylabel="mean squared error")
        ax.set_ylim(bottom=0)
        ax.legend(frameon=False)


@dataclass(eq=False)
class CodeMapDisplay(Plot):
    """Codes on a plane: their two dimensions, or their two principal components.

    Parameters
    ----------
    points : array (n, 2)
    x, y : str
        The names of the axes.
    colouring : Colouring
        Of labels, or of the column or property that the plane explains best.
    title : str
        What the colours are.

    Examples
    --------
    >>> import attar
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> ae = attar.Autoencoder(code_size=2, epochs=3, random_state=0).fit(X)
    >>> display = attar.plotting.CodeMapDisplay.from_estimator(ae, X, y)
    >>> display.points.shape, display.colouring.meanings
    ((150, 2), ['0', '1', '2'])
    """

    points: Rows
    x: str
    y: str
    colouring: Colouring
    title: str

    size = (6.4, 4.6)

    @classmethod
    @default_settings()
    def from_estimator(
        cls,
        estimator: Autoencoder,
        X: Data,
        y: Data | None = None,
        *,
        condition: Data | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the codes of rows, a sample of 2,000 where there are more.

        Parameters
        ----------
        estimator : Autoencoder
        X : table, array, ...
        y : array (n,), default None
            Labels or numbers that are the colours. None: the labels of a data set by name, else
            the column that the map explains best.
        condition : array (n,) or table, default None
        ax : matplotlib Axes, default None

        Raises
        ------
        SettingError
            If the estimator is another.
        DataError
            If X is not of the form that was fitted, or there is not one label a row.
        """
        check_type(cls, estimator, Autoencoder)
        predictor = estimator.fitted_.predictor
        kind = predictor.preparation.kind
        source = read(X, part="test", kind=kind)
        data = without_infinities(source.data) if estimator.infinite_as_missing else source.data
        rows, places, total = sample_rows(predictor.preparation, data)
        labels = source.labels if y is None else y
        chosen = evenly_spaced(len(places), MOST_POINTS)
        rows, places = rows[chosen], places[chosen]
        predictor = estimator.fitted_.conditioned(condition, total).at(places)
        points, x, y = plane(predictor.encode(rows))
        colouring, title = plain([""] * len(points)), ""
        if labels is not None:
            colouring = by_label(label_array(labels, total)[places])
        else:
            examples = Examples.of(predictor, rows)
            best = best_explained(display_of(kind, examples).attributes(examples), points)
            if best is not None:
                colouring, title = best[0].colouring([""] * len(points)), best[0].name
        return cls(points, x, y, colouring, title).plot(ax)

    def _draw(self, ax: Axes) -> None:
        scatter(ax, self.points, self.colouring, self.x, self.y)
        legend = ax.get_legend()
        if legend is not None:
            legend.set_title(self.title)
