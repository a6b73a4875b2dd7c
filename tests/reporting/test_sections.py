"""The page is correct, complete and safe."""

import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from attar import AttarWarning, DataError, FileError
from attar.data.stream import Stream
from attar.reporting import report, sections


def words(element):
    return "".join(element.itertext())


def test_metrics_are_those_of_evaluate(table_page, table_model, table):
    values = [float(e.get("value")) for e in table_page.iter("data")]
    metrics = table_model.evaluate(table)
    for name in ("error", "pca_error", "error_to_pca", "explained_variance", "distortion"):
        assert metrics[name] in values


def test_diagnosis_and_choices_are_the_estimators(table_page, table_model, table):
    text = words(table_page)
    for finding in table_model.diagnose(table_model.evaluate_held_out(table)):
        assert finding.problem in text
        assert finding.advice in text
    for choice in table_model.choices_:
        assert choice.reason in text


def test_the_users_texts_are_never_markup(tmp_path, table_model, table):
    labels = np.array(['<img src="x">', "</figure>"] * 30)
    path = tmp_path / "page.html"
    report(table_model, table, path, labels)
    seen = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            seen.append(tag)

    text = path.read_text("utf-8")
    Reader().feed(text)
    assert "script" not in seen
    assert "img" not in seen
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


@pytest.mark.parametrize("kind", ["table", "image"])
def test_nothing_is_fetched(request, tmp_path, kind):
    model = request.getfixturevalue(f"{kind}_model")
    data = request.getfixturevalue({"table": "table", "image": "images"}[kind])
    report(model, data, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert not re.search(r"https?:|url\(|@import|href=|<link", text)
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)', text))
    assert len(text) < 2_000_000


@pytest.mark.parametrize("kind", ["table", "image"])
def test_equal_models_give_equal_bytes(request, tmp_path, kind):
    model = request.getfixturevalue(f"{kind}_model")
    data = request.getfixturevalue({"table": "table", "image": "images"}[kind])
    for name in ("one.html", "two.html"):
        report(model, data, tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_a_path_that_cannot_be_written_leaves_no_file(tmp_path, table_model, table):
    with pytest.raises(FileError, match=r"cannot be written: .*\.$"):
        report(table_model, table, tmp_path / "absent" / "page.html")
    assert os.listdir(tmp_path) == []


def test_an_old_page_survives_bad_labels(tmp_path, table_model, table):
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(DataError, match=r"shape \(3,\), but there are 60 rows"):
        report(table_model, table, path, [1, 2, 3])
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["page.html"]


def test_headings_are_those_of_the_field(table_page):
    assert [words(heading) for heading in table_page.iter("h2")] == [
        "Diagnostics",
        "Reconstructions",
        "Explained variance of each column",
        "Oddest rows",
        "Latent space",
        "Importance of each latent dimension",
        "Comparison with PCA",
        "Loss curves",
        "Latent interpolation",
        "Generated samples",
        "Settings chosen from the data",
    ]


@pytest.mark.parametrize(
    ("scaling", "label"),
    [
        ("auto", "MSE on standardized values"),
        ("standard", "MSE on standardized values"),
        ("min-max", "MSE on prepared values"),
    ],
)
def test_the_mse_is_labelled_by_the_scaling(page, fitted, table, scaling, label):
    model = fitted(table, code_size=2, epochs=1, scaling=scaling)
    labels = [words(dt) for dt in page(model, table).iter("dt")]
    assert labels[0] == label
    assert labels[-1] == "reconstruction NLL, nats per row"


def test_data_of_another_form_is_refused(tmp_path, table_model, images):
    with pytest.raises(DataError, match="fitted on table"):
        report(table_model, images, tmp_path / "page.html")


def test_every_picture_and_figure_has_a_description(image_page):
    assert all(image.get("alt") for image in image_page.iter("img"))
    drawn = [svg for svg in image_page.iter("svg") if svg.get("role") == "img"]
    assert len(drawn) == 4
    assert all(svg.get("aria-label") for svg in drawn)
    assert image_page.get("lang") == "en"


def test_labels_of_a_data_set_by_name_are_used(page, fitted):
    model = fitted("digits", code_size=2, epochs=1)
    tree = page(model, "digits")
    legends = [
        [words(item) for item in ul] for ul in tree.iter("ul") if ul.get("class") == "legend"
    ]
    assert [str(i) for i in range(10)] in legends


def test_an_ordered_code_is_plotted_at_every_size(page, fitted, table):
    model = fitted(table, recipe="ordered", code_size=3)
    tree = page(model, table)
    assert "MSE with its first k dimensions" in words(tree)
    (figure,) = [e for e in tree.iter("svg") if "PCA's falls" in (e.get("aria-label") or "")]
    (line,) = [e for e in figure.iter("path") if e.get("class") == "line first"]
    assert line.get("d").count("L") == 3


def test_a_stream_has_the_page_of_its_rows(page, fitted, table):
    class Pieces(Stream):
        fingerprint = "pieces"

        def __iter__(self):
            return iter([table[:25], table[25:]])

    model = fitted(table, code_size=2)
    one, two = page(model, table), page(model, Pieces())
    metrics = [[float(e.get("value")) for e in tree.iter("data")] for tree in (one, two)]
    assert metrics[1] == pytest.approx(metrics[0], rel=1e-5)
    cells = [[words(td) for td in tree.iter("td")] for tree in (one, two)]
    assert cells[0] == cells[1]


def test_of_many_rows_a_sample_is_plotted_and_all_are_evaluated(
    monkeypatch, page, table_model, table
):
    monkeypatch.setattr(sections, "MOST_POINTS", 20)
    monkeypatch.setattr(sections, "monitored_rows", lambda cells: 4)
    tree = page(table_model, table, [f"label {i}" for i in range(60)])
    assert "report on 60 rows" in words(tree)
    assert "The codes of 20 rows" in words(tree)
    assert "The validation loss of 4 rows is lowest" in words(tree)
    metrics = table_model.evaluate(table)
    assert metrics["error"] in [float(e.get("value")) for e in tree.iter("data")]


def test_infinities_may_be_missing_in_the_page_too(page, fitted, table):
    broken = table.copy()
    broken.iloc[3, 1] = np.inf
    model = fitted(table, code_size=2, infinite_as_missing=True)
    gaps = pytest.warns(AttarWarning, match="fitted on complete rows")
    with gaps, pytest.warns(AttarWarning, match="1 infinite values"):
        tree = page(model, broken)
    assert "report on 60 rows" in words(tree)


def test_coordinates_are_finite(table_page):
    for element in table_page.iter():
        assert not any(re.search(r"\b(nan|inf)\b", value) for value in element.attrib.values())


def constant_columns():
    X = np.random.default_rng(0).normal(size=(30, 3))
    X[:, 1] = 5
    return X


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (constant_columns(), {"code_size": 1}),
        (constant_columns(), {"code_size": 3, "epochs": 1, "validation_fraction": 0}),
        (constant_columns()[:, :1], {"code_size": 1}),
        (constant_columns(), {"recipe": "vae", "code_size": 2}),
        (constant_columns(), {"recipe": "sparse-topk", "code_size": 20}),
        (np.random.default_rng(0).normal(size=(40, 200)), {"code_size": 100}),
        (np.random.default_rng(0).random((30, 4, 6, 3)), {"code_size": 1}),
        (np.random.default_rng(0).random((30, 4, 6, 4)), {"code_size": 2, "network": "linear"}),
        (np.random.default_rng(0).integers(0, 2, (30, 5)).astype(bool), {"code_size": 2}),
    ],
)
@pytest.mark.parametrize("rows", [1, None])
def test_unusual_data_has_a_page_too(page, fitted, data, settings, rows):
    model = fitted(data, **settings)
    tree = page(model, data[:rows])
    headings = [words(h) for h in tree.iter("h2")]
    assert ("Latent interpolation" in headings) == (rows != 1)
    for element in tree.iter():
        assert not any(
            re.search(r"\b(nan|inf)\b", v) for k, v in element.attrib.items() if k != "value"
        )
