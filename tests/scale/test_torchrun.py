"""Fits by several processes that torchrun started: they are those of one process."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attar.scale import torchrun

PROGRAM = Path(__file__).with_name("program.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


def a_table(rows, seed):
    """Columns of every type, which depend on each other."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, 3))
    x = np.tanh(z @ np.random.default_rng(0).normal(size=(3, 5)))
    days = pd.Timestamp("2024-03-01") + pd.to_timedelta((100 * z[:, 2]).round(), unit="h")
    frame = pd.DataFrame(x + 0.01 * rng.normal(size=x.shape), columns=list("abcde"))
    return frame.assign(
        row=range(seed * rows, (seed + 1) * rows),
        city=np.where(z[:, 0] > 0.5, "Oslo", np.where(z[:, 0] < -0.5, "Rome", None)),
        size=pd.array(np.where(z[:, 1] > 1, None, (4 * z[:, 1]).round()), dtype="Int64"),
        good=z[:, 1] > 0,
        when=days,
        written=pd.Series(days).dt.strftime("%d.%m.%Y"),
        same="one",
    )


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    """What fits of 1, 2 and 4 processes gave."""
    folder = tmp_path_factory.mktemp("torchrun")
    for name in ("parquet", "csv"):
        (folder / name).mkdir()
    for part in range(4):
        table = a_table(800, part)
        table.to_parquet(folder / "parquet" / f"{part}.parquet", row_group_size=300)
        table.to_csv(folder / "csv" / f"{part}.csv", index=False)
    command = [sys.executable, str(PROGRAM), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder, {n: json.loads((folder / f"{n}.json").read_text()) for n in (1, 2, 4)}


class TestFit:
    @pytest.mark.parametrize("recipe", ["ae", "sparse-kl", "sparse-batchtopk", "vq-vae", "lfq"])
    def test_has_the_losses_of_one_process_where_only_the_order_is_random(self, fits, recipe):
        _, found = fits
        assert found[2][recipe]["loss"] == pytest.approx(found[1][recipe]["loss"], rel=2e-5)

    def test_of_four_has_the_losses_of_one_process_too(self, fits):
        _, found = fits
        assert found[4]["ae"]["loss"] == pytest.approx(found[1]["ae"]["loss"], rel=2e-5)

    def test_has_about_the_losses_of_one_process_where_codes_are_random(self, fits):
        _, found = fits
        one, two = (found[n]["beta-tcvae"]["loss"] for n in (1, 2))
        assert two == pytest.approx(one, rel=0.01)

    @pytest.mark.parametrize("workers", [2, 4])
    def test_gives_all_workers_the_same_weights(self, fits, workers):
        _, found = fits
        alike = [one["alike"] for one in found[workers].values() if isinstance(one, dict)]
        assert len(alike) == {2: 8, 4: 3}[workers]
        assert all(alike)

    @pytest.mark.parametrize("workers", [2, 4])
    @pytest.mark.parametrize("parts", ["parquet", "csv"])
    def test_of_parts_sees_the_same_table(self, fits, workers, parts):
        _, found = fits
        several, one = found[workers][parts], found[1][parts]
        assert several["kind"] == one["kind"]
        assert several["choices"] == one["choices"]
        if parts == "parquet":  # whose numbers of rows are known before the sample is drawn
            assert several["judged"] == one["judged"]
        judged = np.array(several["judged"])
        assert len(judged) == len(np.unique(judged)) == len(one["judged"])
        assert ((judged >= 0) & (judged < 3200)).all()

    @pytest.mark.parametrize("workers", [2, 4])
    @pytest.mark.parametrize("parts", ["parquet", "csv"])
    def test_of_parts_ends_at_the_loss_of_one_process(self, fits, workers, parts):
        _, found = fits
        one, several = (found[n][parts]["loss"][-1] for n in (1, workers))
        assert several == pytest.approx(one, rel=0.01)

    def test_goes_on_after_a_worker_was_killed(self, fits):
        folder, _ = fits
        assert (folder / "killed").exists()
        assert json.loads((folder / "resumed.json").read_text()) == {"same": True, "alike": True}

    def test_refuses_what_normalizes_by_the_rows_of_a_batch(self, fits):
        _, found = fits
        assert "BatchNorm1d" in found[2]["refused"]
        assert "refused" not in found[1]

    def test_refuses_data_that_not_all_workers_see(self, fits):
        folder, found = fits
        assert found[2]["missing"].startswith(f"Worker 1 of 2: There is no file {folder}/nowhere")


class TestCommand:
    def test_writes_one_model(self, fits, tmp_path):
        folder, _ = fits
        words = ["-m", "attar", "fit", str(folder / "parquet"), "-o", "m.attar", "--epochs", "1"]
        done = subprocess.run(
            [*TORCHRUN, "--nproc-per-node", "2", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert os.listdir(tmp_path) == ["m.attar"]
        assert done.stdout.count("Fitted in") == 1
        assert done.stderr.count("is not used, as it is constant") == 1

    def test_refuses_tasks(self, run, monkeypatch):
        monkeypatch.setattr(torchrun, "is_started", lambda: True)
        monkeypatch.setattr(torchrun, "is_first", lambda: True)
        monkeypatch.setattr(torchrun, "joined", nullcontext)
        status, _, error = run("fit", "digits", "-o", "m.attar", "--for", "anomalies")
        assert status == 2
        assert error == (
            "attar: torchrun trains an autoencoder, not --for anomalies: run it without torchrun.\n"
        )

    def test_refuses_verbs_that_train_nothing(self, run, monkeypatch):
        monkeypatch.setattr(torchrun, "is_started", lambda: True)
        monkeypatch.setattr(torchrun, "is_first", lambda: True)
        status, _, error = run("encode", "m.attar", "digits", "-o", "c.csv")
        assert status == 2
        assert error == (
            "attar: torchrun trains a model, and 'encode' trains none: run it without torchrun.\n"
        )
