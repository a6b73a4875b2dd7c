"""Fill gaps of a day in series, and squares of pictures that are hidden, beside what is true."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import attar

matplotlib.use("Agg")


def loads(steps: int = 1500) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Return a load and a temperature, hour by hour, and gaps of a day in the load."""
    rng = np.random.default_rng(0)
    hours = pd.date_range("2024-01-01", periods=steps, freq="h")
    slow = pd.Series(rng.normal(size=steps)).ewm(halflife=30).mean().to_numpy()
    warm = 10 + 4 * np.sin(2 * np.pi * (hours.hour - 9) / 24) + 25 * slow
    load = 80 - 2 * warm + 8 * (hours.hour.isin(range(7, 20))) + rng.normal(0, 2, steps)
    gap = np.zeros(steps, bool)
    for start in range(60, steps - 24, 150):
        gap[start : start + 24] = True
    return pd.DataFrame({"hour": hours, "warm": warm, "load": load}), gap


def draw(
    table: pd.DataFrame, sure: pd.DataFrame, pictures: NDArray[np.float64], path: str | Path
) -> None:
    """Draw the load with filled gaps, and pictures with holes, filled and as they were."""
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(11, 3.6), layout="constrained")
    series, images = figure.subfigures(1, 2, width_ratios=[1.6, 1])
    axis = series.subplots()
    shown = slice(0, 300)
    axis.plot(table["hour"][shown], table["load"][shown], color="lightgrey", label="load")
    label: str | None = "filled, with its interval of 90%"
    for _, part in sure[sure["row"] < 300].groupby((sure["row"].diff() != 1).cumsum()):
        hours = table["hour"].iloc[part["row"]]
        axis.plot(hours, part["value"].astype(float), color="tab:blue", label=label)
        low, high = (part[name].astype(float) for name in ("low", "high"))
        axis.fill_between(hours, low, high, color="tab:blue", alpha=0.2, linewidth=0)
        label = None
    axis.tick_params(axis="x", rotation=30)
    axis.legend(frameon=False)
    for row, name, stack in zip(
        images.subplots(3, 6), ("hidden", "filled", "truth"), pictures, strict=True
    ):
        row[0].set_ylabel(name)
        for cell, picture in zip(row, stack, strict=True):
            cell.imshow(picture, cmap="gray_r", vmin=0, vmax=16)
            cell.set(xticks=[], yticks=[], facecolor="tab:orange")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(picture: str | Path = "filled_series.png") -> dict[str, float]:
    """Hide gaps, fill them, and return errors beside those of straight lines and of means."""
    table, gap = loads()
    holes = table.assign(load=table["load"].mask(gap))
    imputer = attar.Imputer(random_state=0).fit(attar.Series(holes, time="hour"))
    error = float((imputer.transform(holes)["load"] - table["load"])[gap].std())
    lines = float((holes["load"].interpolate() - table["load"])[gap].std())
    print(f"gaps of a day: error {error:.2f}, of straight lines {lines:.2f}")

    digits = load_digits().images
    hidden = np.zeros(digits.shape, bool)
    places = np.random.default_rng(0).integers(0, 5, (len(digits), 2))
    for own, (top, left) in zip(hidden, places, strict=True):
        own[top : top + 4, left : left + 4] = True
    with_holes = np.where(hidden, np.nan, digits)
    filled = attar.Imputer(random_state=0).fit_transform(with_holes)
    of_pictures = float((filled - digits)[hidden].std())
    means = float((np.nanmean(with_holes, 0) - digits)[hidden].std())
    print(f"squares of 4 x 4 pixels: error {of_pictures:.2f}, of means {means:.2f}")
    shown = np.stack([x[:6] for x in (with_holes, filled, digits)])
    draw(table, imputer.uncertainty(holes), shown, picture)
    return {"series": error, "lines": lines, "pictures": of_pictures, "means": means}


if __name__ == "__main__":
    main()
