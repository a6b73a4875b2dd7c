"""A stand-in for CUDA graphs on a CPU: it records the operations of a step, and repeats them."""

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from attar.training.graphs import Graphs

# Operations whose results, or the sizes of them, the processor reads, or whose values are its own.
READS = ("_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "masked_select", "equal")
READS += ("linalg_eigh", "_linalg_eigh", "_linalg_svd", "bincount", "lift_fresh")


class Operations(TorchDispatchMode):
    """Notes each operation with its arguments and results."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        found = operation(*args, **(kwargs or {}))
        self.made.append((operation, args, kwargs or {}, found))
        return found


class Tape(Graphs):
    """Repeats operations on the very tensors that they were recorded with.

    Like a graph's, these operations get the numbers that Python had when they were recorded.
    """

    def __init__(self, tensors, error=None):
        self.tensors, self.error, self.captures = tensors, error, 0

    def stream(self):
        return nullcontext()

    def waits(self, work):
        with Operations() as operations:
            work()
        self.reads = [operation.name() for operation, *_ in operations.made if reads(operation)]
        return bool(self.reads)

    def captured(self, work):
        if self.error is not None:
            raise self.error
        self.captures += 1
        before, state = [tensor.clone() for tensor in self.tensors()], torch.get_rng_state()
        with Operations() as operations:
            work()
        with torch.no_grad():  # a capture does nothing yet
            for tensor, value in zip(self.tensors(), before, strict=True):
                tensor.copy_(value)
        torch.set_rng_state(state)
        return lambda: repeat(operations.made)


def reads(operation):
    return operation.name().removeprefix("aten::").split(".")[0] in READS


@torch.no_grad()
def repeat(operations):
    for operation, args, kwargs, found in operations:
        again = operation(*args, **kwargs)
        for old, new in zip(tree_leaves(found), tree_leaves(again), strict=True):
            if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                old.copy_(new)
