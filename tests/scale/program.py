"""Fits of several processes, or of one: ``program.py FOLDER``; results go to FOLDER/NUMBER.json."""

import json
import os
import signal
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from sklearn.datasets import load_digits

import attar
from attar.data import source, training_data
from attar.scale import torchrun
from attar.training.checkpoints import Checkpoint

# Random numbers are of one worker each: these draw none but the order of rows.
EQUAL = ["ae", "sparse-kl", "sparse-batchtopk", "vq-vae", "lfq"]

folder, workers = Path(sys.argv[1]), int(os.environ.get("WORLD_SIZE", 1))
results = folder / f"{workers}.json"
X = load_digits().data[:600].astype(np.float32) / 16
Checkpoint.due = lambda checkpoint: True
warnings.simplefilter("ignore", attar.errors.AttarWarning)


class Killed(attar.training.callbacks.Callback):
    """Kills the last worker after the second of three epochs, once."""

    def __init__(self, worker):
        self.worker = worker

    def on_epoch(self, progress):
        if len(progress.history) == 3 and not (folder / "killed").exists():
            (folder / "killed").touch()
            os.kill(self.worker, signal.SIGKILL)


def weights(ae):
    return torch.cat([w.flatten().double() for w in ae.model_.state_dict().values()])


def alike(ae):
    """Whether all workers have the same weights."""
    if workers == 1:
        return True
    everyone = [torch.empty_like(weights(ae)) for _ in range(workers)]
    dist.all_gather(everyone, weights(ae))
    return all(torch.equal(everyone[0], one) for one in everyone)


def fits():
    settings = {"random_state": 0, "verbose": False, "batch_size": 64}
    found = {}
    for recipe in [*EQUAL, "beta-tcvae"] if workers < 4 else ["ae"]:
        ae = attar.Autoencoder(recipe, epochs=2, **settings).fit(X)
        found[recipe] = {"loss": ae.history_["loss"].tolist(), "alike": alike(ae)}
    try:
        attar.Autoencoder("features", epochs=1, **settings).fit(X)
    except attar.errors.SettingError as error:
        found["refused"] = str(error)
    source.MAX_FILE = training_data.HELD = 0  # a small table is read as a large one
    ae = attar.Autoencoder(epochs=4, **settings | {"batch_size": 512}).fit(folder / "parts")
    found["parts"] = {
        "loss": ae.history_["loss"].tolist(),
        "alike": alike(ae),
        "kind": ae.fitted_.kind.to_json(),
        "choices": [choice.to_json() for choice in ae.choices_],
        "judged": ae.fitted_.training_summary.measured.places.tolist(),
    }
    results.write_text(json.dumps(found))


with torchrun.joined() if torchrun.is_started() else nullcontext():
    if not results.exists():
        fits()
    if workers == 2:
        processes = [None, None]
        dist.all_gather_object(processes, os.getpid())
        ae = attar.Autoencoder(
            "vae", epochs=4, random_state=0, verbose=False, callbacks=[Killed(processes[1])]
        )
        ae.fit(X, checkpoint=folder / "checkpoint")
        again = attar.Autoencoder("vae", epochs=4, random_state=0, verbose=False).fit(X)
        resumed = {"same": torch.equal(weights(ae), weights(again)), "alike": alike(ae)}
        (folder / "resumed.json").write_text(json.dumps(resumed))
