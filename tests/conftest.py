"""What all tests share: a fixed seed, modest property tests, and some data."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from sklearn.datasets import load_digits

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
