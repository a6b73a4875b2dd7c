"""Clean noisy digits with a model that has learnt to undo noise."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import attar
from attar.corruptions import GaussianNoise


def main(epochs: int = 100) -> tuple[float, float]:
    """Return the error of unseen noisy digits, and their error once cleaned."""
    clean, unseen = train_test_split(load_digits().images / 16, random_state=0)
    noisy = unseen + 0.3 * np.random.default_rng(0).standard_normal(unseen.shape)
    ae = attar.Autoencoder(
        code_size=16,
        corruption=GaussianNoise(0.3),
        scaling="none",
        epochs=epochs,
        random_state=0,
    ).fit(clean)
    before = float(np.mean((noisy - unseen) ** 2))
    after = float(np.mean((ae.reconstruct(noisy) - unseen) ** 2))
    print(f"error {before:.4f} with noise, {after:.4f} once cleaned")
    return before, after


if __name__ == "__main__":
    main()
