"""The time to import attar and to start its command line, and the peak memory of a fit of MNIST.

Seconds are medians over fresh processes, including the start of Python.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks._common import arguments, in_fresh_process, mnist, report


def seconds(command: list[str], times: int) -> float | None:
    """Return the median time of a command, or None if it fails."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        if subprocess.run(command, capture_output=True).returncode:
            return None
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


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
    script = str(Path(sys.executable).with_name("attar"))
    has_script = Path(script).exists()
    result = {
        "python_seconds": seconds([sys.executable, "-c", "pass"], options.times),
        "import_seconds": seconds([sys.executable, "-c", "import attar"], options.times),
        "help_seconds": seconds([script, "--help"], options.times) if has_script else None,
        "peak_megabytes": peak,
    }
    report(result, [result], options.json)


if __name__ == "__main__":
    main()
