"""Find the rows of a table that break its rule, though each of their cells looks normal."""

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import attar


def table(n: int = 2000, odd: int = 40) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a table of circles, and which of its last rows are none."""
    rng = np.random.default_rng(0)
    radius = rng.uniform(1, 5, n)
    circles = pd.DataFrame(
        {"radius": radius, "girth": 2 * np.pi * radius, "area": np.pi * radius**2}
    )
    circles.loc[n - odd :, "area"] = rng.permutation(circles["area"][-odd:])
    return circles, np.arange(n) >= n - odd


def main(epochs: int = 60) -> float:
    """Rank the rows, and return how often an odd one ranks above a normal one."""
    circles, is_odd = table()
    ae = attar.Autoencoder(code_size=1, epochs=epochs, random_state=0).fit(circles)
    oddness = -ae.score_samples(circles)
    print(circles.iloc[np.argsort(-oddness)[:5]])
    found = float(roc_auc_score(is_odd, oddness))
    print(f"an odd row ranks above a normal one {found:.0%} of the time")
    return found


if __name__ == "__main__":
    main()
