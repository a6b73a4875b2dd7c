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
    attar.Classifier(code_size=1, epochs=1, random_state=0),
    attar.Regressor(code_size=1, epochs=1, random_state=0),
)
LABELS = {"Classifier": (load_iris().target,), "Regressor": (X[:, 2],)}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: type(one).__name__)
def test_an_estimator_is_a_diagram_before_and_after_its_fit(estimator):
    name = type(estimator).__name__
    for _ in range(2):
        shown = estimator._repr_html_()
        assert name in shown
        assert "sk-estimator" in shown
        rows = X.T[:2] if name == "Forecaster" else X[:, :2]
        estimator.fit(rows, *LABELS.get(name, ()))


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


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """The notebook, executed in a kernel that goes on."""
    nbformat, nbclient = import_module("nbformat"), import_module("nbclient")
    resources = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
    notebook = nbformat.read(NOTEBOOK, 4)
    client = nbclient.NotebookClient(notebook, timeout=120, resources=resources)
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        yield client


# Of a loop that is not closed, which is not a fault of the notebook.
UNCLOSED = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@UNCLOSED
def test_the_notebook_goes_from_a_file_to_a_report(client):
    notebook, folder = client.nb, Path(client.resources["metadata"]["path"])
    cells = {cell.source: cell for cell in notebook.cells if cell.cell_type == "code"}
    bar, diagram = cells['ae.fit("tumours.csv")'].outputs
    assert re.match(r"epoch 10/10 ━{32}  loss .* rows/s", bar["data"]["text/plain"])
    assert "sk-estimator" in diagram["data"]["text/html"]
    plots = [cell for source, cell in cells.items() if source.startswith("attar.plotting.")]
    assert [outputs_of(cell) for cell in plots] == [[{"text/plain", "image/png"}]] * 2
    (page,) = next(cell for source, cell in cells.items() if "report" in source).outputs
    assert page["data"]["text/html"].startswith("<iframe srcdoc=")
    equal = [cell.outputs[-1] for cell in notebook.cells[-3::2]]
    assert [output["data"]["text/plain"] for output in equal] == ["True", "True"]
    written = {path.name for path in folder.iterdir()}
    assert written == {"tumours.csv", "report.html", "tumours.attar", "tumours.onnx"}


INTERRUPTED = """
import os, signal
import numpy as np
from attar.training import Callback

class Interrupt(Callback):
    def on_epoch(self, progress):
        if len(progress.history) == 3:
            os.kill(os.getpid(), signal.SIGINT)

X = np.random.default_rng(0).normal(size=(64, 4))
settings = {"code_size": 2, "epochs": 50, "verbose": False, "random_state": 0}
stopped = attar.Autoencoder(callbacks=[Interrupt()], **settings).fit(X)
stopped.history_["epoch"].tolist(), stopped.transform(X).shape
"""


@UNCLOSED
def test_an_interrupted_cell_ends_with_the_best_model_so_far_and_a_warning(client):
    cell = import_module("nbformat").v4.new_code_cell(INTERRUPTED)
    client.nb.cells.append(cell)
    client.execute_cell(cell, len(client.nb.cells) - 1)
    warned, result = client.nb.cells.pop().outputs
    said = r"AttarWarning: Training was stopped after 3 epochs: the model is that of epoch [1-3]\."
    assert re.search(said, warned["text"])
    assert result["data"]["text/plain"] == "([1, 2, 3], (64, 2))"
