"""Files at URLs and in pipes: read like files, written whole, and no secret is shown."""

import functools
import gzip
import http.server
import importlib
import io
import os
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attar
from attar.data.source import read
from attar.remote import Url, file_at, without_secrets
from attar.storage import written_whole

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")

SECRET = "wJalrXUtnFEMI"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; denies what is named so, and breaks off in the middle of other files."""

    def do_GET(self):
        name = Path(self.path.partition("?")[0]).name
        if name == "denied.csv":
            self.send_error(403)
        elif name == "short.csv":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"a,b\n1,2\n")
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path):
    """The URL of a web server that has the files of the current folder."""
    handler = functools.partial(Handler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def s3_server():
    moto = import_module("moto.server")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server, monkeypatch):
    """The file system of an S3 server with an empty bucket of the test's own."""
    s3fs = import_module("s3fs")
    variables = {"ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": SECRET, "DEFAULT_REGION": "us-east-1"}
    for name, value in {**variables, "ENDPOINT_URL": s3_server}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    if not system.exists("bucket"):
        system.mkdir("bucket")
    yield system
    system.rm("bucket", recursive=True)


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    return pd.DataFrame({"x": x, "y": 2 * x + 0.1 * rng.normal(size=300), "n": rng.poisson(3, 300)})


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.jsonl", "a.xlsx"])
def test_a_file_at_a_url_is_the_file(name, frame, web, tmp_path):
    write = {".csv": "to_csv", ".gz": "to_csv", ".parquet": "to_parquet", ".xlsx": "to_excel"}
    path = tmp_path / name
    if name == "a.jsonl":
        frame.to_json(path, orient="records", lines=True, double_precision=15)
    else:
        getattr(frame, write[path.suffix])(path, index=False)
    found = read(f"{web}/{name}?signature={SECRET}").data
    pd.testing.assert_frame_equal(found, read(path).data)


def test_arrays_and_texts_at_urls(web, tmp_path):
    np.save(tmp_path / "a.npy", np.eye(5))
    np.savez(tmp_path / "a.npz", X=np.eye(3), y=np.arange(3))
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    assert (read(f"{web}/a.npy").data == np.eye(5)).all()
    source = read(f"{web}/a.npz")
    assert (source.data == np.eye(3)).all()
    assert source.labels.tolist() == [0, 1, 2]
    assert read(f"{web}/a.txt").data == ["one", "two"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.csv", "There is no file {url}."),
        ("denied.csv", "{url} denies access: check credentials and rights."),
        ("short.csv", "{url} cannot be read: "),
        ("ragged.csv", "{url} cannot be read: about line 3 the number of fields is 1, not 2."),
        ("a.doc", "{url} has a suffix that attar does not read: "),
    ],
)
def test_a_url_is_refused_in_one_sentence_without_secrets(path, message, run, web, tmp_path):
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3\n")
    (tmp_path / "a.doc").write_text("")
    url = f"{web.replace('//', f'//me:{SECRET}@')}/{path}?signature={SECRET}"
    status, out, err = run("fit", url, "-o", "m.attar")
    assert status == 2
    assert out == ""
    assert err.startswith(f"attar: {message.format(url=f'{web}/{path}')}")
    assert err.count("\n") == 1
    assert SECRET not in err
    assert not (tmp_path / "m.attar").exists()


def test_a_host_that_does_not_answer_is_said(run):
    status, _, err = run("inspect", f"http://127.0.0.1:9/a.csv?signature={SECRET}")
    assert status == 2
    assert err.startswith("attar: http://127.0.0.1:9/a.csv cannot be read: ")
    assert SECRET not in err


@pytest.mark.parametrize(
    ("url", "module", "package"),
    [
        ("https://example.org/a.csv", "aiohttp", "'attar[remote]'"),
        ("s3://bucket/a.csv", "s3fs", "'attar[remote]'"),
        ("gs://bucket/a.csv", "gcsfs", "gcsfs"),
    ],
)
def test_a_missing_package_is_named_with_its_command(url, module, package, run, monkeypatch):
    importlib.import_module("fsspec.registry")

    monkeypatch.setitem(sys.modules, module, None)
    for name in [name for name in sys.modules if name.startswith("fsspec.implementations.http")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys.modules["fsspec.registry"], "_registry", {})
    status, _, err = run("inspect", url)
    assert (status, err) == (
        2,
        f"attar: {url} needs {module}: install it with pip install {package}.\n",
    )


def test_fit_and_encode_from_a_bucket_to_a_bucket(run, s3, frame, tmp_path):
    s3.pipe("bucket/data/table.csv", frame.to_csv(index=False).encode())
    frame.to_csv(tmp_path / "table.csv", index=False)
    words = ("--epochs", 1, "--set", "device=cpu")
    status, out, err = run("fit", "s3://bucket/data/table.csv", "-o", "s3://bucket/a.attar", *words)
    assert (status, err) == (0, "")
    assert out.endswith(": s3://bucket/a.attar.\n")
    assert run("fit", "table.csv", "-o", "a.attar", *words)[0] == 0
    near, far = (attar.load(path).transform(frame) for path in ("a.attar", "s3://bucket/a.attar"))
    assert (near == far).all()
    model, table = "s3://bucket/a.attar", "s3://bucket/data/*.csv"
    for suffix in (".parquet", ".npz"):
        assert run("encode", model, table, "-o", f"s3://bucket/codes{suffix}")[0] == 0
    assert (read("s3://bucket/codes.npz").data == near).all()
    assert (read("s3://bucket/codes.parquet").data.to_numpy() == near).all()
    assert run("report", model, table, "-o", "s3://bucket/page.html")[0] == 0
    assert s3.cat("bucket/page.html").startswith(b"<!doctype html>")
    assert run("info", model)[0] == 0
    assert sorted(os.listdir(tmp_path)) == ["a.attar", "table.csv"]
    assert sorted(s3.ls("bucket")) == [
        *("bucket/a.attar", "bucket/codes.npz", "bucket/codes.parquet"),
        *("bucket/data", "bucket/page.html"),
    ]


def test_pictures_in_a_bucket_are_a_folder(s3):
    from PIL import Image

    for i in range(3):
        file = io.BytesIO()
        Image.fromarray(np.full((4, 5), 80 * i, np.uint8)).save(file, "PNG")
        s3.pipe(f"bucket/photos/{i}.png", file.getvalue())
    found = read("s3://bucket/photos/").data
    assert found.names == ["0.png", "1.png", "2.png"]
    assert found.read()[:, 0, 0].tolist() == [0, 80, 160]


def test_an_output_at_a_url_appears_whole_or_not_at_all(s3):
    s3.pipe("bucket/a.bin", b"before")
    for size in (10, 6 << 20):  # in one part, and in several
        with suppress(KeyError), written_whole(file_at("s3://bucket/a.bin")) as beside:
            beside.write_bytes(bytes(size))
            raise KeyError
        assert s3.cat("bucket/a.bin") == b"before"
        with written_whole(file_at("s3://bucket/a.bin")) as beside:
            beside.write_bytes(bytes(size))
        s3.invalidate_cache()
        assert s3.cat("bucket/a.bin") == bytes(size)
        s3.pipe("bucket/a.bin", b"before")


def test_what_breaks_while_it_is_put_there_leaves_what_was(s3, monkeypatch):
    import shutil

    def broken(source, target, length):
        target.write(source.read(6 << 20))
        raise OSError("connection reset")

    s3.pipe("bucket/a.bin", b"before")
    monkeypatch.setattr(shutil, "copyfileobj", broken)
    message = r"^s3://bucket/a.bin cannot be written to: connection reset\.$"
    with (
        pytest.raises(attar.FileError, match=message),
        written_whole(file_at("s3://bucket/a.bin")) as beside,
    ):
        beside.write_bytes(bytes(7 << 20))
    assert s3.cat("bucket/a.bin") == b"before"
    assert s3.ls("bucket") == ["bucket/a.bin"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("s3://none/a.attar", "s3://none/a.attar cannot be written to: there is no none"),
        ("https://example.org/a.attar", "https://example.org/a.attar cannot be written to: give"),
    ],
)
def test_an_output_is_refused_before_training(output, message, run, s3, monkeypatch):
    monkeypatch.setattr(attar.Autoencoder, "fit", None)
    status, out, err = run("fit", "digits", "-o", output)
    assert (status, out) == (2, "")
    assert err.startswith(f"attar: {message}")


def test_a_folder_at_a_url_is_refused(run, s3):
    assert run("fit", "digits", "-o", "m.attar", "--epochs", 1)[0] == 0
    status, _, err = run("sample", "m.attar", "-o", "s3://bucket/new")
    assert status == 2
    assert "would be a folder" in err
    assert s3.ls("bucket") == []


def test_a_pipe_is_recognized_by_its_first_bytes(frame, monkeypatch, tmp_path):
    parquet, array = io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet)
    np.save(array, frame.to_numpy())
    text = frame.to_csv(index=False, sep=";").encode()
    piped = {
        "csv": text,
        "gz": gzip.compress(text),
        "parquet": parquet.getvalue(),
        "jsonl": frame.to_json(orient="records", lines=True, double_precision=15).encode(),
    }
    for name, content in piped.items():
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        pd.testing.assert_frame_equal(read("-").data, frame, check_exact=name != "jsonl")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(array.getvalue())))
    assert (read("-").data == frame.to_numpy()).all()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(attar.DataError, match=r"^standard input is empty"):
        read("-")


def test_a_copy_is_deleted_with_what_was_read(web, frame, tmp_path):
    frame.to_csv(tmp_path / "a.csv", index=False)
    url = file_at(f"{web}/a.csv")
    folder = Path(os.fspath(url)).parent
    assert folder.is_dir()
    del url
    assert not folder.exists()


def test_the_same_content_at_a_url_is_the_same_data(web, frame, tmp_path):
    frame.to_csv(tmp_path / "a.csv", index=False)
    first, again = (attar.Csv(f"{web}/a.csv?signature={i}").fingerprint for i in range(2))
    assert first == again
    frame[:9].to_csv(tmp_path / "a.csv", index=False)
    assert attar.Csv(f"{web}/a.csv").fingerprint != first


def test_a_path_that_lost_a_slash_is_the_url():
    assert str(file_at(Path("s3://bucket/a.csv"))) == "s3://bucket/a.csv"
    assert not isinstance(file_at("C:/a.csv"), Url)
    assert SECRET not in repr(Url(f"https://me:{SECRET}@host/a?{SECRET}"))
    assert without_secrets(f"GET https://{SECRET}@h/a?k={SECRET} (403)") == "GET https://h/a (403)"
