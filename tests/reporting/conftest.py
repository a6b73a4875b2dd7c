"""Small fitted models, and pages read back as trees."""

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder

import numpy as np
import pandas as pd
import pytest

from attar import Autoencoder
from attar.reporting import report

VOID = ("meta", "img")


class Reader(HTMLParser):
    """Reads HTML into a tree; every element must be closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tree = TreeBuilder()
        self.handle_data = self.tree.data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tree.start(tag, {name: value or "" for name, value in attrs})
        self.open.append(tag)
        if tag in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.tree.end(tag)


def parsed(text: str) -> Element:
    reader = Reader()
    reader.feed(text.removeprefix("<!doctype html>\n").rstrip())
    assert not reader.open
    return reader.tree.close()


@pytest.fixture(scope="session")
def fitted() -> Callable[..., Autoencoder]:
    def fit(X: Any, **settings: Any) -> Autoencoder:
        settings = {"epochs": 3, "random_state": 0, "verbose": False} | settings
        # In another order than that of the page, which is then of all rows, not of those held out.
        ordered = X[::-1] if isinstance(X, np.ndarray | pd.DataFrame) else X
        return Autoencoder(**settings).fit(ordered)

    return fit


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(60, 4)) @ generator.normal(size=(4, 4))
    return pd.DataFrame(values, columns=["a", "b & c", "<script>alert(1)</script>", '"d"'])


@pytest.fixture(scope="session")
def table_model(fitted: Callable[..., Autoencoder], table: pd.DataFrame) -> Autoencoder:
    return fitted(table, code_size=2)


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 6, 5), dtype=np.uint8)


@pytest.fixture(scope="session")
def image_model(fitted: Callable[..., Autoencoder], images: np.ndarray) -> Autoencoder:
    return fitted(images, code_size=3)


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Element]:
    path = tmp_path_factory.mktemp("report") / "page.html"

    def write(model: Autoencoder, data: Any, labels: Any = None) -> Element:
        report(model, data, path, labels)
        return parsed(path.read_text("utf-8"))

    return write


@pytest.fixture(scope="session")
def table_page(
    page: Callable[..., Element], table_model: Autoencoder, table: pd.DataFrame
) -> Element:
    return page(table_model, table)


@pytest.fixture(scope="session")
def image_page(
    page: Callable[..., Element], image_model: Autoencoder, images: np.ndarray
) -> Element:
    return page(image_model, images)
