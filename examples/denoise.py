"""Denoise digits; the level of the noise is estimated."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import attar


def main(epochs: int = 100) -> tuple[float, float]:
    """Return the error of noisy test digits, and their error once denoised."""
    train, test = train_test_split(load_digits().images / 16, random_state=0)
    noisy = test + 0.3 * np.random.default_rng(0).standard_normal(test.shape)
    ae = attar.Autoencoder("denoising", code_size=16, epochs=epochs, random_state=0).fit(train)
    before = float(np.mean((noisy - test) ** 2))
    after = float(np.mean((ae.denoise(noisy) - test) ** 2))
    print(f"MSE {before:.4f} with noise, {after:.4f} once denoised")
    return before, after


if __name__ == "__main__":
    main()
