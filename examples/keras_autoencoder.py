"""The textbook autoencoder in Keras, trained by attar."""

import os

os.environ["KERAS_BACKEND"] = "torch"  # before Keras is imported

import keras

import attar


def networks(pixels: int = 64, code_size: int = 16) -> tuple[keras.Model, keras.Model]:
    """Return an encoder and a decoder of one layer each."""
    encoder = keras.Sequential(
        [keras.Input((pixels,)), keras.layers.Dense(code_size, activation="relu")]
    )
    decoder = keras.Sequential(
        [keras.Input((code_size,)), keras.layers.Dense(pixels, activation="sigmoid")]
    )
    return encoder, decoder


def main(epochs: int = 30) -> attar.Autoencoder:
    """Train on the digits, and print the test loss."""
    ae = attar.Autoencoder(
        network=networks(),
        likelihood="bernoulli-probability",
        scaling="min-max",
        epochs=epochs,
        random_state=0,
    ).fit("digits/train")
    print(f"{-ae.score('digits/test'):.2f} nats per test digit")
    return ae


if __name__ == "__main__":
    main()
