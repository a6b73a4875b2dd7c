"""Fits of 1, 2 and 4 processes: ``program.py FOLDER`` writes FOLDER/NUMBER.json and resumed.json.

The processes are forked, as torchrun would start them, so that modules are imported once.
"""

import json
import os
import signal
import socket
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np
import torch
import torch._dynamo
import torch.distributed as dist
from sklearn.datasets import load_digits

import attar
from attar.data import source, training_data
from attar.scale import torchrun
from attar.training.checkpoints import Checkpoint

# Each worker has random numbers of its own: these draw none but the order of rows.
EQUAL = ["ae", "sparse-kl", "sparse-batchtopk", "vq-vae", "lfq"]

folder = Path(sys.argv[1])
X = load_digits().data[:600].astype(np.float32) / 16
Checkpoint.due = lambda checkpoint: True
warnings.simplefilter("ignore", attar.errors.AttarWarning)


class Killed(attar.training.callbacks.Callback):
    """Kills a worker after the third of four epochs, once."""

    def __init__(self, worker):
        self.worker = worker

    def on_epoch(self, progress):
        if len(progress.history) == 3 and not (folder / "killed").exists():
            (folder / "killed").touch()
            os.kill(self.worker, signal.SIGKILL)


def weights(ae):
    return torch.cat([w.flatten().double() for w in ae.model_.state_dict().values()])


def alike(ae, workers):
    """Whether all workers have the same weights."""
    if workers == 1:
        return True
    everyone = [torch.empty_like(weights(ae)) for _ in range(workers)]
    dist.all_gather(everyone, weights(ae))
    return all(torch.equal(everyone[0], one) for one in everyone)


def fits(workers):
    settings = {"random_state": 0, "verbose": False, "batch_size": 64}
    found = {}
    for recipe in [*EQUAL, "beta-tcvae"] if workers < 4 else ["ae"]:
        ae = attar.Autoencoder(recipe, epochs=2, **settings).fit(X)
        found[recipe] = {"loss": ae.history_["loss"].tolist(), "alike": alike(ae, workers)}
    try:
        attar.Autoencoder("features", epochs=1, **settings).fit(X)
    except attar.errors.SettingError as error:
        found["refused"] = str(error)
    source.MAX_FILE = training_data.HELD = 0  # a small table is read as a large one
    for parts in ["parquet", "csv"]:
        ae = attar.Autoencoder(epochs=3, **settings | {"batch_size": 512}).fit(folder / parts)
        found[parts] = {
            "loss": ae.history_["loss"].tolist(),
            "alike": alike(ae, workers),
            "kind": ae.fitted_.kind.to_json(),
            "choices": [choice.to_json() for choice in ae.choices_],
            "judged": ae.fitted_.training_summary.measured.places.tolist(),
        }
    try:
        missing = folder / "csv" if dist.get_rank() == 0 else folder / "nowhere"
        attar.Autoencoder(epochs=1, **settings).fit(missing)
    except attar.errors.FileError as error:
        found["missing"] = str(error)
    (folder / f"{workers}.json").write_text(json.dumps(found))


def resumed(workers):
    """Fit once with a worker that is killed, or go on from there and compare."""
    processes = [None] * workers
    dist.all_gather_object(processes, os.getpid())
    settings = {"epochs": 4, "random_state": 0, "verbose": False}
    ae = attar.Autoencoder("vae", callbacks=[Killed(processes[-1])], **settings)
    ae.fit(X, checkpoint=folder / "checkpoint")
    again = attar.Autoencoder("vae", **settings).fit(X)
    found = {"same": torch.equal(weights(ae), weights(again)), "alike": alike(ae, workers)}
    (folder / "resumed.json").write_text(json.dumps(found))


def start(function, workers):
    """Run a function in processes of torchrun's environment; return their exit statuses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    places = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    os.environ |= {**places, "WORLD_SIZE": str(workers), "TORCHELASTIC_RESTART_COUNT": "0"}
    processes = []
    for rank in range(workers):
        process = os.fork()
        if not process:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            try:
                with torchrun.joined():
                    function(workers)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        processes.append(process)
    return [os.waitpid(process, 0)[1] for process in processes]


for workers in (1, 2, 4):
    assert start(fits, workers) == [0] * workers
assert start(resumed, 2)[-1] == signal.SIGKILL
assert start(resumed, 2) == [0, 0]
