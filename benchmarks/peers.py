"""The peers of ``tables``: codes of tables of mixed types, all of them linear.

They have no way with missing cells, so that means and most frequent levels stand in for them.
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
    """Return the names of the columns that hold numbers; all others hold levels."""
    return list(frame.select_dtypes("number").columns)


class Peer(ABC):
    """What brings a table back from codes of so many numbers.

    Parameters
    ----------
    code_size : int
    """

    def __init__(self, code_size: int) -> None:
        self.code_size = code_size

    def fit(self, frame: pd.DataFrame) -> Self:
        """Learn from a table."""
        self.numbers = numeric(frame)
        self.words = list(frame.columns.difference(self.numbers, sort=False))
        self.typical = {name: frame[name].mean() for name in self.numbers}
        self.typical |= {name: str(frame[name].mode()[0]) for name in self.words}
        self.learn(self._complete(frame))
        return self

    def reconstruct(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table as it comes back from its codes."""
        numbers, words = self.back(self._complete(frame))
        return pd.DataFrame(numbers, columns=self.numbers).join(
            pd.DataFrame(words, columns=self.words)
        )

    @abstractmethod
    def learn(self, frame: pd.DataFrame) -> None:
        """Learn from a table of floats and words without missing cells."""

    @abstractmethod
    def back(self, frame: pd.DataFrame) -> tuple[Rows, Rows]:
        """Return the numbers and the words that come back."""

    def _complete(self, frame: pd.DataFrame) -> pd.DataFrame:
        types = dict.fromkeys(self.numbers, "Float64") | dict.fromkeys(self.words, "str")
        complete = frame.astype(types).fillna(self.typical)
        return complete.astype(dict.fromkeys(self.numbers, "float64"))


class Typical(Peer):
    """Means and most frequent levels: what is known without a code."""

    def learn(self, frame: pd.DataFrame) -> None:
        """Learn nothing more."""

    def back(self, frame: pd.DataFrame) -> tuple[Rows, Rows]:
        """Return the same for each row."""
        numbers, words = (
            np.tile([self.typical[name] for name in names], (len(frame), 1))
            for names in (self.numbers, self.words)
        )
        return numbers, words


class Linear(Peer):
    """Principal components of standardized numbers beside levels as zeros and ones."""

    def learn(self, frame: pd.DataFrame) -> None:
        """Learn scales, levels and components."""
        self.scaler = StandardScaler().fit(frame[self.numbers])
        self.levels = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        self.levels.fit(frame[self.words])
        self.learn_components(frame)

    def back(self, frame: pd.DataFrame) -> tuple[Rows, Rows]:
        """Return the numbers, and of each column of words the level of the largest value."""
        numbers, ones = np.split(self.features_back(frame), [len(self.numbers)], axis=1)
        return self.scaler.inverse_transform(numbers), self.levels.inverse_transform(ones)

    @abstractmethod
    def learn_components(self, frame: pd.DataFrame) -> None:
        """Find the components."""

    @abstractmethod
    def features_back(self, frame: pd.DataFrame) -> Rows:
        """Return standardized numbers beside zeros and ones, as they come back."""


class Principal(Linear):
    """scikit-learn's principal components."""

    def learn_components(self, frame: pd.DataFrame) -> None:
        """Find the components."""
        self.pca = PCA(self.code_size).fit(self._features(frame))

    def features_back(self, frame: pd.DataFrame) -> Rows:
        """Return what the components keep."""
        return self.pca.inverse_transform(self.pca.transform(self._features(frame)))

    def _features(self, frame: pd.DataFrame) -> Rows:
        numbers, words = frame[self.numbers], frame[self.words]
        return np.hstack([self.scaler.transform(numbers), self.levels.transform(words)])


class Factors(Linear):
    """Factor analysis of mixed data in prince: ones weigh more where a level is rare (Pagès, 2004).

    prince has no way back from its codes, so that it is written here: the codes times the right
    singular vectors are its own features, numbers over their deviation and (one - p) / √p for a
    level of share p.
    """

    def learn_components(self, frame: pd.DataFrame) -> None:
        """Find the components."""
        self.famd = prince.FAMD(
            n_components=self.code_size,
            categorical_columns=self.words,
            handle_unknown="ignore",
            random_state=0,
        ).fit(frame)
        self.shares = self.levels.transform(frame[self.words]).mean(0)

    def features_back(self, frame: pd.DataFrame) -> Rows:
        """Return what the components keep."""
        codes = self.famd.row_coordinates(frame).to_numpy()
        features = codes @ self.famd.svd_.V
        ones = features[:, len(self.numbers) :]
        features[:, len(self.numbers) :] = ones * np.sqrt(self.shares) + self.shares
        return features
