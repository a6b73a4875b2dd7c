"""A page of figures as HTML: shown in a notebook, or written to a file."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from importlib import import_module
from pathlib import Path

from attar.remote import file_at
from attar.storage import written_whole

# The height of a page in a notebook, in pixels; it scrolls within.
HEIGHT = 640


@dataclass(frozen=True, repr=False)
class Report:
    """A self-contained page on a fitted estimator, which a notebook shows.

    Attributes
    ----------
    title : str
    html : str
        The page: it loads nothing and runs nothing.

    Examples
    --------
    >>> import attar
    >>> ae = attar.Autoencoder(code_size=4, epochs=1).fit("digits")
    >>> ae.report("digits")
    Report('attar: images of 8 × 8 pixels in 4 latent dimensions')
    """

    title: str
    html: str

    def save(self, path: str | Path) -> None:
        """Write the page to a file, whole or not at all.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        with written_whole(file_at(path)) as beside:
            beside.write_text(self.html, "utf-8", errors="xmlcharrefreplace")

    def __repr__(self) -> str:
        return f"Report({self.title!r})"

    def _repr_html_(self) -> str:
        """Return the page in a frame, so that its style and that of a notebook do not mix."""
        return (
            f'<iframe srcdoc="{escape(self.html)}" title="{escape(self.title)}" sandbox '
            f'style="width: 100%; height: {HEIGHT}px; border: 1px solid #8884"></iframe>'
        )


def report_on(estimator: object, data: object, **settings: object) -> Report:
    """Return the report of ``attar.report``, which is made above all estimators."""
    found: Report = import_module("attar.reporting").report(estimator, data, **settings)
    return found
