"""Labels that were handed in as data: columns that say what is to be found."""

from __future__ import annotations

import numpy as np
from scipy.stats import mannwhitneyu

from attar.data.kind import Rows
from attar.data.table import Table
from attar.errors import warn
from attar.tasks.anomalies.densities import FARTHER, Array, Neighbours, spread_of

# What columns of labels are called, in small letters, without "is", spaces and other signs.
NAMES = {"abnormal", "anomalous", "anomaly", "class", "fraud", "fraudulent", "groundtruth"}
NAMES |= {"intrusion", "label", "labels", "outlier", "target", "y"}

# The rarer value is that of at most this share of the rows.
RARE = 0.4

# Of so many rows it is looked at whether those with the rarer value are farther from the others:
# so often in pairs, and by chance so seldom.
COMPARED, FARTHER_IN, CHANCE = 2000, 0.65, 1e-3


def warn_of_labels(kind: Table, rows: Rows, features: Array) -> None:
    """Warn of a column that seems to say which rows are odd.

    It has two values, one of them rare, and either the name of a label, or it is the first or the
    last column, the only one with these two values, and rows with the rarer one are farther from
    the others in all other columns.

    Parameters
    ----------
    kind : Table
    rows : array (n, cells)
        Raw rows.
    features : array (n, features)
        Of these rows, scaled, without missing values.
    """
    columns = [portion for portion in kind.portions if portion.columns.stop > portion.columns.start]
    places = dict(kind.parts)
    flags, values = {}, []
    for column in columns:
        cell = rows[:, column.columns.start].astype(np.float64)
        found, counts = np.unique(cell[~np.isnan(cell)], return_counts=True)
        if column.columns.stop - column.columns.start == 1 and len(found) == 2:
            values.append((column.type, *found))
            if counts.min() <= RARE * counts.sum():
                flags[column.name] = cell == found[counts.argmin()], values[-1]
    for name, (rare, own) in flags.items():
        word = "".join(filter(str.isalpha, name.lower())).removeprefix("is")
        at_end = name in (columns[0].name, columns[-1].name) and values.count(own) == 1
        if word in NAMES or (at_end and _odd(np.delete(features, places[name], 1), rare)):
            warn(
                f"Column {name!r} seems to be a label, with {rare.mean():.1%} of the rows marked: "
                "leave it out (--label in a shell), as new rows would have to have it too."
            )


def _odd(features: Array, rare: Rows) -> bool:
    """Return whether the rare rows are far from the others."""
    step = -(-len(rare) // COMPARED)
    rare, features = rare[::step], features[::step]
    if not features.shape[1] or not rare.any() or rare.all():
        return False
    neighbours = Neighbours(features / spread_of(features), FARTHER)
    near, every = neighbours.near(neighbours.rows), np.ones(len(features), bool)
    distances = neighbours.distance(neighbours.rows, near, every, FARTHER)
    test = mannwhitneyu(distances[rare], distances[~rare], alternative="greater")
    pairs = rare.sum() * (~rare).sum()
    return bool(test.statistic >= FARTHER_IN * pairs and test.pvalue < CHANCE)
