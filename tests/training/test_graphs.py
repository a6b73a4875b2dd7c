"""Steps that are captured and replayed, with a tape of operations in place of a CUDA graph."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from attar import errors
from attar.codes import BatchTopK
from attar.corruptions import CorruptionModule
from attar.data.batches import Selection
from attar.recipes import recipe
from attar.training import Callback, Optimizer, graphs, loop

spec = importlib.util.spec_from_file_location("tape", Path(__file__).with_name("tape.py"))
tape = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tape)


@pytest.fixture
def replayed(training, monkeypatch):
    """A function that makes a training whose steps are replayed; its tape is ``steps.graphs``."""

    def make(*args, error=None, **settings):
        def steps_of(step, objective, optimizers, steps):
            modules = torch.nn.ModuleList(
                [objective.model, objective.heads, *objective.critics.values()]
            )

            def tensors():
                states = [s for optimizer in optimizers for s in optimizer.state.values()]
                values = [tensor for state in states for tensor in state.values()]
                return [*modules.parameters(), *modules.buffers(), *values]

            made = tape.Tape(tensors, error)
            return graphs.Replayed(step, objective, optimizers, torch.device("cpu"), made)

        monkeypatch.setattr(loop, "steps_of", steps_of)
        return training(*args, **settings)

    return make


@pytest.fixture
def of_the_device(monkeypatch):
    """Random numbers of the tape are torch's, as those of a graph are the device's."""
    monkeypatch.setattr(graphs, "random_states", dict)


def results(made):
    """Return the numbers of each epoch, and all weights at the end."""
    torch.manual_seed(0)
    history = made.run()
    numbers = [[epoch.loss, epoch.distortion, epoch.rate, epoch.learning_rate] for epoch in history]
    return np.array(numbers), torch.cat([t.flatten() for t in made.model.state_dict().values()])


def compare(make, captures=1, **settings):
    """Compare a training whose steps are replayed with one whose steps are made one by one."""
    made, plain = make(**settings), make(**settings)
    plain.steps.obstacle = "none is to be captured"
    assert made.steps.obstacle is None
    for found, wanted in zip(results(made), results(plain), strict=True):
        assert_array_equal(found, wanted)
    assert (made.steps.graphs.captures, plain.steps.graphs.captures) == (captures, 0)
    return made


@pytest.mark.parametrize(
    "spec",
    [
        "annealed-vae",  # the target of its rate grows
        "factor-vae",  # has a critic
        "vq-vae",  # has moving averages
        recipe("sparse-batchtopk").replace(code=BatchTopK(k=2)),  # counts units
        "piwae",  # is differentiated twice
        "features",  # has a head
    ],
)
def test_replayed_steps_are_those_made_one_by_one(replayed, of_the_device, spec):
    compare(replayed, spec=spec)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_any_fused_optimizer_can_be_replayed(replayed, optimizer):
    clipped = Optimizer(optimizer, clip=0.1)
    compare(replayed, optimizer=clipped)


def test_batches_of_each_size_have_a_graph(replayed):
    def make(**settings):
        made = replayed(**settings)
        made.train = Selection(made.train.held, made.train.index[:38], 10)  # 10, 10, 9, 9
        return made

    compare(make, captures=2)


def test_the_terms_of_the_last_loss_are_known(replayed, of_the_device):
    latest = []

    class Read(Callback):
        def on_epoch(self, progress):
            latest.append(dict(progress.penalties))

    compare(replayed, spec="factor-vae", callbacks=[Read()])
    half = len(latest) // 2
    assert latest[:half] == latest[half:]
    assert len({str(terms) for terms in latest[:half]}) == half


def test_a_state_that_was_restored_gets_a_new_graph(replayed):
    """The loss is not finite once: training goes on from tensors at other places."""

    class Break(Callback):
        def on_epoch(self, progress):
            if len(progress.history) == 3 and not self.done:
                self.done = True
                with torch.no_grad():
                    next(progress.model.parameters()).fill_(torch.nan)

    def make():
        made = replayed(epochs=8)
        made.callbacks = [Break()]
        made.callbacks[0].done = False
        return made

    with pytest.warns(errors.AttarWarning, match="not finite in epoch 4"):
        compare(make, captures=2)


class Quiet(Callback):
    """Ends the noise of the input in the middle of the training."""

    def change(self, progress):
        if progress.fraction > 0.5:
            progress.model.corruption.low = progress.model.corruption.high = 0.0


class QuietAfterSteps(Quiet):
    def on_step(self, progress):
        self.change(progress)


class QuietAfterEpochs(Quiet):
    def on_epoch(self, progress):
        self.change(progress)


@pytest.mark.parametrize("callback", [QuietAfterSteps, QuietAfterEpochs])
def test_a_step_is_captured_again_when_an_attribute_changed(replayed, of_the_device, callback):
    def make():
        return replayed("denoising", callbacks=[callback()])

    compare(make, captures=2)


class Counting(CorruptionModule):
    """Counts its calls."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def corrupted(self, batch):
        self.calls += self.training
        return batch


class Drawing(CorruptionModule):
    def corrupted(self, batch):
        assert np.random.rand() < 1  # noqa: NPY002
        return batch


class Reading(CorruptionModule):
    def corrupted(self, batch):
        assert batch.values.sum().item() < np.inf
        return batch


@pytest.mark.parametrize(
    ("module", "obstacle"),
    [
        (Counting, r"a step changes Counting\.calls"),
        (Drawing, "a step changes NumPy's random numbers"),
        (Reading, "the processor reads results of a step"),
    ],
)
def test_what_a_graph_would_leave_out_is_an_obstacle(replayed, module, obstacle):
    def make():
        made = replayed()
        made.model.corruption = module()
        return made

    with pytest.warns(errors.AttarWarning, match=f"one by one, which is slower: {obstacle}"):
        made = compare(make, captures=0)
    if module is Counting:
        assert made.model.corruption.calls == 24  # each step was made, once


def test_random_numbers_of_the_processor_are_an_obstacle(replayed):
    with pytest.warns(errors.AttarWarning, match="a step changes torch's random numbers"):
        compare(replayed, captures=0, spec="vae")


def test_a_capture_that_fails_costs_no_step(replayed):
    def make():
        return replayed(error=RuntimeError("CUDA error: out of memory\nand more"))

    with pytest.warns(errors.AttarWarning, match="slower: CUDA error: out of memory"):
        compare(make, captures=0)


def test_other_devices_make_steps_one_by_one(training):
    assert isinstance(training(epochs=1000).steps, graphs.OneByOne)
