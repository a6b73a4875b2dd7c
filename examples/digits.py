"""Digits in 16 numbers each, and how much better they come back than from PCA."""

import attar


def main(epochs: int | str = "auto") -> dict[str, float]:
    """Learn the digits and compare on unseen ones."""
    ae = attar.Autoencoder(code_size=16, epochs=epochs, random_state=0).fit("digits/train")
    measured = ae.evaluate("digits/test")
    print(f"error {measured['error']:.5f}, with PCA {measured['pca_error']:.5f}")
    for finding in ae.diagnose():
        print(finding)
    return measured


if __name__ == "__main__":
    main()
