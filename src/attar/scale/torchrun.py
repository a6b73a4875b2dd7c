"""Processes that torchrun started, which train a model together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def is_started() -> bool:
    """Return whether torchrun started this process, beside others or alone."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_first() -> bool:
    """Return whether this is the process that writes and prints."""
    return not is_started() or os.environ["RANK"] == "0"


@contextmanager
def joined() -> Iterator[None]:
    """Fit each model inside by all processes that torchrun started.

    Every process runs the same program. Each reads its share of the rows of several files, or of
    the row groups of a Parquet file, and computes its part of each batch; gradients are averaged,
    and all get the same model. What is saved and printed is for the first one: ``is_first()``.
    Exchange is by NCCL between GPUs, of which each process takes its own, else by gloo.

    Raises
    ------
    SettingError
        If torchrun did not start this process.

    Examples
    --------
    ``torchrun --nproc-per-node 4 program.py``, where program.py is::

        import attar
        from attar.scale import torchrun

        with torchrun.joined():
            ae = attar.Autoencoder("vae", random_state=0).fit("parts/")
        if torchrun.is_first():
            ae.save("m.attar")
    """
    import torch
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore

    from attar import workers
    from attar.errors import SettingError

    if not is_started():
        raise SettingError(
            "torchrun did not start this process: use torchrun --nproc-per-node 2 program.py."
        )
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    store, rank, count = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
    # After a restart the store still has the addresses of the processes before.
    attempt = os.environ["TORCHELASTIC_RESTART_COUNT"]
    store = PrefixStore(attempt, store)
    backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=count)
    try:
        with workers.joined():
            yield
    finally:
        dist.destroy_process_group()
