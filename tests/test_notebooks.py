"""What estimators and reports are in a notebook."""

import html
import re
from importlib import import_module
from pathlib import Path

import pytest
from sklearn.datasets import load_iris

import attar
from attar.errors import FileError

X = load_iris().data
ESTIMATORS = (
    attar.Autoencoder(code_size=2, epochs=1, random_state=0),
    attar.AnomalyDetector(0.1, random_state=0),
    attar.Imputer(None, random_state=0),
    attar.Clusterer(random_state=0),
    attar.Forecaster(horizon=2),
)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: type(one).__name__)
def test_an_estimator_is_a_diagram_before_and_after_its_fit(estimator):
    name = type(estimator).__name__
    for _ in range(2):
        shown = estimator._repr_html_()
        assert name in shown
        assert "sk-estimator" in shown
        estimator.fit(X.T[:2] if name == "Forecaster" else X[:, :2])


def test_a_report_is_a_frame_with_the_page(tmp_path):
    page = attar.Autoencoder(code_size=2, epochs=1, random_state=0).fit(X).report(X)
    (inside,) = re.findall('<iframe srcdoc="([^"]*)"', page._repr_html_())
    assert html.unescape(inside) == page.html
    page.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8") == page.html
    with pytest.raises(FileError):
        page.save(tmp_path / "none" / "page.html")


def test_tasks_report_what_attar_report_does(tmp_path):
    detector = attar.AnomalyDetector(random_state=0).fit(X)
    path = tmp_path / "page.html"
    assert detector.report(X) == attar.report(detector, X, path)
    assert path.read_text("utf-8") == detector.report(X).html


NOTEBOOK = Path(__file__).parents[1] / "examples" / "notebooks" / "start.ipynb"


def outputs_of(cell):
    """Return the outputs of a cell, by the types of their data."""
    return [set(output.get("data", {"stream": ""})) for output in cell.outputs]


# Of a loop that is not closed, which is not a fault of the notebook.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_the_notebook_goes_from_a_file_to_a_report(tmp_path):
    nbformat = import_module("nbformat")
    nbclient = import_module("nbclient")
    notebook = nbformat.read(NOTEBOOK, 4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=120, resources=resources).execute()
    cells = {cell.source: cell for cell in notebook.cells if cell.cell_type == "code"}
    bar, diagram = cells['ae.fit("tumours.csv")'].outputs
    assert re.match(r"epoch 20/20 ━{32}  loss .* rows/s", bar["data"]["text/plain"])
    assert "sk-estimator" in diagram["data"]["text/html"]
    plots = [cell for source, cell in cells.items() if source.startswith("attar.plotting.")]
    assert [outputs_of(cell) for cell in plots] == [[{"text/plain", "image/png"}]] * 2
    (page,) = next(cell for source, cell in cells.items() if "report" in source).outputs
    assert page["data"]["text/html"].startswith("<iframe srcdoc=")
    equal = [cell.outputs[-1] for cell in notebook.cells[-3::2]]
    assert [output["data"]["text/plain"] for output in equal] == ["True", "True"]
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"tumours.csv", "report.html", "tumours.attar", "tumours.onnx"}
