"""Fill the gaps of a table: how near filled cells are to the truth, and how sure they are."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from sklearn.datasets import load_wine

import attar

matplotlib.use("Agg")


def draw(cells: pd.DataFrame, errors: pd.DataFrame, path: str | Path) -> None:
    """Draw filled cells with intervals beside the truth, and the error of each column."""
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=[1, 1.2])
    inside = cells["truth"].between(cells["low"], cells["high"])
    for known, colour, label in ((inside, "tab:blue", "in"), (~inside, "tab:red", "out of")):
        part = cells[known]
        reach = [part["value"] - part["low"], part["high"] - part["value"]]
        name = f"truth {label} its interval of 90%"
        left.errorbar(part["truth"], part["value"], reach, fmt="o", ms=4, color=colour, label=name)
    ends = [cells["truth"].min(), cells["truth"].max()]
    left.plot(ends, ends, color="black", linewidth=0.8)
    left.set(xlabel="hidden flavanoids", ylabel="filled in")
    left.legend(frameon=False)
    errors.plot.barh(ax=right, color=["tab:blue", "lightgrey"])
    right.set(xlabel="error of hidden cells, in standard deviations", ylabel="")
    right.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(picture: str | Path = "filled_gaps.png") -> dict[str, float]:
    """Hide a fifth of the cells of a table of wines, and return the error of filled ones."""
    wines = load_wine(as_frame=True).data
    hidden = np.random.default_rng(0).random(wines.shape) < 0.2
    holes = wines.mask(hidden)

    imputer = attar.Imputer(random_state=0).fit(holes)
    filled = imputer.transform(holes)
    unsure = imputer.uncertainty(holes)

    spread = wines.std()
    error = ((filled - wines).where(hidden) ** 2).mean() ** 0.5 / spread
    of_means = ((holes.mean() - wines).where(hidden) ** 2).mean() ** 0.5 / spread
    errors = pd.DataFrame({"attar": error, "mean": of_means})
    print(errors.round(2).to_string())

    truth = wines.to_numpy()[unsure["row"], wines.columns.get_indexer(unsure["column"])]
    cells = unsure.assign(truth=truth).astype({"value": float, "low": float, "high": float})
    coverage = float(cells["truth"].between(cells["low"], cells["high"]).mean())
    print(f"hidden values in their intervals of 90%: {coverage:.0%}")
    draw(cells[cells["column"] == "flavanoids"], errors, picture)
    return {"error": float(error.mean()), "mean": float(of_means.mean()), "coverage": coverage}


if __name__ == "__main__":
    main()
