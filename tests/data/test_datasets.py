import gzip
import shutil

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from attar import DataError, FileError
from attar.data import datasets

FILES = [
    f"{part}-{what}.gz"
    for part in ("train", "t10k")
    for what in ("images-idx3-ubyte", "labels-idx1-ubyte")
]


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """An empty cache, and no network."""

    def refuse(url, timeout):
        raise OSError("no network here")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("urllib.request.urlopen", refuse)


def test_digits_are_split_as_scikit_learn_splits():
    images, labels = load_digits(return_X_y=True)
    expected = train_test_split(images, labels, test_size=0.2, random_state=0)
    train, train_labels = datasets.load("digits", "train")
    test, test_labels = datasets.load("digits", "test")
    for found, truth in zip(
        (train.reshape(-1, 64), test.reshape(-1, 64), train_labels, test_labels),
        expected,
        strict=True,
    ):
        np.testing.assert_array_equal(found, truth)
    assert train.dtype == np.uint8


def test_mnist_is_found_where_the_variable_points(data_folder, monkeypatch, offline):
    monkeypatch.setenv("ATTAR_DATA", str(data_folder))
    images, labels = datasets.load("mnist", "test")
    assert (images.shape, images.dtype, labels.shape) == ((10_000, 28, 28), np.uint8, (10_000,))
    # The published mean and deviation are of the training images; the labels' counts are known.
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnists_training_images_have_their_published_mean(data_folder, monkeypatch, offline):
    monkeypatch.setenv("ATTAR_DATA", str(data_folder))
    images, _ = datasets.load("mnist", "train")
    assert images.shape == (60_000, 28, 28)
    assert images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)


def test_mnist_is_taken_from_the_cache(data_folder, monkeypatch, offline, tmp_path):
    monkeypatch.setenv("ATTAR_DATA", str(data_folder))
    expected = datasets.load("mnist", "test")
    monkeypatch.delenv("ATTAR_DATA")
    folder = tmp_path / "cache" / "attar" / "mnist"
    folder.mkdir(parents=True)
    for name in FILES[2:]:
        shutil.copy(data_folder / "mnist" / name, folder)
    for found, array in zip(datasets.load("mnist", "test"), expected, strict=True):
        assert np.array_equal(found, array)


def test_without_a_network_the_error_names_the_folder_of_the_files(monkeypatch, offline, tmp_path):
    monkeypatch.setenv("ATTAR_DATA", str(tmp_path))
    with pytest.raises(FileError, match=r"put the file into the folder 'mnist' of .* ATTAR_DATA"):
        datasets.load("mnist", "test")
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("content", [gzip.compress(b"something else", mtime=0), b"no gzip", b""])
def test_files_that_are_not_the_published_ones_are_refused(monkeypatch, offline, tmp_path, content):
    monkeypatch.setenv("ATTAR_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    for name in FILES:
        (tmp_path / "mnist" / name).write_bytes(content)
    with pytest.raises(FileError, match=r"is not the published file|cannot be read"):
        datasets.load("mnist", "test")


def test_unknown_data_sets_and_parts_are_refused():
    with pytest.raises(DataError, match="no data set named 'digit': did you mean 'digits'"):
        datasets.load("digit", "train")
    with pytest.raises(
        DataError, match="has no part 'dev': choose 'digits/train' or 'digits/test'"
    ):
        datasets.load("digits", "dev")
