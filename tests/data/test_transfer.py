"""Transfers to a GPU, with a stand-in for its streams."""

from contextlib import nullcontext

import pytest
import torch

from attar.data.transfer import IN_FLIGHT, transferred


class Event:
    def __init__(self, log):
        self.log = log

    def synchronize(self):
        self.log.append("waited")


class Stream:
    def __init__(self, log):
        self.log = log

    def record_event(self):
        return Event(self.log)

    def wait_event(self, event):
        self.log.append("ordered")


@pytest.fixture
def log(monkeypatch):
    """What the stand-in does, in its order."""
    log = []
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream(log))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream(log))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device, non_blocking: self.clone())
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: log.append("kept"))
    return log


@pytest.mark.parametrize("batches", [0, 1, IN_FLIGHT, 5 * IN_FLIGHT])
def test_a_gpu_gets_all_in_their_order_and_few_at_once(log, batches):
    copied, used = 0, []

    def read():
        nonlocal copied
        for batch in range(batches):
            copied += 1
            yield torch.tensor(batch)

    for batch in transferred(read(), torch.device("cuda")):
        used.append(batch.item())
        assert copied - len(used) < IN_FLIGHT
        assert copied - log.count("waited") <= 2 * IN_FLIGHT  # on the GPU
    assert used == list(range(batches))
    # Computation waits for each copy, whose memory stays until it was used.
    assert log.count("ordered") == log.count("kept") == batches


def test_other_devices_get_each_when_they_ask_for_it():
    read = iter(torch.arange(3))
    assert next(transferred(read, torch.device("cpu"))) == 0
    assert next(read) == 1
