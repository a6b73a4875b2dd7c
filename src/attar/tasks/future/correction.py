"""What a linear forecast leaves: a masked autoencoder whose hidden cells are the future."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor, nn

from attar.tasks.future.linear import AT_ONCE, QUIET, LinearForecaster

Array = NDArray[np.float64]
Integers = NDArray[np.intp]

# The longest history, the units of the code, and the share of a history that is hidden at most.
LONGEST, UNITS, HIDDEN = 336, 64, 0.3

# How it is trained: windows in all, in a batch and held out; the fewest and the most epochs, and
# the optimizer's steps.
WINDOWS, BATCH, HELD_OUT, FEWEST, MOST, RATE, DECAY = 20_000, 128, 10_000, 12, 40, 2e-3, 0.1

# The shares of its correction that are tried. The best must save something of the error in each
# quarter of what is held out, and so much in all: what helped once in a series need not again.
SHARES, QUARTERS, HELPS = (0.25, 0.5, 1.0), 4, 0.97


@dataclass(frozen=True)
class Correction:
    """A share of what a masked autoencoder says of a linear forecast's errors.

    It gets the history, minus its last value and in units of its deviation, some of it hidden; it
    gives all of the history, and the errors of the linear forecast of what comes.

    Attributes
    ----------
    network : Module
    width : int
        The steps of its history.
    share : float
    """

    network: nn.Sequential
    width: int
    share: float

    @classmethod
    def fit(
        cls,
        train: Sequence[Array],
        held_out: Sequence[Array],
        linear: LinearForecaster,
        groups: Sequence[Integers],
    ) -> Self | None:
        """Return the correction that is best on held-out windows; None if it helps too little.

        Parameters
        ----------
        train, held_out : sequence of array (steps, channels)
            Of the latter, what is held out follows on the longest history of ``linear``.
        linear : LinearForecaster
        groups : sequence of int array (channels,)
            Of each series, as ``linear`` takes them.
        """
        width, horizon = min(LONGEST, linear.histories[-1]), linear.weights[0].shape[2]
        random = np.random.default_rng(0)
        x, y = _windows(train, groups, linear, width, WINDOWS, random)
        new_x, new_y = _windows(held_out, groups, linear, width, HELD_OUT, random)
        if not len(x) or len(new_x) < QUARTERS:
            return None
        generator = torch.Generator().manual_seed(0)
        network = _network(width, horizon)
        _start(network, width, generator)
        optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
        epochs = int(np.clip(FEWEST * WINDOWS / len(x), FEWEST, MOST))
        for epoch in range(epochs):
            for group in optimizer.param_groups:
                group["lr"] = RATE * (1 - epoch / epochs)
            for batch in torch.split(torch.randperm(len(x), generator=generator), BATCH):
                hidden = torch.rand(len(batch), width, generator=generator)
                hidden = hidden < HIDDEN * torch.rand(len(batch), 1, generator=generator)
                found = network(x[batch].masked_fill(hidden, 0.0))
                lost = (found[:, :width] - x[batch])[hidden].square().sum()
                missed = (found[:, width:] - y[batch]).square().mean()
                loss = missed + lost / hidden.sum().clamp(min=1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            said = network(new_x)[:, width:]
        before, *after = (
            [float(part.mean()) for part in ((share * said - new_y) ** 2).tensor_split(QUARTERS)]
            for share in (0.0, *SHARES)
        )
        errors = [sum(quarters) for quarters in after]
        best = int(np.argmin(errors))
        better = all(new < old for new, old in zip(after[best], before, strict=True))
        if not better or errors[best] > HELPS * sum(before):
            return None
        return cls(network, width, SHARES[best])

    def rolling(self, rows: Array, origins: Integers) -> Array:
        """Return what is added to forecasts (n, horizon, channels); 0 after a short history."""
        horizon = len(self.network.state_dict()["2.bias"]) - self.width
        found = np.zeros((len(origins), horizon, rows.shape[1]))
        places = np.flatnonzero(origins >= self.width)
        for start in range(0, len(places), AT_ONCE):
            some = places[start : start + AT_ONCE]
            windows = sliding_window_view(rows, self.width, axis=0)[origins[some] - self.width]
            scaled, scale = _scaled(windows)
            with torch.no_grad():
                said = self.network(torch.from_numpy(scaled.astype(np.float32)))
            ahead = said[..., self.width :].numpy().astype(np.float64)
            found[some] = self.share * (ahead * scale).transpose(0, 2, 1)
        return found

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights, and the share."""
        return {**self.network.state_dict(), "share": torch.tensor(self.share)}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return what :meth:`tensors` described."""
        state = dict(tensors)
        share = float(state.pop("share"))
        width = state["0.weight"].shape[1]
        network = _network(width, len(state["2.bias"]) - width)
        network.load_state_dict(state)
        return cls(network, width, share)


def _network(width: int, horizon: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, UNITS), nn.GELU(), nn.Linear(UNITS, width + horizon))


def _start(network: nn.Sequential, width: int, generator: torch.Generator) -> None:
    """Draw weights, such that no forecast is corrected yet."""
    state = network.state_dict()
    with torch.no_grad():
        for name in ("0.weight", "2.weight"):
            bound = state[name].shape[1] ** -0.5
            state[name].uniform_(-bound, bound, generator=generator)
        for name in ("0.bias", "2.bias"):
            state[name].zero_()
        state["2.weight"][width:] = 0.0


def _scaled(windows: Array) -> tuple[Array, Array]:
    """Return histories (..., width) minus their last value, in units of their deviations."""
    scale = np.sqrt(windows.var(-1, keepdims=True) + QUIET)
    return (windows - windows[..., -1:]) / scale, scale


def _windows(
    parts: Sequence[Array],
    groups: Sequence[Integers],
    linear: LinearForecaster,
    width: int,
    most: int,
    random: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Return a sample of scaled histories, and of the errors of forecasts from them."""
    longest, horizon = linear.histories[-1], linear.weights[0].shape[2]
    counts = [max(0, len(part) - longest - horizon + 1) for part in parts]
    share = min(1.0, most / max(1, sum(counts) * parts[0].shape[1]))
    xs, ys = [np.empty((0, width))], [np.empty((0, horizon))]
    for part, group, count in zip(parts, groups, counts, strict=True):
        chosen = random.choice(count, int(np.ceil(share * count)), replace=False)
        origins = longest + np.sort(chosen)
        if not count:
            continue
        scaled, scale = _scaled(sliding_window_view(part, width, axis=0)[origins - width])
        errors = part[origins[:, None] + np.arange(horizon)] - linear.rolling(part, group, origins)
        xs.append(scaled.reshape(-1, width))
        ys.append((errors.transpose(0, 2, 1) / scale).reshape(-1, horizon))
    x, y = (torch.from_numpy(np.concatenate(each).astype(np.float32)) for each in (xs, ys))
    return x, y
