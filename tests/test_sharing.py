"""Model cards, and models on the hub: a local fake takes what is pushed, and serves it."""

import http.server
import json
import re
import shutil
import sys
import threading
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import attar
from attar import storage
from attar.sharing import ModelCard

SECRET = "hf_SuperSecret"


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    columns = {f"x{i}": x * i + rng.normal(size=200) for i in range(4)}
    return pd.DataFrame({**columns, "town": rng.choice(["Ulm", "Bonn | am Rhein"], 200)})


@pytest.fixture(scope="module")
def fitted(frame):
    return attar.Autoencoder(epochs=2, code_size=2, random_state=0).fit(frame)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """What is pushed is kept in a folder."""
    huggingface_hub = import_module("huggingface_hub")
    folder = tmp_path / "hub"

    class Fake:
        def __init__(self, token=None):
            self.token = token

        def create_repo(self, repository, *, private, exist_ok):
            if repository.startswith("other/"):
                response = SimpleNamespace(status_code=403, headers={}, request=None)
                error = huggingface_hub.errors.HfHubHTTPError.__new__(
                    huggingface_hub.errors.HfHubHTTPError
                )
                error.response = response
                raise error
            (folder / repository).mkdir(parents=True, exist_ok=exist_ok)
            return f"https://huggingface.co/{repository}"

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            shutil.copytree(folder_path, folder / repo_id, dirs_exist_ok=True)

    monkeypatch.setattr(huggingface_hub, "HfApi", Fake)
    return folder


def metadata(text):
    """The metadata of a card, read as YAML."""
    yaml = import_module("yaml")
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.S)[1])


def test_a_push_is_the_model_file_its_card_and_the_picture(hub, fitted, frame):
    assert fitted.push_to_hub("me/rows") == "https://huggingface.co/me/rows"
    folder = hub / "me" / "rows"
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "model.attar", "training.png"]
    again = attar.load(folder / "model.attar")
    assert (again.transform(frame) == fitted.transform(frame)).all()
    text = (folder / "README.md").read_text()
    assert text.count("![") == 1
    assert "(training.png)" in text
    with Image.open(folder / "training.png") as picture:
        assert picture.size[0] > 500
    found = metadata(text)
    assert found["library_name"] == "attar"
    assert found["pipeline_tag"] == "feature-extraction"
    assert found["tags"] == ["attar", "autoencoder", "table", "ae"]


def test_a_card_says_what_the_model_knows(fitted, tmp_path):
    fitted.save(tmp_path / "a.attar")
    text = ModelCard.of(tmp_path / "a.attar", "me/rows").text
    evaluation = fitted.fitted_.training_summary.diagnostics
    assert f"| validation MSE | {evaluation.error:.4g} |" in text
    pca = evaluation.pca_errors[2]
    assert f"| validation MSE of PCA with as many numbers | {pca:.4g} |" in text
    assert "fitted to 200 rows, with 2 latent dimensions" in text
    assert "| x3 | number |  |" in text
    assert r"| town | categorical | Bonn \| am Rhein, Ulm |" in text
    for finding in fitted.diagnose():
        assert f"- {finding}" in text
    for choice in fitted.choices_:
        assert f"| {choice.setting} | {choice.value} | {choice.reason} |" in text
    assert "Hinton and Salakhutdinov" in text
    assert not re.search(r"TODO|More Information Needed|None|nan|\[\]|\{", text)


def test_the_program_of_a_card_runs(fitted, frame, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fitted.save("rows.attar")
    program = re.search(r"```python\n(.*?)```", ModelCard.of("rows.attar").text, re.S)[1]
    space = {"X": frame}
    exec(program, space)
    assert (space["codes"] == fitted.transform(frame)).all()
    assert list(space["back"].columns) == list(frame.columns)


def test_cards_of_models_for_tasks(frame, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X = frame.drop(columns="town")
    estimators = {
        "odd": attar.AnomalyDetector(random_state=0).fit(X),
        "label": attar.Classifier(epochs=1, random_state=0).fit(X, frame["town"]),
        "cluster": attar.Clusterer(2, epochs=1, random_state=0).fit(X),
    }
    for name, estimator in estimators.items():
        estimator.save(f"{name}.attar")
        text = ModelCard.of(f"{name}.attar").text
        assert f'attar.load("{name}.attar")' in text
        assert "| x3 | number |  |" in text
        exec(re.search(r"```python\n(.*?)```", text, re.S)[1], {"X": X})
        metadata(text)
    low, high = estimators["odd"].alarm_interval_
    figures = ModelCard.of("odd.attar").text
    assert f"| usual rows that are flagged, 95% confidence | {low:.2%} to {high:.2%} |" in figures
    accuracy = estimators["label"].held_out_["accuracy"]
    assert f"| held-out accuracy | {accuracy:.4g} |" in ModelCard.of("label.attar").text


def test_the_verb_card(run, fitted, tmp_path):
    fitted.save(tmp_path / "a.attar")
    status, out, err = run("card", "a.attar")
    assert (status, err) == (0, "")
    assert "training.png" not in out
    assert run("card", "a.attar", "-o", "README.md")[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "a.attar", "training.png"]
    Path("digits.csv").write_text("a\n1\n")
    assert run("card", "digits.csv")[:2] == (2, "")
    assert run("card", "none.attar")[2] == "attar: There is no model file none.attar.\n"


def test_a_hub_name_without_rights_is_one_sentence(hub, fitted):
    message = "^The hub denies writing to other/rows: log in with hf auth login, or give a token"
    with pytest.raises(attar.FileError, match=message) as refused:
        fitted.push_to_hub("other/rows", token=SECRET)
    assert SECRET not in str(refused.value)
    with pytest.raises(attar.SettingError, match="'a/b/c' is no name of a repository: give one"):
        fitted.push_to_hub("a/b/c")
    assert not hub.exists()


def test_without_huggingface_hub_the_command_is_named(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(attar.FileError, match=r"pip install 'attar\[hub\]'"):
        fitted.push_to_hub("me/rows")


class Handler(http.server.BaseHTTPRequestHandler):
    """The part of the hub's interface by which a file of a repository is read."""

    folder = Path()
    downloads = 0

    def do_GET(self):
        type(self).downloads += "/resolve/" in self.path
        self._answer()

    def do_HEAD(self):
        self._answer()

    def do_POST(self):
        size = int(self.headers.get("Content-Length", 0))
        asked = self.rfile.read(size).decode()
        self._answer(asked)

    def _answer(self, asked=""):
        name = self.path.partition("?")[0]
        repository = re.search(r"(me/rows)", name)
        path = self.folder / "me/rows/model.attar"
        if repository is None:
            body, status = b'{"error": "Repository not found"}', 404
        elif "/resolve/" in name:
            body, status = path.read_bytes(), 200
        elif "/paths-info/" in name or "/tree/" in name:
            size = path.stat().st_size
            entry = {"type": "file", "path": path.name, "size": size, "oid": "1" * 40}
            found = [entry] if "/tree/" in name or path.name in asked else []
            body, status = json.dumps(found).encode(), 200
        else:
            info = {"id": "me/rows", "sha": "0" * 40, "siblings": [{"rfilename": path.name}]}
            body, status = json.dumps(info).encode(), 200
        self.send_response(status)
        headers = {"Content-Length": len(body), "ETag": '"1"', "X-Repo-Commit": "0" * 40}
        headers |= {"X-Error-Code": "RepoNotFound"} if status == 404 else {}
        for header, value in headers.items():
            self.send_header(header, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint(hub, monkeypatch):
    """A web server that serves what was pushed as the hub does."""
    import huggingface_hub

    monkeypatch.setattr(Handler, "folder", hub)
    monkeypatch.setattr(Handler, "downloads", 0)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub / "cache"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_was_pushed_is_loaded_by_its_name(hub, endpoint, fitted, frame, run):
    from huggingface_hub import HfFileSystem

    fitted.push_to_hub("me/rows")
    HfFileSystem.clear_instance_cache()
    again = attar.load("hf://me/rows")
    assert (again.transform(frame) == fitted.transform(frame)).all()
    assert type(attar.load("hf://me/rows")) is attar.Autoencoder
    assert Handler.downloads == 1  # the hub's cache has it
    _, description = storage.describe_model("hf://me/rows")
    assert description["code_size"] == 2
    status, _, err = run("info", "hf://me/none")
    assert status == 2
    assert err.startswith("attar: There is no file hf://me/none/model.attar")
