"""Detect anomalies: rows that break the table's rule, though each of their cells is usual."""

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import attar


def table(n: int = 2000, anomalies: int = 40) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a table of circles, and a mask of its last rows, which are not circles."""
    rng = np.random.default_rng(0)
    radius = rng.uniform(1, 5, n)
    circles = pd.DataFrame(
        {"radius": radius, "circumference": 2 * np.pi * radius, "area": np.pi * radius**2}
    )
    circles.loc[n - anomalies :, "area"] = rng.permutation(circles["area"][-anomalies:])
    return circles, np.arange(n) >= n - anomalies


def main(epochs: int = 60) -> float:
    """Rank the rows by log-likelihood, and return the AUC of the anomalies."""
    circles, is_anomaly = table()
    ae = attar.Autoencoder(code_size=1, epochs=epochs, random_state=0).fit(circles)
    log_likelihoods = ae.score_samples(circles)
    print(circles.iloc[np.argsort(log_likelihoods)[:5]])
    auc = float(roc_auc_score(is_anomaly, -log_likelihoods))
    print(f"AUC of the anomalies: {auc:.3f}")
    return auc


if __name__ == "__main__":
    main()
