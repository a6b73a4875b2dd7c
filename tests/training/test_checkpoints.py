import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import attar
from attar import FileError, ModelFileError, storage
from attar.bounds import Capacity
from attar.codes import Gaussian, Point, TopK, VectorQuantized
from attar.corruptions import Masking
from attar.data import source, training_data
from attar.likelihoods import LearnedGaussian
from attar.networks import Mlp
from attar.penalties import DensityRatio, Views
from attar.priors import Vamp
from attar.recipe import Recipe
from attar.storage import nested, unnested
from attar.training import Callback, Optimizer, loop
from attar.training.checkpoints import Checkpoint, optimizer_state, restore_optimizer

DROPOUT = Mlp((8,), "tanh", dropout=0.2, normalization="batch")
CASES = {
    "dropout": {"network": DROPOUT},
    "gaussian": {"spec": Recipe(Gaussian()), "likelihood": LearnedGaussian(), "network": DROPOUT},
    "topk": {"spec": Recipe(TopK(1), corruption=Masking(0.3))},
    "critic": {
        "spec": Recipe(Gaussian(), penalties=(DensityRatio(),)),
        "likelihood": LearnedGaussian(),
    },
    "codebook": {"spec": Recipe(VectorQuantized(codebook=8, dim=2))},
    "growing": {"spec": Recipe(Gaussian(), bound=Capacity(3.0)), "likelihood": LearnedGaussian()},
    "vamp": {"spec": Recipe(Gaussian(prior=Vamp(4))), "likelihood": LearnedGaussian()},
    "views": {"spec": Recipe(Point(), corruption=Masking(0.3), penalties=(Views(width=8),))},
    "sgd": {"optimizer": Optimizer("sgd"), "learning_rate": 0.05},
    "patience": {"patience": 1, "learning_rate": 0.5, "epochs": 12},
}


class Break(Callback):
    """Interrupts a training in the middle of an epoch."""

    def __init__(self, epoch, step):
        self.left = 4 * (epoch - 1) + step

    def on_step(self, progress):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def outcome(training):
    history = training.run()
    metrics = [{k: v for k, v in e.to_json().items() if k != "rows_per_second"} for e in history]
    return training.model.state_dict(), metrics


def assert_equal(found, expected):
    assert found[1] == expected[1]
    assert found[0].keys() == expected[0].keys()
    for name, tensor in expected[0].items():
        assert torch.equal(found[0][name], tensor), name


@pytest.fixture(params=[100, 2], ids=["after epochs", "after steps"])
def checkpoints_due(request, monkeypatch):
    """After how many steps of an epoch of four, at most, a checkpoint is written."""
    monkeypatch.setattr(loop, "DUE_EVERY", request.param)
    monkeypatch.setattr(loop, "SECONDS_WITHIN", 0.0)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("epoch", [1, 3])
@pytest.mark.usefixtures("checkpoints_due")
def test_an_interrupted_training_resumes_to_equal_weights(training, tmp_path, case, epoch):
    expected = outcome(training(**CASES[case]))

    def checkpoint():
        return Checkpoint(tmp_path / "c", "this", every=0)

    with pytest.raises(KeyboardInterrupt):
        training(**CASES[case], callbacks=[Break(epoch, 3)], checkpoint=checkpoint()).run()
    torch.manual_seed(99)
    assert (tmp_path / "c").exists()
    resumed = training(**CASES[case], checkpoint=checkpoint())
    torch.manual_seed(98)
    assert_equal(outcome(resumed), expected)
    # While its file exists, a finished training gives its weights without a step.
    finished = training(**CASES[case], callbacks=[Break(1, 1)], checkpoint=checkpoint())
    assert_equal(outcome(finished), expected)


@pytest.mark.parametrize("optimizer", Optimizer.members)
def test_a_training_that_is_interrupted_often_ends_with_equal_weights(
    training, tmp_path, optimizer
):
    case = {"optimizer": Optimizer.named(optimizer), "spec": "vae"}
    expected = outcome(training(**case))
    for epoch in (2, 1, 2, 1):
        with pytest.raises(KeyboardInterrupt):
            training(
                **case, callbacks=[Break(epoch, 1)], checkpoint=Checkpoint(tmp_path / "c", "x", 0)
            ).run()
    resumed = outcome(training(**case, checkpoint=Checkpoint(tmp_path / "c", "x", 0)))
    assert_equal(resumed, expected)


@pytest.mark.usefixtures("checkpoints_due")
def test_a_streamed_training_resumes_to_equal_weights(tmp_path, monkeypatch):
    for module, name in ((source, "MAX_FILE"), (training_data, "HELD")):
        monkeypatch.setattr(module, name, 0)  # a small table is read as a large one
    rng = np.random.default_rng(0)
    pd.DataFrame(rng.normal(size=(450, 3)), columns=list("abc")).to_parquet(tmp_path / "t.parquet")

    def fit(**settings):
        ae = attar.Autoencoder("vae", batch_size=100, epochs=3, random_state=0, verbose=False)
        ae.set_params(callbacks=settings.pop("callbacks", ()))
        return ae.fit(tmp_path / "t.parquet", **settings).model_.state_dict()

    expected = fit()
    with pytest.raises(KeyboardInterrupt):
        fit(callbacks=[Break(1, 4)], checkpoint=tmp_path / "c")
    resumed = fit(checkpoint=tmp_path / "c")
    assert all(torch.equal(resumed[name], tensor) for name, tensor in expected.items())


def test_a_training_resumes_where_its_last_checkpoint_was(training, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "DUE_EVERY", 1)
    monkeypatch.setattr(loop, "SECONDS_WITHIN", 0.0)
    case = {"spec": "vae", "checkpoint": Checkpoint(tmp_path / "c", "x", every=0)}
    with pytest.raises(KeyboardInterrupt):
        training(**case, callbacks=[Break(2, 3)]).run()
    _, progress = case["checkpoint"].read()
    assert (len(progress["history"]), progress["steps"]) == (1, 2)
    with pytest.raises(KeyboardInterrupt):
        training(**case, callbacks=[Break(1, 2)]).run()
    _, progress = case["checkpoint"].read()
    assert (len(progress["history"]), progress["steps"]) == (1, 3)


def test_a_state_that_is_not_finite_is_not_kept(training, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "DUE_EVERY", 1)
    monkeypatch.setattr(loop, "SECONDS_WITHIN", 0.0)

    class Spoil(Break):
        def on_step(self, progress):
            super().on_step(progress)
            next(progress.model.parameters()).data.fill_(torch.nan)

    checkpoint = Checkpoint(tmp_path / "c", "x", every=0)
    with pytest.raises(KeyboardInterrupt):
        training("vae", checkpoint=checkpoint, callbacks=[Spoil(1, 3)]).run()
    assert checkpoint.read()[1]["steps"] == 0


def test_an_old_state_gives_equal_weights(training, tmp_path):
    expected = outcome(training("vae"))
    rare = Checkpoint(tmp_path / "c", "x", every=1e9)
    with pytest.raises(KeyboardInterrupt):
        training("vae", callbacks=[Break(4, 1)], checkpoint=rare).run()
    assert_equal(outcome(training("vae", checkpoint=Checkpoint(tmp_path / "c", "x"))), expected)


def test_a_checkpoint_changes_nothing(training, tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", "x", every=0)
    assert_equal(outcome(training("vae", checkpoint=checkpoint)), outcome(training("vae")))


def test_a_state_is_written_and_read(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", "x")
    state = {"a": torch.randn(2, 3), "b": torch.arange(4).expand(2, 4), "c": torch.tensor(1.5)}
    assert checkpoint.read() is None
    checkpoint.write(state, {"history": [1, None, 0.1]})
    found, progress = checkpoint.read()
    assert progress == {"history": [1, None, 0.1]}
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_the_checkpoint_of_another_training_is_refused(tmp_path):
    Checkpoint(tmp_path / "c", "this").write({"a": torch.zeros(1)}, {})
    with pytest.raises(ModelFileError, match="of a training with other data or settings"):
        Checkpoint(tmp_path / "c", "that").read()


def test_a_damaged_checkpoint_is_refused(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", "x")
    checkpoint.write({"a": torch.zeros(9)}, {})
    content = (tmp_path / "c").read_bytes()
    for damaged in (content[:-1], content[:100]):
        (tmp_path / "c").write_bytes(damaged)
        with pytest.raises(ModelFileError, match="is damaged: delete it"):
            checkpoint.read()


def test_a_file_that_is_no_checkpoint_is_refused_and_kept(tmp_path):
    path = tmp_path / "c"
    storage.write_model(tmp_path / "model", {"a": torch.zeros(1)}, {})
    save_file({"a": torch.zeros(1)}, tmp_path / "other")
    others = [(tmp_path / name).read_bytes() for name in ("model", "other")]
    ae = attar.Autoencoder(epochs=1, random_state=0, verbose=False)
    for content in (b"", b"my notes", *others):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match="is not a checkpoint of attar's: give another"):
            ae.fit(np.eye(9), checkpoint=path)
        assert path.read_bytes() == content
    with pytest.raises(ModelFileError, match="is not a checkpoint"):
        ae.fit(np.eye(9), checkpoint=tmp_path)


def test_a_path_that_cannot_be_written_to_is_a_file_error(tmp_path):
    with pytest.raises(FileError, match="cannot be written"):
        Checkpoint(tmp_path / "none" / "c", "x").write({"a": torch.zeros(1)}, {})


def test_writing_is_due_after_its_time_only(tmp_path):
    assert Checkpoint(tmp_path / "c", "x", every=0).due()
    assert not Checkpoint(tmp_path / "c", "x", every=1e9).due()


def test_names_are_nested_and_unnested():
    state = {"a.b": torch.zeros(1), "c": torch.ones(1)}
    assert unnested("one", nested("one", state) | nested("other", state)) == state


@pytest.mark.parametrize("name", Optimizer.members)
def test_an_optimizer_resumes_with_equal_steps(name):
    def steps(weight, optimizer, n):
        for _ in range(n):
            optimizer.zero_grad()
            weight.square().sum().backward()
            optimizer.step()

    weight = torch.nn.Parameter(torch.randn(5))
    part = Optimizer.named(name)
    optimizer = part.build([weight], 0.1)
    steps(weight, optimizer, 3)
    copy = torch.nn.Parameter(weight.detach().clone())
    restored = part.build([copy], 0.1)
    restore_optimizer(restored, optimizer_state(optimizer))
    steps(weight, optimizer, 3)
    steps(copy, restored, 3)
    assert torch.equal(weight, copy)
