"""The peers of ``tables``: codes of tables of mixed types, all of them linear.

They cannot handle missing cells, which are imputed by means and most frequent categories.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
import pandas as pd
import prince
from sklearn.decomposition import PCA
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks._common import Rows


def numeric(frame: pd.DataFrame) -> list[str]:
    """Return the names of the numeric columns; all others are categorical."""
    return list(frame.select_dtypes("number").columns)


class Peer(ABC):
    """Encodes and reconstructs a table.

    Parameters
    ----------
    code_size : int
    """

    def __init__(self, code_size: int) -> None:
        self.code_size = code_size

    def fit(self, frame: pd.DataFrame) -> Self:
        """Fit to a table."""
        self.numbers = numeric(frame)
        self.words = list(frame.columns.difference(self.numbers, sort=False))
        self.typical = {name: frame[name].mean() for name in self.numbers}
        self.typical |= {name: str(frame[name].mode()[0]) for name in self.words}
        self.fit_complete(self._complete(frame))
        return self

    def reconstruct(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the reconstruction of a table."""
        numbers, words = self.decode(self._complete(frame))
        return pd.DataFrame(numbers, columns=self.numbers).join(
            pd.DataFrame(words, columns=self.words)
        )

    @abstractmethod
    def fit_complete(self, frame: pd.DataFrame) -> None:
        """Fit to a table of floats and text without missing cells."""

    @abstractmethod
    def decode(self, frame: pd.DataFrame) -> tuple[Rows, Rows]:
        """Return the reconstructed numbers and categories."""

    def _complete(self, frame: pd.DataFrame) -> pd.DataFrame:
        types = dict.fromkeys(self.numbers, "Float64") | dict.fromkeys(self.words, "str")
        complete = frame.astype(types).fillna(self.typical)
        return complete.astype(dict.fromkeys(self.numbers, "float64"))


class Typical(Peer):
    """Means and most frequent categories: the reconstruction without a code."""

    def fit_complete(self, frame: pd.DataFrame) -> None:
        """Do nothing more."""

    def decode(self, frame: pd.DataFrame) -> tuple[Rows, Rows]:
        """Return the same row for all rows."""
        numbers, words = (
            np.tile([self.typical[name] for name in names], (len(frame), 1))
            for names in (self.numbers, self.words)
        )
        return numbers, words


class Linear(Peer):
    """Principal components of standardized numbers and one-hot categories."""

    def fit_complete(self, frame: pd.DataFrame) -> None:
        """Fit scales, categories and components."""
        self.scaler = StandardScaler().fit(frame[self.numbers])
        self.one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        self.one_hot.fit(frame[self.words])
        self.fit_components(frame)

    def decode(self, frame: pd.DataFrame) -> tuple[Rows, Rows]:
        """Return the numbers, and the category with the largest value of each text column."""
        numbers, ones = np.split(self.reconstructed_features(frame), [len(self.numbers)], axis=1)
        return self.scaler.inverse_transform(numbers), self.one_hot.inverse_transform(ones)

    @abstractmethod
    def fit_components(self, frame: pd.DataFrame) -> None:
        """Fit the components."""

    @abstractmethod
    def reconstructed_features(self, frame: pd.DataFrame) -> Rows:
        """Return the reconstruction of standardized numbers and one-hot categories."""


class Principal(Linear):
    """scikit-learn's PCA."""

    def fit_components(self, frame: pd.DataFrame) -> None:
        """Fit the components."""
        self.pca = PCA(self.code_size).fit(self._features(frame))

    def reconstructed_features(self, frame: pd.DataFrame) -> Rows:
        """Return the projection on the components."""
        return self.pca.inverse_transform(self.pca.transform(self._features(frame)))

    def _features(self, frame: pd.DataFrame) -> Rows:
        numbers, words = frame[self.numbers], frame[self.words]
        return np.hstack([self.scaler.transform(numbers), self.one_hot.transform(words)])


class Factors(Linear):
    """Factor analysis of mixed data in prince: rare categories have larger weights (Pagès, 2004).

    prince has no reconstruction, so it is written here: the codes times the right singular vectors
    are its features, standardized numbers and (one - p) / √p for a category of frequency p.
    """

    def fit_components(self, frame: pd.DataFrame) -> None:
        """Fit the components."""
        self.famd = prince.FAMD(
            n_components=self.code_size,
            categorical_columns=self.words,
            handle_unknown="ignore",
            random_state=0,
        ).fit(frame)
        self.shares = self.one_hot.transform(frame[self.words]).mean(0)

    def reconstructed_features(self, frame: pd.DataFrame) -> Rows:
        """Return the projection on the components."""
        codes = self.famd.row_coordinates(frame).to_numpy()
        features = codes @ self.famd.svd_.V
        ones = features[:, len(self.numbers) :]
        features[:, len(self.numbers) :] = ones * np.sqrt(self.shares) + self.shares
        return features
