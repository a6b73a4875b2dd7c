"""Predict the missing cells of a table of mixed types."""

import numpy as np
import pandas as pd

import attar


def table(n: int = 3000) -> pd.DataFrame:
    """Return a table of flats: all columns tell of the same two things, size and place."""
    rng = np.random.default_rng(0)
    size, place = rng.uniform(25, 160, n), rng.integers(0, 4, n)
    return pd.DataFrame(
        {
            "area": size.round(1),
            "rooms": (size / 28 + rng.normal(0, 0.3, n)).round().clip(1).astype(int),
            "town": pd.Categorical.from_codes(place, ["Bonn", "Hof", "Kiel", "Ulm"]),
            "coast": place == 2,
            "rent": (size * (9 + 2 * place) * np.exp(rng.normal(0, 0.05, n))).round(2),
        }
    )


def main(epochs: int = 60) -> dict[str, float]:
    """Hide a tenth of the cells, fit on the rest, and return how well the hidden ones come back."""
    flats = table()
    hidden = np.random.default_rng(1).random(flats.shape) < 0.1
    seen = flats.convert_dtypes().mask(hidden)  # pandas' own dtypes hold whole numbers with gaps
    ae = attar.Autoencoder(code_size=4, epochs=epochs, random_state=0).fit(seen)
    back = ae.reconstruct(seen)
    print(pd.concat({"seen": seen.head(8), "predicted": back.head(8)}, axis=1).to_string())

    towns = hidden[:, 2]
    rents = hidden[:, 4]
    error = (back["rent"] - flats["rent"])[rents].abs().median() / flats["rent"].median()
    right = float((back["town"] == flats["town"].astype(str))[towns].mean())
    print(
        f"hidden rents are off by {error:.1%} in the median, {right:.0%} of hidden towns are right"
    )
    return {"rent": float(error), "town": right}


if __name__ == "__main__":
    main()
