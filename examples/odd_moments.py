"""Find odd moments: the temperature of a machine, from weeks before it failed.

The series is of the Numenta Anomaly Benchmark (https://github.com/numenta/NAB).
"""

import os
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

import attar

matplotlib.use("Agg")

FILE = "nab/machine_temperature_system_failure.csv"

# What engineers say was wrong: a planned stop, what led to the failure, and the failure.
KNOWN = [
    ("2013-12-15 17:50", "2013-12-17 17:00"),
    ("2014-01-27 14:20", "2014-01-29 13:30"),
    ("2014-02-07 14:55", "2014-02-09 14:05"),
]


def draw(new: pd.DataFrame, scores: pd.Series, limit: float, path: str | Path) -> None:
    """Draw the series, its score, what is flagged, and what engineers say."""
    from matplotlib import pyplot as plt

    figure, (top, bottom) = plt.subplots(2, 1, figsize=(11, 4.5), sharex=True, height_ratios=[3, 2])
    top.plot(new["timestamp"], new["value"], color="black", linewidth=0.5)
    bottom.plot(new["timestamp"], scores, linewidth=1)
    bottom.axhline(limit, color="black", linestyle="--", linewidth=1)
    for axis in (top, bottom):
        low, high = axis.get_ylim()
        axis.fill_between(new["timestamp"], low, high, scores > limit, color="C3", alpha=0.25)
        axis.set_ylim(low, high)
    for start, end in KNOWN:
        top.axvspan(pd.Timestamp(start), pd.Timestamp(end), 0, 0.05, color="C0")
    top.set(ylabel="temperature")
    bottom.set(ylabel="-log p")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(
    picture: str | Path = "odd_moments.png", folder: str | Path | None = None, every: int = 1
) -> dict[str, float]:
    """Learn the first 15%, and return how much of what is known is flagged, and of all else.

    Of the readings, each so-manieth one is taken.
    """
    path = Path(folder or os.environ.get("ATTAR_DATA", ".")) / FILE
    frame = pd.read_csv(path, parse_dates=["timestamp"])[::every]
    learnt = int(0.15 * len(frame))
    old, new = frame[:learnt], frame[learnt:].reset_index(drop=True)
    detector = attar.AnomalyDetector(random_state=0).fit(attar.Series(old, time="timestamp"))

    scores = pd.Series(-detector.score_samples(new))
    flagged = detector.predict(new) == -1
    known = np.zeros(len(new), bool)
    for start, end in KNOWN:
        known |= new["timestamp"].between(start, end).to_numpy()
    print(
        f"flagged: {flagged[known].mean():.0%} of what is known, {flagged[~known].mean():.1%} else"
    )

    why = detector.explain(new, most=1)
    print(why.loc[why["nats"].nlargest(3).index].round(2).to_string(index=False))
    draw(new, scores, -detector.offset_, picture)

    # In production each reading is scored as it comes, in constant time and memory.
    for time, value in zip(new["timestamp"], new["value"], strict=True):
        if detector.score_next([value], time) < detector.offset_:
            print(f"first alarm at {time}")
            break
    return {"found": float(flagged[known].mean()), "else": float(flagged[~known].mean())}


if __name__ == "__main__":
    main()
