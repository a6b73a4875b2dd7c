"""Labels among the data are told, and flags are not taken for them."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

from attar.data.kinds import form_of
from attar.errors import AttarWarning
from attar.tasks.anomalies.features import Features
from attar.tasks.anomalies.labels import warn_of_labels

X, TARGET = load_breast_cancer(return_X_y=True, as_frame=True)
X, ODD = X[TARGET == 1], TARGET[TARGET == 1] == 0
X = pd.concat([X, load_breast_cancer(as_frame=True).data[TARGET == 0][:40]], ignore_index=True)
ODD = np.arange(len(X)) >= len(X) - 40
rng = np.random.default_rng(0)
CHANCE = rng.random(len(X)) < 0.1


def told(X):
    """Return what is said of labels."""
    kind, summary = form_of(X, None)
    with warnings.catch_warnings(record=True, action="always", category=AttarWarning) as caught:
        warn_of_labels(kind, summary.sample, Features.fit(kind, summary).of(summary.sample))
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("place", [0, 30])
@pytest.mark.parametrize("values", [(0, 1), (1.0, -1.0), (False, True), ("fine", "attack")])
def test_a_column_that_marks_odd_rows_is_a_label(place, values):
    table = X.copy()
    table.insert(place, "note", np.where(ODD, values[1], values[0]))
    (sentence,) = told(table)
    assert sentence.startswith("Column 'note' seems to be a label, with 10.1% of the rows marked")
    if values == (0, 1):
        (sentence,) = told(table.to_numpy())
        assert f"'x{place}'" in sentence


@pytest.mark.parametrize("name", ["is_fraud", "Class", "isAnomaly", "y"])
def test_a_label_has_a_name(name):
    table = X.copy()
    table.insert(7, name, CHANCE.astype(int))
    assert f"Column {name!r}" in told(table)[0]


def test_other_flags_are_none():
    assert not told(X)
    assert not told(X.assign(smoker=CHANCE))
    assert not told(X.assign(note=~CHANCE & (rng.random(len(X)) < 0.6)))
    # With one more flag, none of them is more of a label than others are.
    assert not told(X.assign(smoker=CHANCE, note=ODD))
    assert not told(X.assign(label=rng.integers(0, 9, len(X))))
