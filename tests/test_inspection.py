"""What a notebook shows of an inspection and of an estimator."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import attar
from attar.networks import Mlp


class Cells(HTMLParser):
    """The rows of the tables of a page, as text, and its tags."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.rows, self.tags, self.inside = [], set(), False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.inside = tag in ("td", "th")
        if tag == "tr":
            self.rows.append([])
        elif self.inside:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def frame():
    numbers = pd.array([1.5, 2.0, None] * 40, "Float64")
    return pd.DataFrame(
        {"a<b>&": numbers, "town": ["<script>", "x"] * 60, "same, " * 20 + "same": 1}
    )


def test_a_notebook_shows_columns_and_choices_as_tables_of_text(frame):
    inspection = attar.Autoencoder().inspect(frame)
    shown = Cells(inspection._repr_html_())
    assert shown.tags == {"p", "table", "thead", "tbody", "tr", "th", "td"}
    columns, choices = inspection.columns, inspection.choices
    header, *rows = shown.rows
    assert header == ["name", "type", "missing", "scaling", "likelihood", "remark"]
    assert [row[0] for row in rows[:3]] == list(frame.columns)
    assert [row[2] for row in rows[:3]] == ["33.3%", "0.0%", ""]
    assert [row[3:] for row in rows[:3]] == [[c.scaling, c.likelihood, c.remark] for c in columns]
    assert rows[3] == ["setting", "value", "reason"]
    assert rows[4:] == [[c.setting, c.value, c.reason] for c in choices]


def test_of_many_columns_the_first_and_the_last_are_shown():
    shown = Cells(
        attar.Autoencoder().inspect(np.random.default_rng(0).random((50, 200)))._repr_html_()
    )
    names = [row[0] for row in shown.rows]
    assert {"x0", "x199"} <= set(names)
    assert len(names) < 100


def test_no_colour_is_given_which_a_dark_notebook_could_not_show(frame):
    assert "color" not in attar.Autoencoder().inspect(frame)._repr_html_()


def test_a_notebook_shows_an_estimator_before_and_after_its_fit(frame):
    ae = attar.Autoencoder(network=Mlp(), columns={"town": "categorical"}, epochs=1, code_size=1)
    for estimator in (ae, ae.fit(frame[["a<b>&", "town"]])):
        assert "warm_start" in estimator._repr_html_()
        assert repr(estimator).startswith("Autoencoder(code_size=1,")
