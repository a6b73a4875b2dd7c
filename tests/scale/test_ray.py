"""Verbs and fits by workers of Ray: as by one process, also where a worker is killed."""

import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import attar
from attar import storage, workers
from attar.errors import ClusterError, DataError, FileError, SettingError
from attar.scale import cluster, fits, ray
from attar.scale.parts import Done, Worker, apply, parts_of, table_of
from attar.scale.verbs import Encode
from attar.training import Callback
from attar.tuning.study import Tuner


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Parts, one of them empty, of a table of numbers, categories, integers and row numbers."""
    folder = tmp_path_factory.mktemp("table") / "parts"
    folder.mkdir()
    random = np.random.default_rng(0)
    x = random.normal(size=600)
    table = pd.DataFrame(
        {
            "row": np.arange(600),
            "x": x,
            "y": 2 * x + 0.1 * random.normal(size=600),
            "colour": random.choice(["red", "green", "blue"], 600),
            "count": pd.array(random.integers(0, 9, 600), "Int64"),
        }
    )
    table.loc[400, "count"] = pd.NA  # in one part, and the dtype is that of all
    table.loc[::7, "y"] = np.nan
    table[:150].to_parquet(folder / "a.parquet", row_group_size=50)
    table[150:300].to_parquet(folder / "b.parquet")
    table[300:300].to_parquet(folder / "c.parquet")
    table[300:].to_csv(folder / "d.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    columns = {"row": "id"}
    ae = attar.Autoencoder("vae", 2, epochs=2, columns=columns, random_state=0, verbose=False)
    return ae.fit(folder)


@pytest.fixture(scope="module")
def started():
    """A Ray that a user's program has started."""
    engine = cluster.ray_module()
    with pytest.MonkeyPatch.context() as patch, cluster._quiet():
        patch.setenv("RAY_worker_niceness", "0")
        engine.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield engine
    with cluster._quiet():
        engine.shutdown()


@dataclass(frozen=True)
class Killed(Encode):
    """Codes by workers, of which the first is killed within a part."""

    marker: Path

    def write(self, part, path, on_rows):
        def deadly(rows):
            on_rows(rows)
            if not self.marker.exists():
                self.marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)

        return super().write(part, path, deadly)


def read(folder):
    return attar.Files([f"{folder}/*.parquet"]).read()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_codes_are_those_of_one_process_also_if_a_worker_is_killed(
    model, folder, tmp_path, monkeypatch, capfd
):
    engine = cluster.ray_module()
    engine.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setenv("RAY_worker_niceness", "0")
    verb = Killed(model, tmp_path / "marker")
    assert apply(verb, folder, tmp_path / "codes", workers=1) == 600
    assert not engine.is_initialized()
    said, error = capfd.readouterr()
    assert (said, re.sub(r"attar: \d of 3 parts, \d+ rows\n", "", error)) == ("", "")
    assert verb.marker.exists()
    assert names(tmp_path / "codes") == [f"part-0000{i}.parquet" for i in (0, 1, 2)]
    expected = model.encode(folder).reset_index()
    pd.testing.assert_frame_equal(read(tmp_path / "codes"), expected, rtol=1e-6)


class Slow(Callback):
    """Takes a moment for each epoch."""

    def on_epoch(self, progress):
        time.sleep(0.4)


def kill_one_worker(checkpoint, killed):
    """Kill a process of the fit with SIGKILL once the checkpoint has an epoch."""
    while not checkpoint.exists() or not storage.read(checkpoint)[1]["progress"]["history"]:
        time.sleep(0.1)
    for process in Path("/proc").glob("[0-9]*"):
        title = (process / "cmdline").read_bytes() if process.exists() else b""
        if b"RayTrainWorker" in title:
            killed.append(int(process.name))
    os.kill(killed[-1], signal.SIGKILL)


SETTINGS = {"recipe": "vae", "code_size": 2, "epochs": 10, "random_state": 0, "verbose": False}


@pytest.fixture(scope="module")
def uninterrupted(folder, tmp_path_factory):
    """The model of two processes that are forked from this one."""
    place = tmp_path_factory.mktemp("two")

    def fit(rank):
        store = f"file://{place}/store"
        torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
        with workers.joined():
            ae = attar.Autoencoder(**SETTINGS, columns={"row": "id"}).fit(folder)
        if rank == 0:
            ae.save(place / "m.attar")

    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=fit, args=(rank,)) for rank in (0, 1)]
    with warnings.catch_warnings(action="ignore"):
        for process in processes:
            process.start()
    for process in processes:
        process.join()
    return attar.load(place / "m.attar")


def test_a_fit_whose_worker_is_killed_is_that_of_two_processes(
    uninterrupted, started, folder, tmp_path
):
    checkpoint, killed = tmp_path / "checkpoint", []
    killer = threading.Thread(target=kill_one_worker, args=(checkpoint, killed))
    killer.start()
    ae = attar.Autoencoder(**SETTINGS, columns={"row": "id"}, callbacks=[Slow()])
    with pytest.warns(attar.AttarWarning, match="A worker was lost: .* the last checkpoint"):
        ray.fit(ae, folder, checkpoint=checkpoint, workers=2)
    killer.join()
    assert len(killed) == 2
    weights, expected = ae.model_.state_dict(), uninterrupted.model_.state_dict()
    assert all(weights[name].equal(expected[name]) for name in expected)
    assert ae.history_.loss.tolist() == uninterrupted.history_.loss.tolist()


def test_a_data_set_of_ray_is_written_to_files(started, folder, tmp_path):
    table = pd.concat(pd.read_parquet(folder / f"{name}.parquet") for name in "ab")
    with cluster.reached("ray"):
        written = fits._written(started.data.from_pandas(table), tmp_path / "rows")
    found = read(written)
    pd.testing.assert_frame_equal(found, table, check_dtype=False)
    assert fits._written(folder, tmp_path) is folder


def test_trials_side_by_side_have_the_losses_of_one_process(started, folder, monkeypatch, tmp_path):
    columns = {"row": "id"}
    ae = attar.Autoencoder(code_size=2, epochs=2, columns=columns, random_state=0, verbose=False)
    monkeypatch.chdir(folder.parent)
    search, study = {"learning_rate": [0.003, 0.01, 0.02, 1e9]}, tmp_path / "s.study"
    found = ray.tune("parts", ae, search, trials=4, workers=2, storage=study)
    tuner = Tuner(ae, folder, search, None)
    made = found.trials[found.trials.state == "complete"]
    assert len(found.trials) == 4
    assert len(made) >= 2
    for _, trial in made.iterrows():
        loss, error = tuner.fitted({"learning_rate": trial["learning_rate"]})
        assert (trial["loss"], trial["error"]) == pytest.approx((loss, error), rel=1e-6)
    assert found.settings["learning_rate"] == made.loc[made["loss"].idxmin(), "learning_rate"]
    assert len(attar.tune(folder, ae, search, trials=4, storage=study).trials) == 4


def test_a_trial_whose_worker_is_lost_has_failed(started, folder, tmp_path):
    class Deadly(Callback):
        """Kills the process of a trial."""

        def on_epoch(self, progress):
            if not (tmp_path / "killed").exists():
                (tmp_path / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)

    started.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ae = attar.Autoencoder(code_size=2, epochs=1, random_state=0, verbose=False)
    ae.set_params(callbacks=[Deadly()], columns={"row": "id"})
    found = ray.tune(folder, ae, {"learning_rate": [0.003, 0.01]}, trials=2, workers=1)
    assert found.trials.state.tolist() == ["failed", "complete"]


def test_fewer_workers_than_asked_for_are_a_warning_or_an_error(started, model, folder, tmp_path):
    words = "64 workers need as many CPUs, and Ray has 2"
    with pytest.raises(SettingError, match=words):
        ray.encode(model, folder, tmp_path / "codes", workers=64, exact=True)
    with pytest.warns(attar.AttarWarning, match=words), cluster.reached("ray", 64) as found:
        assert found == cluster.Cluster(2, gpus=False, local=False)
    assert not (tmp_path / "codes").exists()


# What follows needs no cluster.


def worker(verb, folder, out):
    return Worker(verb, parts_of(table_of(folder)), out, Path.cwd())


def done(worker, number):
    found = worker({"part": np.array([number])})["done"][0]
    return Done(**json.loads(found))


@pytest.fixture
def here(monkeypatch):
    """Two workers that work in this process, one part after the other."""

    def applied(verb, parts, out, workers):
        worker = Worker(verb, parts, out, Path.cwd())
        return [done(worker, i) for i in range(len(parts))]

    @contextmanager
    def reached(*_):
        yield cluster.Cluster(2)

    monkeypatch.setattr("attar.scale.parts._applied", applied)
    monkeypatch.setattr(cluster, "reached", reached)


def test_the_other_verbs_write_what_one_process_does(here, run, model, folder, tmp_path):
    model.save(tmp_path / "vae.attar")
    rows = pd.read_parquet(folder / "a.parquet")
    attar.Imputer(None, columns={"row": "id"}, random_state=0).fit(rows).save(
        tmp_path / "imputer.attar"
    )
    detector = attar.AnomalyDetector(columns={"row": "id"}, random_state=0).fit(rows)
    detector.save(tmp_path / "detector.attar")
    for name, *verb in (
        ("scores", "score", "vae.attar", folder),
        ("odd", "score", "detector.attar", folder),
        ("rows", "reconstruct", "vae.attar", folder),
        ("filled", "impute", "imputer.attar", folder),
    ):
        assert run(*verb, "-o", f"{name}.parquet") == (0, "", "")
        assert run(*verb, "-o", name, "--on", "ray") == (0, "", "")
        expected = attar.Files([tmp_path / f"{name}.parquet"]).read()
        pd.testing.assert_frame_equal(read(tmp_path / name), expected, rtol=1e-5)


def test_compressed_parts_are_the_files(here, run, folder, tmp_path):
    (tmp_path / "csv").mkdir()
    content = (folder / "d.csv").read_bytes()
    head, *lines = content.splitlines(keepends=True)
    (tmp_path / "csv" / "a.csv").write_bytes(head + b"".join(lines[:100]))
    (tmp_path / "csv" / "b.csv").write_bytes(head + b"".join(lines[100:]))
    settings = {"columns": {"row": "id"}, "random_state": 0, "verbose": False}
    lossless = attar.Autoencoder("lossless", epochs=1, **settings)
    lossless.fit(tmp_path / "csv" / "a.csv").save(tmp_path / "m.attar")
    status, said, _ = run("compress", "m.attar", "csv", "--on", "ray", "-o", "out")
    assert (status, said.partition(":")[0]) == (0, "300 rows")
    assert names(tmp_path / "out") == ["part-00000.atz", "part-00001.atz"]
    for part, name in (("part-00000", "a"), ("part-00001", "b")):
        assert run("decompress", "m.attar", f"out/{part}.atz", "-o", f"{name}.csv")[0] == 0
        whole = (tmp_path / "csv" / f"{name}.csv").read_bytes()
        assert (tmp_path / f"{name}.csv").read_bytes() == whole


def test_a_fit_by_command_writes_the_model_and_says_what_the_workers_did(
    here, run, folder, monkeypatch, tmp_path
):
    def made(work, found):
        (work.storage / fits.LINES).write_text("epoch 1\n")
        return work.estimator.fit(work.data, **work.settings).fitted_, ["odd", "odd"]

    monkeypatch.setattr(fits, "_made", made)
    fit = ("fit", folder, "--id", "row", "--epochs", "1", "--code-size", "2", "-q", "-o")
    assert run(*fit, "a.attar") == (0, "", "")
    assert run(*fit, "b.attar", "--on", "ray") == (0, "", "epoch 1\nattar: odd\n")
    one, other = (attar.load(tmp_path / f"{name}.attar").model_.state_dict() for name in "ab")
    assert all(one[name].equal(other[name]) for name in one)
    assert names(tmp_path) == ["a.attar", "b.attar"]


def test_an_error_of_a_fit_is_the_users(here, folder, monkeypatch):
    from ray.train import WorkerGroupError

    def failed(trainer):
        raise WorkerGroupError("failed", {1: ValueError("closed"), 0: DataError("no such column")})

    monkeypatch.setattr(fits, "_result", failed)
    with pytest.raises(DataError, match=r"^no such column$"):
        ray.fit(attar.Autoencoder(), folder)


def test_a_fit_that_loses_workers_again_and_again_is_given_up(here, folder, monkeypatch):
    from ray.train import WorkerGroupError

    tries = []

    def failed(trainer):
        tries.append(trainer)
        raise WorkerGroupError("", {0: RuntimeError("closed by peer"), 1: OSError("killed")})

    monkeypatch.setattr(fits, "_result", failed)
    with (
        pytest.warns(attar.AttarWarning, match="goes on from its start"),
        pytest.raises(
            ClusterError, match=r"Workers were lost 4 times \(killed\), .*: use fewer workers"
        ),
    ):
        ray.fit(attar.Autoencoder(), folder)
    assert len(tries) == 4


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_table_without_rows_is_refused(name, here, model, folder, tmp_path):
    empty = pd.read_parquet(folder / "c.parquet")
    empty.to_csv(tmp_path / "a.csv", index=False)
    empty.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="The table has no rows"):
        ray.encode(model, tmp_path / name, tmp_path / "codes")
    assert names(tmp_path) == ["a.csv", "a.parquet"]


@dataclass(frozen=True)
class Hungry(Encode):
    """A verb that takes more memory than there is."""

    def write(self, part, path, on_rows):
        on_rows(64)
        raise MemoryError


def test_a_worker_out_of_memory_says_where(model, folder, tmp_path):
    found = done(worker(Hungry(model), folder, tmp_path), 1)
    with pytest.raises(ClusterError, match=r"out of memory in .*b.parquet .*after row 64: use"):
        found.check()


def test_a_part_that_ends_workers_is_given_up(model, folder, tmp_path):
    (tmp_path / ".part-00001.tries").write_text("0 50\n0 50 100\n0 50")
    with pytest.raises(ClusterError, match=r"3 workers ended in .*b.parquet .*after row 50: use"):
        done(worker(Encode(model), folder, tmp_path), 1).check()


def test_storage_that_a_worker_does_not_see_is_refused(model, folder, tmp_path):
    with pytest.raises(FileError, match=f"nowhere is not there .* {socket.gethostname()}: use"):
        done(worker(Encode(model), folder, tmp_path / "nowhere"), 0).check()


def test_parts_are_files_and_row_groups_in_order(folder, monkeypatch):
    monkeypatch.setattr("attar.scale.parts.ROWS", 100)
    table = table_of(folder)
    parts = parts_of(table)
    assert [len(pd.concat(part)) for part in parts] == [100, 50, 150, 300]
    whole = pd.concat([frame for part in parts for frame in part], ignore_index=True)
    pd.testing.assert_frame_equal(whole, table.read())


@pytest.mark.parametrize(
    ("on", "words"),
    [
        ("spark", "There is no engine named 'spark': .*ray"),
        (
            "ray://localhost:1",
            "No Ray answers at localhost:1 .*: start it with ray start --head",
        ),
        ("ray://localhost:x", "No Ray answers at localhost:x"),
    ],
)
def test_a_cluster_that_is_not_there(on, words, run, folder, model, tmp_path, monkeypatch):
    engine = cluster.ray_module()  # which may be connected, by tests before
    monkeypatch.setattr(engine, "is_initialized", lambda: False)
    monkeypatch.setattr(engine, "shutdown", lambda: None)
    model.save(tmp_path / "m.attar")
    status, said, error = run("encode", "m.attar", folder, "-o", "codes", "--on", on)
    assert (status, said) == (2, "")
    assert re.search(words, error)
    assert error.count("\n") == 1
    assert names(tmp_path) == ["m.attar"]


def test_ray_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingError, match=r"pip install 'attar\[ray\]'"), cluster.reached("ray"):
        pass


def test_a_program_that_has_a_ray_takes_no_other(started):
    words = "connected to a Ray already"
    with pytest.raises(SettingError, match=words), cluster.reached("ray://localhost"):
        pass


def test_a_cluster_of_another_version_says_both():
    said = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.9.3\n    Python: 3.11.4\n"
        "This process on 10.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.11.9\n"
    )

    def init(*_, **__):
        raise RuntimeError(said)

    words = "has Ray 2.9.3 and Python 3.11.4, and this program Ray 2.60.0 and Python 3.11.9"
    with pytest.raises(ClusterError, match=words):
        cluster._connect(SimpleNamespace(init=init), "auto")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["m.attar", "parts", "-o", "full"], "full is there already"),
        (["m.attar", "parts", "-o", "m.attar"], "m.attar is there already"),
        (["m.attar", "empty", "-o", "out"], "empty has none: leave out --on"),
        (["m.attar", "x.npy", "-o", "out"], "x.npy has none: leave out --on"),
        (["m.attar", "none.csv", "-o", "out"], "There is no file none.csv"),
        (["m.attar", "other", "-o", "out"], "b.csv has a column 'z', which other/a.csv has not"),
        (["m.attar", "types", "-o", "out"], "'x' holds .* in types/a.csv, and .* in types/b.csv"),
        (["images.attar", "parts", "-o", "out"], "the model was fitted on images"),
        (["conditional.attar", "parts", "-o", "out"], "conditional .* leave out --on"),
        (["m.attar", "parts", "-o", "out", "--device", "cuda"], "--device does not go with --on"),
        (["m.attar", "parts", "-o", "out", "--condition", "x"], "--condition does not go with"),
        (["m.attar", "parts", "-o", "s3://bucket/out"], "a URL, and parts go into a folder"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    arguments, words, run, folder, model, others, tmp_path
):
    for name, file in (others | {"m": model}).items():
        file.save(tmp_path / f"{name}.attar")
    (tmp_path / "parts").symlink_to(folder)
    for name, second in {"other": "x,y,z\n1,2,3\n", "types": "x,y\na,2\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text("x,y\n1,2\n")
        (tmp_path / name / "b.csv").write_text(second)
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").touch()
    np.save(tmp_path / "x.npy", np.zeros((3, 5)))
    before = names(tmp_path)
    status, said, error = run("encode", *arguments, "--on", "ray")
    assert (status, said) == (2, "")
    assert re.search(words, error)
    assert error.count("\n") == 1
    assert names(tmp_path) == before


@pytest.fixture(scope="module")
def others():
    """Models whose rows are not those of a table, or need labels."""
    settings = {"epochs": 1, "random_state": 0, "verbose": False}
    images = np.random.default_rng(0).random((40, 8, 8))
    table, labels = images.reshape(40, 64)[:, :5], np.arange(40) % 2
    return {
        "images": attar.Autoencoder(code_size=2, network="linear", **settings).fit(images),
        "conditional": attar.Autoencoder("conditional", 2, **settings).fit(table, condition=labels),
    }


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("encode m.attar a.csv -o b.csv --workers 2", "--workers is of --on ray: leave it out"),
        ("encode m.attar a.csv -o b.csv --exact", "--exact is of --on ray: leave it out"),
        ("impute m.attar a.csv -o b --on ray --draws 2", "--draws does not go with --on"),
        ("reconstruct m.attar a.csv -o b --on ray --denoise", "--denoise does not go with --on"),
        ("impute text.attar a.csv -o b --on ray", "--on is for missing cells"),
        ("compress m.attar a.csv -o b --on ray --bpp 2", "--bpp does not go with --on"),
        ("fit a.csv -o m.attar --for gaps --on ray", "--on is of an autoencoder"),
        ("fit a.csv -o m.attar --exact", "--exact is of --on ray"),
        ("fit a.csv -o m.attar --on ray --log mlflow:x", "--log does not go with --on"),
    ],
)
def test_options_that_do_not_go_together(command, words, run, tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    storage.write_model(tmp_path / "text.attar", {}, {"kind": {"name": "text"}})
    status, _, error = run(*command.split())
    assert status == 2
    assert words in error


def test_ray_is_not_imported_before_it_is_asked_for():
    code = "import sys, attar, attar.cli; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
