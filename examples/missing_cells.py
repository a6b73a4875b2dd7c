"""Predict the missing cells of a table of mixed types."""

import numpy as np
import pandas as pd

import attar


def table(n: int = 3000) -> pd.DataFrame:
    """Return a table of flats, whose columns all depend on size and town."""
    rng = np.random.default_rng(0)
    size, town = rng.uniform(25, 160, n), rng.integers(0, 4, n)
    return pd.DataFrame(
        {
            "area": size.round(1),
            "rooms": (size / 28 + rng.normal(0, 0.3, n)).round().clip(1).astype(int),
            "town": pd.Categorical.from_codes(town, ["Bonn", "Hof", "Kiel", "Ulm"]),
            "coast": town == 2,
            "rent": (size * (9 + 2 * town) * np.exp(rng.normal(0, 0.05, n))).round(2),
        }
    )


def main(epochs: int = 60) -> dict[str, float]:
    """Hide a tenth of the cells, fit on the rest, and return errors of the predicted ones."""
    flats = table()
    hidden = np.random.default_rng(1).random(flats.shape) < 0.1
    observed = flats.convert_dtypes().mask(hidden)  # pandas' nullable dtypes
    ae = attar.Autoencoder(code_size=4, epochs=epochs, random_state=0).fit(observed)
    predicted = ae.reconstruct(observed)
    print(
        pd.concat(
            {"observed": observed.head(8), "predicted": predicted.head(8)}, axis=1
        ).to_string()
    )

    towns = hidden[:, 2]
    rents = hidden[:, 4]
    error = (predicted["rent"] - flats["rent"])[rents].abs().median() / flats["rent"].median()
    right = float((predicted["town"] == flats["town"].astype(str))[towns].mean())
    print(f"median error of hidden rents {error:.1%}, accuracy of hidden towns {right:.0%}")
    return {"rent": float(error), "town": right}


if __name__ == "__main__":
    main()
