"""The processes that train a model together, by ``torch.distributed``; or this one alone.

All run the same program, each on its share of the rows, and stay equal because whatever decides or
changes the model is a sum or a mean over all of them, or what the first one has. Each function here
is such an exchange, and leaves its argument as it is where there is one process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from attar.errors import AttarError

T = TypeVar("T")

_joined = _together = False


@contextmanager
def joined() -> Iterator[None]:
    """Let each fit inside be one of all processes of torch's default process group.

    That there is a group does not say that all of its processes fit the same model.
    """
    global _joined
    _joined = dist.get_world_size() > 1
    try:
        yield
    finally:
        _joined = False


@contextmanager
def together() -> Iterator[None]:
    """Exchange with the other workers inside, if this process has joined any."""
    global _together
    before, _together = _together, _joined
    try:
        yield
    finally:
        _together = before


def count() -> int:
    """Return how many workers there are."""
    return dist.get_world_size() if _together else 1


def rank() -> int:
    """Return which worker this is, from 0."""
    return dist.get_rank() if _together else 0


def share(rows: Tensor) -> Tensor:
    """Return this worker's part of the rows of a batch."""
    return rows.tensor_split(count())[rank()] if _together else rows


def same(value: T) -> T:
    """Return the first worker's value."""
    if not _together:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def gathered(value: T) -> list[T]:
    """Return the values of all workers."""
    if not _together:
        return [value]
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value)
    return values


@contextmanager
def all_or_none() -> Iterator[None]:
    """Raise an error of attar's that one worker raises inside in all of them."""
    error: AttarError | None = None
    try:
        yield
    except AttarError as raised:
        error = raised
    errors = gathered(error)
    for worker, found in enumerate(errors):
        if found is not None and None not in errors:
            raise found
        if found is not None:
            raise type(found)(f"Worker {worker} of {len(errors)}: {found}")


def total(x: Tensor) -> Tensor:
    """Return the sum over the workers."""
    return _reduced(x, dist.ReduceOp.SUM) if _together else x


def largest(x: Tensor) -> Tensor:
    """Return the maximum over the workers, cell by cell."""
    return _reduced(x, dist.ReduceOp.MAX) if _together else x


def _reduced(x: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
    reduced = x.detach().clone()
    dist.all_reduce(reduced, operation)
    return reduced


def average_gradients(weights: Iterable[Tensor], rows: int) -> None:
    """Replace gradients by their mean over the workers, each weighted by its number of rows."""
    if not _together:
        return
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    one = gradients[0].new_ones(1)
    sums = rows * torch.cat([*(gradient.flatten() for gradient in gradients), one])
    dist.all_reduce(sums)
    sizes = [gradient.numel() for gradient in gradients]
    means = torch.split(sums[:-1] / sums[-1], sizes)
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))


def all_rows(x: Tensor) -> Tensor:
    """Return the rows (B, ...) of all workers' parts of a batch, for what compares rows.

    Each worker's own rows have a gradient, of which :func:`average_gradients` makes that of the
    whole batch: own rows count as often in its mean as there are others' beside them.
    """
    if not _together:
        return x
    rows: Tensor = AllRows.apply(x)  # type: ignore[no-untyped-call]
    return rows


class AllRows(torch.autograd.Function):
    """Gathers rows; the gradient of own rows is weighted by N / B."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return the rows of all workers: (N, ...)."""
        ctx.own, ctx.sizes = len(x), gathered(len(x))
        most = max(ctx.sizes)
        padded = torch.cat([x, x.new_zeros(most - len(x), *x.shape[1:])])
        parts = [torch.empty_like(padded) for _ in ctx.sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:n] for part, n in zip(parts, ctx.sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient of own rows (B, ...)."""
        start = sum(ctx.sizes[: rank()])
        own: Tensor = gradient[start : start + ctx.own] * (sum(ctx.sizes) / ctx.own)
        return own
