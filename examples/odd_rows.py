"""Find odd rows: a detector that saw benign tumours only, what it flags, and why."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

import attar

matplotlib.use("Agg")


def draw(
    scores: pd.Series, benign: pd.Series, limit: float, nats: pd.DataFrame, path: str | Path
) -> None:
    """Draw the distribution of scores with the limit, and the columns of the oddest rows."""
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=[2, 3])
    edges = np.linspace(0, scores.max(), 30)
    left.hist([scores[benign], scores[~benign]], edges, label=["benign", "malignant"])
    left.axvline(limit, color="black", linestyle="--", label="flagged beyond")
    left.set(xlabel="score in nats", ylabel="test rows")
    left.legend(frameon=False)
    image = right.imshow(nats, cmap="Reds", vmin=0, aspect="auto")
    right.set_xticks(range(nats.shape[1]), nats.columns, rotation=40, ha="right")
    right.set_yticks(range(len(nats)), [f"row {row}" for row in nats.index])
    figure.colorbar(image, label="nats")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(picture: str | Path = "odd_rows.png") -> dict[str, float]:
    """Fit to half of the benign rows, and return how well the others are told from malignant."""
    X, target = load_breast_cancer(return_X_y=True, as_frame=True)
    benign = target == 1
    fitted = benign & (benign.cumsum() % 2 == 0)
    detector = attar.AnomalyDetector(false_alarms=0.05, random_state=0).fit(X[fitted])

    test, is_benign = X[~fitted], benign[~fitted]
    odd = pd.Series(detector.predict(test) == -1, test.index)
    scores = pd.Series(-detector.score_samples(test), test.index)
    auc = float(roc_auc_score(~is_benign, scores))
    low, high = detector.alarm_interval_
    print(f"AUC of the malignant rows: {auc:.3f}; flagged: {odd[~is_benign].mean():.1%}")
    print(f"flagged of the benign: {odd[is_benign].mean():.1%} (promised: {low:.1%} to {high:.1%})")

    oddest = test.loc[scores.nlargest(6).index]
    cells = detector.explain(oddest, most=3)
    print(cells.round(3).to_string(index=False))
    nats = cells.pivot_table("nats", "row", "column").set_axis(oddest.index)
    draw(scores, is_benign, -detector.offset_, nats, picture)
    return {"auc": auc, "false_alarms": float(odd[is_benign].mean())}


if __name__ == "__main__":
    main()
