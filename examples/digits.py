"""Digits in 16 latent dimensions, with the reconstruction error beside PCA's."""

import attar


def main(epochs: int | str = "auto") -> dict[str, float]:
    """Train on the digits, and compare with PCA on test digits."""
    ae = attar.Autoencoder(code_size=16, epochs=epochs, random_state=0).fit("digits/train")
    metrics = ae.evaluate("digits/test")
    print(f"test MSE {metrics['error']:.5f}, PCA's {metrics['pca_error']:.5f}")
    for finding in ae.diagnose():
        print(finding)
    return metrics


if __name__ == "__main__":
    main()
