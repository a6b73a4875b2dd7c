"""Peers of ``benchmarks.synthetic``, in an environment of their own: they need pandas 2.

``python synthesizers.py NAME TRAIN OUT EPOCHS`` fits a peer to a CSV file of complete numbers and
text, writes made rows, and prints the seconds of both together, and those of the CPU.
"""

import sys
import time

import numpy as np
import pandas as pd


class GaussianCopula:
    """The Gaussian copula of numbers; a category is a number within its share of [0, 1]."""

    def fit(self, table: pd.DataFrame) -> None:
        """Fit the copula."""
        from copulas.multivariate import GaussianMultivariate
        from copulas.univariate import BetaUnivariate

        self.types, self.shares = table.dtypes, {}
        numbers, random = table.copy(), np.random.default_rng(0)
        for name in table.select_dtypes(object):
            shares = table[name].value_counts(normalize=True)
            tops = shares.cumsum()
            top, share = table[name].map(tops), table[name].map(shares)
            numbers[name] = top - share * random.random(len(table))
            self.shares[name] = tops
        # As in SDV; of all that it knows, copulas would take many minutes to choose.
        self.model = GaussianMultivariate(BetaUnivariate, random_state=0)
        self.model.fit(numbers.astype(float))

    def sample(self, n: int) -> pd.DataFrame:
        """Return made rows."""
        table = self.model.sample(n)
        for name, tops in self.shares.items():
            places = np.searchsorted(tops.to_numpy(), table[name].to_numpy())
            table[name] = tops.index.to_numpy()[places.clip(max=len(tops) - 1)]
        for name in self.types.index[self.types.map(pd.api.types.is_integer_dtype)]:
            table[name] = table[name].round().astype(int)
        return table


def peer(name: str, table: pd.DataFrame, epochs: int) -> pd.DataFrame:
    """Return as many made rows as the table has."""
    if name == "copula":
        model = GaussianCopula()
        model.fit(table)
        return model.sample(len(table))
    import ctgan

    # Both draw their weights from the global generators.
    import torch

    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    settings = {"epochs": epochs, "enable_gpu": False}
    model = ctgan.TVAE(**settings) if name == "tvae" else ctgan.CTGAN(**settings)
    model.fit(table, list(table.select_dtypes(object)))
    return model.sample(len(table))


def main() -> None:
    name, source, output, epochs = sys.argv[1:]
    table = pd.read_csv(source, keep_default_na=False)
    start = time.perf_counter(), time.process_time()
    made = peer(name, table, int(epochs))
    print(time.perf_counter() - start[0], time.process_time() - start[1])
    made.to_csv(output, index=False)


if __name__ == "__main__":
    main()
