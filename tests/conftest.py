"""What all tests share: a fixed seed, modest property tests, the command line, and some data."""

import gc
import os
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from sklearn.datasets import load_digits

from attar.cli import main

os.environ.setdefault("KERAS_BACKEND", "torch")
# The tests run on several workers: one thread each, and each program that a test starts.
os.environ["OMP_NUM_THREADS"] = "1"
settings.register_profile("attar", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("attar")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def data_folder():
    """The folder of the project's data sets."""
    folder = Path(os.environ.get("ATTAR_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"there is no folder {folder}; set ATTAR_DATA")
    return folder


@pytest.fixture(scope="session")
def digits():
    """Some handwritten digits, as single-precision numbers from 0 to 1: (400, 64)."""
    return torch.from_numpy((load_digits().data[:400] / 16).astype(np.float32))


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command line in an empty folder; return exit status, output and error output."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["attar", *map(str, words)])
        status = 0
        try:
            main()
        except SystemExit as exit_:
            status = exit_.code or 0
        finally:
            gc.unfreeze()
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def in_child():
    """Do some work in a copy of this process; return the exit status: 0 where nothing is raised."""

    def in_child(work):
        # Python warns of other threads, such as those of pytest-xdist, which no work waits for.
        with warnings.catch_warnings(action="ignore"):
            child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(1)

    return in_child
