"""Seconds per epoch of the same network, batches and steps: attar and three peers.

A plain autoencoder, 784-32-784 in batches of 256, and a variational one, 784-400-20 in batches of
128, on MNIST. Each contender trains in a fresh process, in turn; the first epoch is not counted.
The losses, in nats per row of the test images after as many epochs, come from one function for all.
"""

from __future__ import annotations

from importlib import import_module

from benchmarks._common import arguments, flat, in_fresh_process, middle, mnist, report, spread
from benchmarks.contenders import TASKS

PEERS = ("loop", "pythae", "keras")
CONTENDERS = ("attar", *PEERS)


def run(contender: str, name: str, epochs: int) -> dict[str, float]:
    """Return a contender's median seconds per epoch after the first, and its loss."""
    task, images = TASKS[name], mnist("train")
    fit = import_module(f"benchmarks.contenders.{contender}").fit
    trained = fit(task, images, epochs + 1)
    return {"seconds": trained.epoch_seconds(), "loss": trained.loss(task, flat(mnist("test")))}


def main() -> None:
    options = arguments(__doc__, epochs=3, repeats=2)
    result, table = {}, []
    for name in TASKS:
        runs: dict[str, list[dict[str, float]]] = {contender: [] for contender in CONTENDERS}
        for _ in range(options.repeats):
            for contender, done in runs.items():
                done.append(in_fresh_process(run, contender, name, options.epochs))
        seconds = {contender: middle(done, "seconds") for contender, done in runs.items()}
        losses = {contender: middle(done, "loss") for contender, done in runs.items()}
        ratios = {f"to_{peer}": seconds["attar"] / seconds[peer] for peer in PEERS}
        spreads = {contender: spread(done, "seconds") for contender, done in runs.items()}
        result[name] = {**seconds, **ratios, "loss": losses, "spread": spreads}
        table += [
            {
                "": name,
                "contender": contender,
                "seconds": seconds[contender],
                "ratio": ratios.get(f"to_{contender}", 1.0),
                "loss": losses[contender],
            }
            for contender in CONTENDERS
        ]
    report(result, table, options.json, "keras", "tensorflow", "pythae")


if __name__ == "__main__":
    main()
