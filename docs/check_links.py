"""Check the links within built pages: ``python docs/check_links.py docs/_build/html``."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The places of a page, and what it refers to.

    Attributes
    ----------
    places : set of str
        The identifiers of its elements.
    links : list of str
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the identifier of an element, and its link."""
        for name, value in attrs:
            if name == "id" and value:
                self.places.add(value)
            if name in ("href", "src") and value:
                self.links.append(value)


def broken(folder: Path) -> list[str]:
    """Return the links of all pages in a folder that lead nowhere within it.

    Raises
    ------
    FileNotFoundError
        If there are no pages.
    """
    folder = folder.resolve()
    files = (path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts)
    pages = {path: Page(path) for path in files}
    if not pages:
        raise FileNotFoundError(f"There are no pages in {folder}: build them first.")
    found = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            place = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[place].places if place in pages else {""}
            if not place.exists() or (parts.fragment and unquote(parts.fragment) not in known):
                found.append(f"{path.relative_to(folder)}: {link}")
    return found


if __name__ == "__main__":
    lost = broken(Path(sys.argv[1]))
    print("\n".join(lost) or "All links within the pages lead somewhere.")
    sys.exit(bool(lost))
