"""Forecast the next four days of an electricity transformer, from its hours before.

The series is of the Electricity Transformer Dataset (https://github.com/zhouhaoyi/ETDataset).
"""

import os
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

import attar

matplotlib.use("Agg")

FILE = "series/ETTh1.csv"
NAMES = {"HUFL": "load", "OT": "oil temperature"}

# The hours of a month, and how many hours are forecast.
MONTH, HORIZON = 30 * 24, 96


def draw(past: pd.DataFrame, fan: pd.DataFrame, came: pd.DataFrame, path: str | Path) -> None:
    """Draw the last week, quantiles of what comes, and what came."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(len(NAMES), 1, figsize=(11, 5), sharex=True)
    for axis, (name, words) in zip(axes, NAMES.items(), strict=True):
        axis.plot(past["date"], past[name], color="black", linewidth=1)
        axis.plot(came["date"], came[name], color="black", linewidth=1, linestyle=":")
        for low, high in ((0.05, 0.95), (0.25, 0.75)):
            ends = fan[f"{name}_{low}"], fan[f"{name}_{high}"]
            axis.fill_between(fan["date"], *ends, color="C0", alpha=0.25, linewidth=0)
        axis.plot(fan["date"], fan[name], color="C0", linewidth=1.5)
        axis.set(ylabel=words)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(
    picture: str | Path = "next_days.png",
    folder: str | Path | None = None,
    months: int = 16,
    later: int = 4,
) -> dict[str, float]:
    """Learn some months, forecast from each hour of later ones, and return how good that is."""
    path = Path(folder or os.environ.get("ATTAR_DATA", ".")) / FILE
    frame = pd.read_csv(path, parse_dates=["date"], usecols=["date", *NAMES])
    start, end = months * MONTH, (months + later) * MONTH
    learnt, seen = frame[:start], frame[:end]
    forecaster = attar.Forecaster(HORIZON).fit(attar.Series(learnt, time="date"))

    # What would have been forecast at each hour since, and how often the truth was in its interval.
    test = forecaster.backtest(seen)
    print(test.scores().round(2))
    last = np.stack([frame[name].to_numpy()[start - 1 : -1] for name in NAMES], 1)
    last = last[: len(test.actual), None]
    better = 1 - ((test.actual - test.forecast) ** 2).mean() / ((test.actual - last) ** 2).mean()
    print(f"squared errors: {better:.0%} below those of the last value")

    # What comes after the hours that were seen: the intervals have learnt from them.
    fan = forecaster.predict_quantiles(seen, quantiles=(0.05, 0.25, 0.75, 0.95))
    print(fan.head(3).to_string(index=False, float_format="{:.2f}".format))
    draw(seen[-168:], fan, frame[end:][:HORIZON], picture)
    return {"better": float(better), "coverage": float(np.nanmean(test.covered))}


if __name__ == "__main__":
    main()
