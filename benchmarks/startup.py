"""The time of verbs that have little to do, and the peak memory of a fit of MNIST.

Seconds are medians over fresh processes, including the start of Python, taken in turns. The peer is
the import of torch and of scikit-learn's base, which ``sample`` and ``encode`` need.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks._common import arguments, in_fresh_process, mnist, report

IMPORTS = "import torch, sklearn.base"
VERBS = {
    "help": "--help",
    "recipes": "recipes",
    "info": "info m.attar",
    "sample": "sample m.attar -n 4 -o new.npy",
    "encode": "encode m.attar ten.npy -o codes.npy",
}


def seconds(times: int) -> dict[str, float]:
    """Return the median time of each verb, and of the imports alone."""
    commands = {"python": ["-c", "pass"], "imports": ["-c", IMPORTS]}
    commands |= {verb: ["-m", "attar", *words.split()] for verb, words in VERBS.items()}
    taken: dict[str, list[float]] = {name: [] for name in commands}
    with TemporaryDirectory() as folder:
        in_fresh_process(write_files, folder)
        for _ in range(times):
            for name, words in commands.items():
                start = time.perf_counter()
                subprocess.run([sys.executable, *words], cwd=folder, stdout=DEVNULL, check=True)
                taken[name].append(time.perf_counter() - start)
    return {name: float(np.median(runs)) for name, runs in taken.items()}


def write_files(folder: str) -> None:
    """Write a model and ten rows into a folder."""
    import attar

    images = mnist("test")[:200]
    ae = attar.Autoencoder("vae", epochs=1, random_state=0, verbose=False).fit(images)
    ae.save(Path(folder, "m.attar"))
    np.save(Path(folder, "ten.npy"), images[:10])


def peak_megabytes() -> float:
    """Return the peak memory of this process after a fit of all of MNIST."""
    import resource

    import attar
    from attar.networks import Mlp

    attar.Autoencoder(code_size=32, network=Mlp(()), epochs=2, random_state=0).fit(mnist("train"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    options = arguments(__doc__, times=10)
    # Linux counts the parent's memory as the child's start: measure before this process grows.
    peak = in_fresh_process(peak_megabytes)
    taken = seconds(options.times)
    result = {f"{name}_seconds": median for name, median in taken.items()}
    slower = max(taken["sample"], taken["encode"])
    result |= {"slower_to_imports": slower / taken["imports"], "peak_megabytes": peak}
    report(result, [result], options.json)


if __name__ == "__main__":
    main()
