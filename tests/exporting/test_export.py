"""Models as files that other libraries run."""

import json
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch

import attar
from attar.data import datasets
from attar.exporting.torch_export import TorchTranslation

ort = import_module("onnxruntime")


@pytest.fixture(scope="module")
def digits():
    X, _ = datasets.load("digits", "train")
    return X, attar.Autoencoder(code_size=4, epochs=1, random_state=0, verbose=False).fit(X)


def test_the_command_says_what_a_file_takes_and_gives(digits, run, tmp_path):
    X, ae = digits
    ae.save(tmp_path / "digits.attar")
    np.save(tmp_path / "some.npy", X[:9])
    status, out, _ = run("export", "digits.attar", "some.npy", "--format", "torch", "-o", "d.pt2")
    assert (status, out.splitlines()) == (
        0,
        [
            "inputs  x (batch, 8, 8) uint8",
            "outputs reconstruction (batch, 8, 8) uint8",
            "d.pt2 differs from attar by 0 of the largest value at most, on 9 rows.",
        ],
    )


@pytest.mark.filterwarnings("ignore::attar.AttarWarning")
def test_onnx_from_raw_columns(data_folder, tmp_path):
    names = ["age", "type_employer", "fnlwgt", "sex", "capital_gain", "income"]
    path = data_folder / "tables" / "adult.csv"
    raw = pd.read_csv(path, usecols=names, nrows=800, keep_default_na=False)
    raw.loc[::7, "type_employer"] = "?"
    raw = raw.rename(columns={"age": "attar/val_0", "sex": "input 0"})
    raw.to_csv(tmp_path / "adult.csv", index=False)
    table = attar.Csv(tmp_path / "adult.csv")
    ae = attar.Autoencoder("vae", epochs=1, random_state=0, verbose=False).fit(table)
    exported = attar.export(ae, tmp_path / "a.onnx", data=table)
    assert exported.rows == 256
    session = ort.InferenceSession(tmp_path / "a.onnx")
    numbers = {"attar/val_0", "fnlwgt", "capital_gain"}
    columns = {
        name: raw[name].to_numpy(float if name in numbers else object) for name in raw.columns
    }
    described = json.loads(session.get_modelmeta().custom_metadata_map["attar"])
    assert [port["name"] for port in described["inputs"]] == list(raw.columns)
    first = session.run(None, {name: column[:1] for name, column in columns.items()})
    found = session.run(None, columns)
    assert [column.tolist() for column in first] == [column[:1].tolist() for column in found]
    back = ae.reconstruct(table)
    for name, column in zip(raw.columns, found, strict=True):
        if name in numbers:
            np.testing.assert_allclose(column, back[name].to_numpy(float), rtol=0, atol=1e-5)
        else:
            assert column.tolist() == back[name].astype(str).tolist()


def test_a_program_of_torch_takes_any_number_of_rows(digits, tmp_path):
    X, ae = digits
    exported = attar.export(ae, tmp_path / "d.pt2", "encoder", data=X[:50])
    assert (exported.rows, exported.difference) == (50, 0.0)
    extra = {"attar.json": ""}
    program = torch.export.load(tmp_path / "d.pt2", extra_files=extra).module()
    for some in (X[:1], X):
        (codes,) = program(torch.from_numpy(some.copy()))
        np.testing.assert_allclose(codes.numpy(), ae.transform(some), rtol=1e-5, atol=1e-6)
    assert json.loads(extra["attar.json"])["outputs"][0]["shape"] == ["batch", 4]


def test_a_file_that_differs_is_not_written(digits, tmp_path, monkeypatch):
    _, ae = digits
    true = TorchTranslation.run
    monkeypatch.setattr(TorchTranslation, "run", lambda *a: [x + 1e-3 for x in true(*a)])
    with pytest.raises(attar.SettingError, match=r"encoder as \.pt2 differs from attar by"):
        attar.export(ae, tmp_path / "d.pt2", "encoder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--format", "onn", "-o", "d.onnx"), "no format named 'onn': did you mean 'onnx'?"),
        (("--part", "all", "-o", "d.onnx"), "no part of a model named 'all': choose one of"),
        (
            ("-o", "d.h5"),
            "suffix of its format: write .keras or .onnx or .pt2.",
        ),
        (("--format", "torch", "-o", "d.onnx"), "its format: write .pt2."),
        (("-o", "none/d.onnx"), "there is no folder none; make it first."),
        (("-o", "d.onnx"), "There is no model file d.attar."),
    ],
)
def test_a_mistake_is_one_sentence(run, tmp_path, words, message):
    status, out, err = run("export", "d.attar", *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_is_not_installed_is_named(digits, tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("attar.exporting.translations.import_module", missing)
    with pytest.raises(attar.FileError, match=r"needs onnx: .* pip install 'attar\[onnx\]'"):
        attar.export(digits[1], tmp_path / "d.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_torch_cannot_trace_is_refused(digits, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no such operation.\nmore")

    monkeypatch.setattr(torch.export, "export", fails)
    message = "code 'point', .* cannot be a program, as no such operation: all recipes but hvae"
    with pytest.raises(attar.SettingError, match=message):
        attar.export(digits[1], tmp_path / "d.pt2")
    assert list(tmp_path.iterdir()) == []


def test_a_column_of_dates_is_refused(tmp_path):
    X = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=12), "x": range(12, 0, -1)})
    ae = attar.Autoencoder(code_size=1, epochs=1, random_state=0, verbose=False).fit(X)
    message = "Column 'day' holds dates .* takes only numbers, booleans and categories"
    with pytest.raises(attar.SettingError, match=message):
        attar.export(ae, tmp_path / "d.pt2")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def conditional():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"n": rng.normal(size=60), "k": rng.choice(["x", "y"], 60)})
    kinds = ["u", "v", None]
    condition = pd.DataFrame({"a": rng.choice(kinds, 60), "b": rng.normal(3e3, 5, 60)})
    ae = attar.Autoencoder("conditional", 2, epochs=1, random_state=0, verbose=False)
    return frame, condition, ae.fit(frame, condition=condition)


@pytest.mark.parametrize("part", ["encoder", "decoder", "score"])
def test_a_condition_is_a_further_input(conditional, tmp_path, part):
    X, condition, ae = conditional
    codes = ae.transform(X, condition=condition)
    exported = attar.export(ae, tmp_path / "c.pt2", part, data=X, condition=condition)
    names = [port.name for port in exported.inputs]
    assert names == [*(["code"] if part == "decoder" else ["n", "k"]), "condition a", "condition b"]
    # Without rows it is checked with a random condition.
    assert attar.export(ae, tmp_path / "again.pt2", part).difference < 1e-12
    numbers = {
        "n": X["n"].to_numpy(),
        "k": X["k"].map({"x": 0, "y": 1}).to_numpy(),
        "code": codes,
        "condition a": condition["a"].map({"u": 0, "v": 1}).fillna(-1).astype(int).to_numpy(),
        "condition b": condition["b"].to_numpy(),
    }
    program = torch.export.load(tmp_path / "c.pt2").module()
    found = program(*(torch.from_numpy(numbers[name]) for name in names))[0].numpy()
    expected = {
        "encoder": lambda: codes,
        "decoder": lambda: ae.inverse_transform(codes, condition=condition)["n"],
        "score": lambda: ae.score_samples(X, condition=condition),
    }[part]()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_the_command_takes_the_column_of_a_condition(conditional, run, tmp_path):
    X, condition, _ = conditional
    X.assign(label=condition["a"].fillna("v")).to_csv(tmp_path / "x.csv", index=False)
    fit = ("--condition", "label", "--epochs", "1", "--set", "random_state=0")
    assert run("fit", "x.csv", "-o", "m.attar", *fit)[0] == 0
    status, out, err = run("export", "m.attar", "x.csv", "--condition", "label", "-o", "m.onnx")
    assert (status, err) == (0, "")
    assert out.splitlines()[0].endswith("condition (batch) string or index")
    session = ort.InferenceSession(tmp_path / "m.onnx")
    columns = {"n": X["n"].to_numpy(), "k": X["k"].to_numpy(object)}
    columns["condition"] = condition["a"].fillna("v").to_numpy(object)
    n, _ = session.run(None, columns)
    back = attar.load(tmp_path / "m.attar").reconstruct(X, condition=columns["condition"])
    np.testing.assert_allclose(n, back["n"], rtol=1e-5, atol=1e-5)


def test_a_column_called_like_the_condition_is_refused(tmp_path):
    X = pd.DataFrame({"condition": np.arange(12.0), "x": np.arange(12.0)[::-1]})
    ae = attar.Autoencoder("conditional", 1, epochs=1, random_state=0, verbose=False)
    ae.fit(X, condition=np.arange(12) % 2)
    with pytest.raises(attar.SettingError, match="column 'condition' has the name of the condit"):
        attar.export(ae, tmp_path / "d.pt2")


def test_rows_of_a_conditional_model_need_their_condition(conditional, tmp_path):
    with pytest.raises(attar.SettingError, match="fitted with a condition: give condition="):
        attar.export(conditional[2], tmp_path / "d.pt2", data=conditional[0])
    assert list(tmp_path.iterdir()) == []


def test_what_onnxruntime_has_not_in_double_is_in_single(tmp_path):
    X = np.random.default_rng(0).normal(size=(30, 6, 6))
    network = attar.networks.Conv((4,))
    settings = {"network": network, "epochs": 1, "random_state": 0, "verbose": False}
    ae = attar.Autoencoder("ae", 2, **settings).fit(X)
    exported = attar.export(ae, tmp_path / "c.onnx", "encoder", data=X)
    assert 0 < exported.difference < 1e-5
    (codes,) = ort.InferenceSession(tmp_path / "c.onnx").run(None, {"x": X})
    assert codes.dtype == np.float64
    np.testing.assert_allclose(codes, ae.transform(X), rtol=1e-4, atol=1e-5)


def test_rows_of_another_form_are_refused(digits, tmp_path):
    with pytest.raises(attar.DataError, match="images"):
        attar.export(digits[1], tmp_path / "d.pt2", data=np.eye(3))
    assert list(tmp_path.iterdir()) == []
