"""Customers of whom few were asked: a classifier of a mixed table, most of it without labels."""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.preprocessing import OneHotEncoder

import attar

matplotlib.use("Agg")

# Beside the plan, what stays of a customer is in three groups of such ages, orders and amounts.
GROUPS = {
    "students": (22, 3, 18.0, ("phone", "tablet")),
    "families": (41, 11, 64.0, ("phone", "computer")),
    "offices": (47, 24, 240.0, ("computer",)),
}


def customers(n: int, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Return made rows of customers with gaps, and what each of them would answer."""
    rng = np.random.default_rng(seed)
    groups = rng.choice(list(GROUPS), n, p=[0.4, 0.4, 0.2])
    rows = []
    for group in groups:
        age, orders, amount, devices = GROUPS[group]
        rows.append(
            {
                "age": max(18.0, rng.normal(age, 7)),
                "orders": rng.poisson(orders),
                "amount": amount * rng.lognormal(0, 0.5),
                "device": rng.choice(devices),
                "returns": rng.binomial(4, 0.4 if group == "families" else 0.15),
                "newsletter": bool(rng.random() < (0.7 if group == "students" else 0.3)),
            }
        )
    table = pd.DataFrame(rows)
    answer = pd.Series(groups).map({"students": "price", "families": "service", "offices": "speed"})
    changed = rng.random(n) < 0.05
    answer[changed] = rng.choice(["price", "service", "speed"], changed.sum())
    gaps = rng.random(table.shape) < 0.05
    gaps[:, -1] = False
    return table.mask(gaps), answer.rename("wants")


def compared(table: pd.DataFrame, few: pd.Series, test: pd.DataFrame) -> np.ndarray:
    """Return what gradient boosting on the labelled rows alone says of test rows."""
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer(
        (one_hot, make_column_selector(dtype_exclude="number")), remainder="passthrough"
    )
    columns.fit(table)
    known = few.notna()
    boosting = HistGradientBoostingClassifier(min_samples_leaf=2, random_state=0)
    boosting.fit(columns.transform(table[known]), few[known])
    return np.asarray(boosting.predict(columns.transform(test)))


def draw(p: np.ndarray, right: np.ndarray, held: pd.DataFrame, path: str | Path) -> None:
    """Draw whether probabilities are what they say, and what customers want by two columns."""
    from matplotlib import pyplot as plt

    figure, (left, middle) = plt.subplots(1, 2, figsize=(10, 4))
    top = p.max(1)
    edges = np.linspace(top.min(), 1, 6)
    bins = np.clip(np.digitize(top, edges) - 1, 0, 4)
    points = [
        (top[bins == b].mean(), right[bins == b].mean()) for b in range(5) if (bins == b).any()
    ]
    left.plot([0.3, 1], [0.3, 1], color="grey", linestyle="--")
    left.plot(*zip(*points, strict=True), "o-")
    left.set(xlabel="probability of the predicted answer", ylabel="share that is right")
    for answer, rows in held.groupby("predicted"):
        middle.scatter(rows["age"], rows["amount"], s=8, label=str(answer))
    middle.set(xlabel="age", ylabel="amount", yscale="log")
    middle.legend(title="predicted to want", frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(picture: str | Path = "customers.png", quick: bool = False) -> dict[str, float]:
    """Fit on customers of whom 2% were asked, and return how many others are told right."""
    n, epochs = (1000, 3) if quick else (4000, "auto")
    table, answer = customers(n)
    test, truth = customers(1000, seed=1)
    asked = np.arange(n) < n // 50
    few = answer.where(asked)
    classifier = attar.Classifier(epochs=epochs, random_state=0).fit(table, few)
    predicted, p = classifier.predict(test), classifier.predict_proba(test)
    right = predicted == truth.to_numpy()
    accuracy, boosting = float(right.mean()), float((compared(table, few, test) == truth).mean())
    print(f"{asked.sum()} of {n:,} customers were asked what they want.")
    print(f"Right of others: {accuracy:.1%}; gradient boosting on the asked alone: {boosting:.1%}")
    draw(p, right, test.assign(predicted=predicted), picture)
    return {"accuracy": accuracy, "boosting": boosting, "sure": float(p.max(1).mean())}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and epochs")
    main(quick=parser.parse_args().quick)
