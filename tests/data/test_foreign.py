"""Data sets of torch and of Hugging Face."""

from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import attar
from attar.data import source as sources
from attar.data.source import read

X = torch.arange(60.0).reshape(20, 3)


class Squares(Dataset):
    """Pictures with a label each, as torchvision has them."""

    def __init__(self, sides=(4,)):
        self.sides = sides

    def __len__(self):
        return 10

    def __getitem__(self, i):
        if i >= len(self):
            raise IndexError
        side = self.sides[i % len(self.sides)]
        return Image.fromarray(np.full((side, side), 20 * i, np.uint8)), i % 2


class Counting(IterableDataset):
    def __iter__(self):
        return (torch.full((3,), float(i)) for i in range(9))


def test_tensors_with_and_without_labels():
    assert (read(TensorDataset(X)).data == X.numpy()).all()
    labelled = read(TensorDataset(X, torch.arange(20)))
    assert (labelled.data == X.numpy()).all()
    assert labelled.labels.tolist() == list(range(20))


def test_pictures_of_a_data_set_are_images():
    found = read(Squares())
    assert found.data.shape == (10, 4, 4)
    assert found.data.dtype == np.uint8
    assert found.labels.tolist() == [0, 1] * 5


def test_a_data_set_that_is_large_or_of_unknown_length_is_a_stream(monkeypatch):
    monkeypatch.setattr(sources, "MAX_MEMORY", 100)
    counted = np.repeat(np.arange(9.0)[:, None], 3, 1)
    for data, rows in ((TensorDataset(X), X.numpy()), (Counting(), counted)):
        stream = read(data).data
        assert (np.concatenate(list(stream)) == rows).all()
        assert (np.concatenate(list(stream)) == rows).all()


def test_a_fit_on_a_data_set_is_the_fit_on_its_rows():
    rng = torch.Generator().manual_seed(0)
    rows = torch.randn(100, 4, generator=rng)
    given, plain = (
        attar.Autoencoder(code_size=2, epochs=1, random_state=0).fit(data).transform(data)
        for data in (TensorDataset(rows), rows.numpy())
    )
    assert (given == plain).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TensorDataset(X, X), "holds more than a row and its label"),
        (TensorDataset(X, X[:, 0], X[:, 1]), "holds more than a row and its label"),
        (DataLoader(TensorDataset(X)), "give its data set"),
        (Squares((4, 5)), "items of the data set have different shapes"),
        (TensorDataset(X[:0]), "TensorDataset holds no items"),
    ],
)
def test_what_is_no_set_of_rows_is_refused(data, message):
    with pytest.raises(attar.DataError, match=message):
        read(data)


@pytest.fixture
def people():
    datasets = import_module("datasets")
    kinds = {"age": datasets.Value("int64"), "town": datasets.Value("string")}
    features = datasets.Features({**kinds, "member": datasets.ClassLabel(names=["no", "yes"])})
    rows = {"age": [20, None, 40], "town": ["Ulm", "Bonn", None], "member": [1, 0, -1]}
    return datasets.Dataset.from_dict(rows, features=features)


def test_a_table_of_hugging_face_has_its_types_and_the_names_of_classes(people):
    for data in (people, people.to_iterable_dataset()):
        found = read(data).data
        assert isinstance(found, pd.DataFrame)
        assert found["age"].astype(object).tolist() == [20, pd.NA, 40]
        assert found["town"].tolist()[:2] == ["Ulm", "Bonn"]
        assert found["member"].tolist()[:2] == ["yes", "no"]
        assert found.isna().sum().tolist() == [1, 1, 1]


def test_pictures_of_hugging_face_are_images_with_labels():
    datasets = import_module("datasets")
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    pictures = [picture for picture, _ in Squares()]
    data = datasets.Dataset.from_dict(
        {"image": pictures, "label": [0, 1] * 5}, features=datasets.Features(features)
    )
    found = read(data)
    assert found.data.shape == (10, 4, 4)
    assert found.data[3, 0, 0] == 60
    assert found.labels.tolist() == ["cat", "dog"] * 5


def test_several_data_sets_of_hugging_face_are_refused(people):
    datasets = import_module("datasets")
    parts = datasets.DatasetDict({"train": people, "test": people})
    with pytest.raises(attar.DataError, match=r"holds the data sets train, test: .* X\['train'\]"):
        read(parts)
