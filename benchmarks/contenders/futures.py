"""The contenders of ``forecast``: what comes after each step of the last months.

Each gets the values (steps, channels) in units of the train part, where the train part and the
validation part end, and the horizon, and returns forecasts from all origins in the test part
(n, horizon, channels), with the two ends of 90% intervals if it has any.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks._common import Rows

# The history of those that do not choose it, and the period of hours.
HISTORY, DAY = 336, 24

Found = tuple[Rows, Rows | None, Rows | None]
Split = tuple[int, int]


def attar(
    values: Rows, split: Split, horizon: int, seed: int, history: int | None, validation: bool
) -> Found:
    """``attar.Forecaster``, which splits what it gets by itself, and then learns all of it."""
    from attar import Forecaster, Series

    hours = pd.date_range("2016-07-01", periods=len(values), freq="h")
    frame = pd.DataFrame(values, columns=[f"x{i}" for i in range(values.shape[1])])
    frame.insert(0, "time", hours)
    forecaster = Forecaster(horizon, history=history)
    forecaster.fit(Series(frame[: split[validation]], time="time"))
    test = forecaster.backtest(frame)
    since = len(test.forecast) - (len(values) - horizon - split[1] + 1)
    return test.forecast[since:], test.low[since:], test.high[since:]


def windows(values: Rows, start: int, stop: int, history: int, horizon: int) -> Rows:
    """Return the windows (n, channels, history + horizon) whose horizons are in some steps."""
    part = values[max(0, start - history) : stop]
    return sliding_window_view(part, history + horizon, axis=0)


def ridge(values: Rows, split: Split, horizon: int, seed: int, history: int, refit: bool) -> Found:
    """One ridge for all channels, of windows less their last value; penalty by validation."""
    cells = history + horizon
    parts = [
        windows(values, *ends, history, horizon)
        for ends in ((0, split[0]), split, (split[1], len(values)))
    ]
    lasts = [part[..., history - 1, None] for part in parts]
    x, y = zip(
        *(
            np.split((part - last).reshape(-1, cells), [history], axis=1)
            for part, last in zip(parts, lasts, strict=True)
        ),
        strict=True,
    )

    def solved(own: Rows, ahead: Rows, penalty: float) -> Rows:
        return np.linalg.solve(own + penalty * np.eye(history), ahead)

    own, ahead = [a.T @ a for a in x[:2]], [a.T @ b for a, b in zip(x[:2], y[:2], strict=True)]
    errors = {
        penalty: ((y[1] - x[1] @ solved(own[0], ahead[0], penalty)) ** 2).mean()
        for penalty in 10.0 ** np.arange(1, 5.1, 0.5)
    }
    penalty = min(errors, key=errors.__getitem__)
    both = 1 + refit
    weights = solved(sum(own[:both]), sum(ahead[:both]), penalty)
    forecast = (x[2] @ weights).reshape(*parts[2].shape[:2], horizon) + lasts[2]
    return forecast.transpose(0, 2, 1), None, None


def linear_network(values: Rows, split: Split, horizon: int, seed: int, decomposed: bool) -> Found:
    """NLinear or DLinear of Zeng et al. (AAAI 2023), with the steps and stops of their program."""
    import torch

    torch.manual_seed(seed)
    ends = ((0, split[0]), split, (split[1], len(values)))
    train, validation, test = (
        torch.tensor(windows(values, *each, HISTORY, horizon).astype(np.float32)) for each in ends
    )
    maps = torch.nn.ModuleList(torch.nn.Linear(HISTORY, horizon) for _ in range(1 + decomposed))

    def forecast(rows: torch.Tensor) -> torch.Tensor:
        past = rows[..., :HISTORY]
        if not decomposed:
            last = past[..., -1:]
            return maps[0](past - last) + last
        padded = torch.cat([past[..., :1].expand(*past.shape[:2], 12), past], -1)
        padded = torch.cat([padded, past[..., -1:].expand(*past.shape[:2], 12)], -1)
        trend = torch.nn.functional.avg_pool1d(padded, 25, 1)
        return maps[0](trend) + maps[1](past - trend)

    def error(rows: torch.Tensor) -> torch.Tensor:
        return ((forecast(rows) - rows[..., HISTORY:]) ** 2).mean()

    optimizer = torch.optim.Adam(maps.parameters(), 0.005)
    least, best, waited = np.inf, {}, 0
    for epoch in range(10):
        optimizer.param_groups[0]["lr"] = 0.005 * 0.5**epoch
        for batch in torch.randperm(len(train)).split(32):
            optimizer.zero_grad()
            error(train[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            judged = float(error(validation))
        waited += 1
        if judged < least:
            least, waited = judged, 0
            best = {name: tensor.clone() for name, tensor in maps.state_dict().items()}
        if waited == 3:
            break
    maps.load_state_dict(best)
    with torch.no_grad():
        return forecast(test).numpy().transpose(0, 2, 1), None, None


def naive(values: Rows, split: Split, horizon: int, seed: int, period: int) -> Found:
    """Repeat the values of the last period."""
    origins = np.arange(split[1], len(values) - horizon + 1)
    return values[origins[:, None] - period + np.arange(horizon) % period], None, None


CONTENDERS: dict[str, Callable[[Rows, Split, int, int], Found]] = {
    "attar": partial(attar, history=None, validation=True),
    "attar, history 336": partial(attar, history=HISTORY, validation=True),
    "attar, train part only": partial(attar, history=None, validation=False),
    "ridge 336": partial(ridge, history=HISTORY, refit=False),
    "ridge 512": partial(ridge, history=512, refit=False),
    "ridge 512, both parts": partial(ridge, history=512, refit=True),
    "NLinear 336": partial(linear_network, decomposed=False),
    "DLinear 336": partial(linear_network, decomposed=True),
    "seasonal naive": partial(naive, period=DAY),
    "last value": partial(naive, period=1),
}

# What gives the same for every seed.
FIXED = tuple(name for name in CONTENDERS if "Linear" not in name)
