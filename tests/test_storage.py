"""Files are written whole; a model file restores bit for bit equal outputs, or says why not."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.datasets import load_digits, load_iris

import attar
from attar import FileError, storage
from attar.likelihoods import Categorical
from attar.networks import Mlp
from attar.priors import NormalizingFlow
from attar.storage import check_writable, written_whole

IMAGES = load_digits().images[:200].astype(np.uint8)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.attar"
    ae = attar.Autoencoder("vae", 4, epochs=2, random_state=0, verbose=False).fit(IMAGES)
    ae.save(path)
    return path


@pytest.mark.parametrize(
    "name", ["ae", "sparse-topk", "contractive", "ordered", "vae", "svae", "flow-prior"]
)
def test_a_loaded_model_gives_bit_for_bit_equal_outputs(name, tmp_path):
    ae = attar.Autoencoder(name, epochs=2, random_state=0, verbose=False).fit(IMAGES)
    ae.save(tmp_path / "m.attar")
    random = torch.get_rng_state()
    back = attar.load(tmp_path / "m.attar")
    assert torch.equal(torch.get_rng_state(), random)
    codes = ae.transform(IMAGES)
    assert_array_equal(back.transform(IMAGES), codes)
    assert_array_equal(back.inverse_transform(codes), ae.inverse_transform(codes))
    assert_array_equal(back.score_samples(IMAGES), ae.score_samples(IMAGES))
    assert_array_equal(back.sample(5, random_state=0), ae.sample(5, random_state=0))
    assert back.evaluate(IMAGES) == ae.evaluate(IMAGES)
    assert back.diagnose() == ae.diagnose()
    assert back.get_params() == ae.get_params()
    assert back.history_.equals(ae.history_)
    assert back.choices_ == ae.choices_


def test_a_loaded_table_model_gives_frames_back(tmp_path):
    frame = load_iris(as_frame=True).data
    ae = attar.Autoencoder(epochs=2, random_state=0, verbose=False).fit(frame)
    ae.save(tmp_path / "m.attar")
    back = attar.load(tmp_path / "m.attar")
    assert back.reconstruct(frame).equals(ae.reconstruct(frame))
    assert_array_equal(back.transform(frame), ae.transform(frame))


@pytest.mark.parametrize("dtype", ["bfloat16", "bool", "complex64", "float16", "float64", "int64"])
def test_a_model_is_described_without_its_tensors(dtype, tmp_path):
    tensors = {
        "a": torch.ones(2, 3, dtype=getattr(torch, dtype)),
        "b": torch.tensor(4, dtype=torch.uint8),
    }
    storage.write_model(tmp_path / "m.attar", tensors, {"kind": "table"})
    contents, description = storage.describe_model(tmp_path / "m.attar")
    shapes = {name: shape for name, (_, shape, _) in contents.items()}
    assert (shapes, description) == ({"a": [2, 3], "b": []}, {"kind": "table"})
    assert storage.read_model(tmp_path / "m.attar")[1] == description


def test_numbers_that_fit_in_half_the_bytes_take_half():
    tensors = {
        "half": torch.tensor([0.5, -0.0, 2.0**-24, torch.inf]),
        "single": torch.tensor([0.1, 2.0]),
        "unknown": torch.tensor([0.5, torch.nan]),
        "short": torch.tensor([3, -(2**31)]),
        "long": torch.tensor([2**31]),
    }
    found = storage.narrowed(tensors)
    types = [torch.float16, torch.float32, torch.float32, torch.int32, torch.int64]
    assert [tensor.dtype for tensor in found.values()] == types
    for name, tensor in storage.widened(found).items():
        assert_array_equal(tensor.numpy(), tensors[name].numpy(), strict=True)
    assert storage.widened(found)["half"][1].signbit()


def test_saving_twice_writes_the_same_bytes(saved, tmp_path):
    attar.load(saved).save(tmp_path / "again.attar")
    assert (tmp_path / "again.attar").read_bytes() == saved.read_bytes()


def test_a_fingerprint_is_that_of_the_model_alone(saved):
    fitted = attar.load(saved).fitted_
    before = fitted.fingerprint
    assert before == storage.fingerprint(*storage.describe_model(saved))
    assert replace(fitted, history=[]).fingerprint == before
    with torch.no_grad():
        next(fitted.predictor.model.parameters()).view(-1)[0] += 1
    assert fitted.fingerprint != before


def test_a_model_can_be_fitted_again_and_pickled_after_loading(saved):
    ae = attar.load(saved)
    assert_array_equal(ae.fit(IMAGES).transform(IMAGES), attar.load(saved).transform(IMAGES))


def test_a_custom_network_is_loaded_by_giving_it_again(tmp_path):
    encoder = torch.nn.Sequential(torch.nn.Linear(64, 3))
    decoder = torch.nn.Sequential(torch.nn.Linear(3, 64))
    ae = attar.Autoencoder(network=(encoder, decoder), epochs=2, random_state=0, verbose=False).fit(
        IMAGES
    )
    ae.save(tmp_path / "m.attar")
    with pytest.raises(attar.SettingError, match=r"network=\(encoder, decoder\)"):
        attar.load(tmp_path / "m.attar")
    back = attar.load(tmp_path / "m.attar", network=(encoder, decoder))
    assert_array_equal(back.transform(IMAGES), ae.transform(IMAGES))


@settings(max_examples=60)
@given(st.data())
def test_any_flipped_bit_is_noticed(saved, tmp_path_factory, data):
    content = bytearray(saved.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flipped") / "m.attar"
    path.write_bytes(content)
    with pytest.raises(attar.ModelFileError) as caught:
        attar.load(path)
    with pytest.raises(attar.ModelFileError, match=re.escape(str(caught.value))):
        storage.describe_model(path)
    assert "\n" not in str(caught.value)


@settings(max_examples=30)
@given(st.data())
def test_a_truncated_file_is_noticed(saved, tmp_path_factory, data):
    content = saved.read_bytes()
    path = tmp_path_factory.mktemp("short") / "m.attar"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(attar.ModelFileError, match=r"damaged|not a"):
        attar.load(path)


@settings(max_examples=30)
@given(content=st.binary(max_size=200))
def test_any_other_file_is_not_a_model(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("other") / "m.attar"
    path.write_bytes(content)
    with pytest.raises(attar.ModelFileError, match="not a"):
        attar.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(attar.FileError, match="There is no model file"):
        attar.load(tmp_path / "none.attar")


def test_a_newer_format_asks_for_an_update(tmp_path):
    newer = json.dumps({"format": storage.FORMAT + 1, "description": {}})
    save_file({"w": torch.zeros(2)}, tmp_path / "m.attar", {"attar": newer})
    with pytest.raises(attar.ModelFileError, match="update attar"):
        attar.load(tmp_path / "m.attar")


def test_an_older_format_asks_for_a_new_fit(tmp_path):
    older = json.dumps({"format": storage.FORMAT - 1, "facts": {}, "digest": ""})
    save_file({"w": torch.zeros(2)}, tmp_path / "m.attar", {"attar": older})
    with pytest.raises(attar.ModelFileError, match=r"format 3, and this attar reads 4: fit the"):
        attar.load(tmp_path / "m.attar")


def test_a_checkpoint_is_not_a_model(tmp_path):
    storage.write(tmp_path / "c", {"w": torch.zeros(2)}, {"identity": "i", "progress": {}})
    with pytest.raises(attar.ModelFileError, match="not a model of attar"):
        attar.load(tmp_path / "c")


def test_a_safetensors_file_of_others_is_not_a_model(tmp_path):
    save_file({"w": torch.zeros(2)}, tmp_path / "m.safetensors")
    with pytest.raises(attar.ModelFileError, match="not a file of attar"):
        attar.load(tmp_path / "m.safetensors")


def _forged(saved, path, change):
    """Write the saved model with changed description and a checksum that is right."""
    tensors, description = storage.read_model(saved)
    change(description)
    storage.write_model(path, tensors, description)
    return path


ABSURD = {
    "a wide network": lambda description: description.update(network=Mlp((10**12,)).to_json()),
    "a wide flow": lambda description: description["recipe"]["code"].update(
        prior=NormalizingFlow(widths=(10**9,)).to_json()
    ),
    "a wide code": lambda description: description.update(code_size=10**12),
    "a large image": lambda description: description["kind"].update(size=[10**6, 10**6]),
    "an unknown part": lambda description: description["recipe"]["code"].update(part="code/evil"),
    "an unknown family": lambda description: description["recipe"]["code"].update(part="os/system"),
    "words for numbers": lambda description: description["network"].update(widths=["a"]),
    "a missing entry": lambda description: description.pop("history"),
    "an unknown setting": lambda description: description["settings"].update(evil=1),
    "a wide table": lambda description: description.update(
        kind={"name": "table", "dtype": "float64", "width": 10**9}
    ),
    "a category of many classes": lambda description: description.update(
        kind=description["kind"] | {"size": [1, 10**9]},
        likelihood=Categorical(10**9).to_json(),
    ),
    "missing values that are not there": lambda description: description.update(missing=True),
    "an unknown kind": lambda description: description["kind"].update(name="evil"),
}


@pytest.mark.parametrize("case", ABSURD)
def test_absurd_claims_are_refused(case, saved, tmp_path):
    path = _forged(saved, tmp_path / "m.attar", ABSURD[case])
    with pytest.raises(attar.ModelFileError, match="cannot be built") as caught:
        attar.load(path)
    assert "\n" not in str(caught.value)


def test_absurd_sizes_take_no_memory(saved, tmp_path, in_child):
    paths = [_forged(saved, tmp_path / f"{case}.attar", ABSURD[case]) for case in ABSURD]

    def kilobytes():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def load_all():
        used = kilobytes()
        for path in paths:
            with pytest.raises(attar.ModelFileError):
                attar.load(path)
        assert kilobytes() - used < 100_000

    assert in_child(load_all) == 0


def test_the_file_holds_tensors_and_json_and_nothing_that_runs(saved):
    with safe_open(saved, "pt") as file:
        metadata = file.metadata()
    assert set(metadata) == {"attar"}
    assert json.loads(metadata["attar"])["description"]["recipe"]["part"] == "recipe/recipe"


def test_a_full_disk_leaves_the_old_file_whole(saved, tmp_path, in_child):
    path, ae = tmp_path / "m.attar", attar.load(saved)
    path.write_bytes(saved.read_bytes())

    def save():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        # As if the disk were full after 1 kB.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with pytest.raises(attar.FileError, match="cannot be written"):
            ae.save(path)

    assert in_child(save) == 0
    assert path.read_bytes() == saved.read_bytes()
    assert os.listdir(tmp_path) == ["m.attar"]


def test_a_file_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with written_whole(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
        assert beside.parent == tmp_path
        assert beside.suffix == path.suffix
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_a_failure_all_is_as_it_was(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(beside):
        beside.write_text("half")
        raise error

    with pytest.raises(error), written_whole(path) as beside:
        fail(beside)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_takes_the_place_of_a_folder(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").write_text("old")
    with written_whole(path) as beside:
        beside.mkdir()
        (beside / "new").write_text("new")
    assert [p.name for p in path.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_file_never_takes_the_place_of_a_folder(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "kept").write_text("kept")
    with (
        pytest.raises(FileError, match="folder cannot be written: "),
        written_whole(path) as beside,
    ):
        beside.write_text("new")
    assert (path / "kept").read_text() == "kept"
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_a_full_disk_is_a_file_error_with_its_reason(tmp_path):
    with (
        pytest.raises(FileError, match=r"a\.txt cannot be written: no space left on device"),
        written_whole(tmp_path / "a.txt"),
    ):
        raise OSError(28, "No space left on device")


def test_a_missing_folder_is_told_before_the_work(tmp_path):
    check_writable(tmp_path / "a.txt")
    with pytest.raises(FileError, match=r"there is no folder .*none; make it first"):
        check_writable(tmp_path / "none" / "a.txt")
