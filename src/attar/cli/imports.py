"""The verb import: what Keras trained as a model file."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import Annotated

import typer

from attar.cli import arguments
from attar.storage import check_writable


def import_keras(
    source: arguments.Source,
    output: arguments.ModelOutput,
    encoder: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="A .keras or .h5 file of the encoder.", show_default=False
        ),
    ],
    decoder: Annotated[
        Path | None, typer.Option(metavar="FILE", help="That of the decoder.", show_default=False)
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER",
            help="The layer whose output is the code, where --encoder is a whole autoencoder.",
            show_default=False,
        ),
    ] = None,
    scaling: Annotated[
        str,
        typer.Option(
            help="Of SOURCE for the encoder: none, or min-max for bytes where Keras had values "
            "from 0 to 1."
        ),
    ] = "none",
) -> None:
    """Make a model of an encoder and a decoder that Keras trained; SOURCE are rows to measure."""
    with arguments.importing():
        from attar.importing import from_keras

    check_writable(output)
    estimator = from_keras(encoder, decoder, source, code=code, scaling=scaling)
    estimator.save(output)
    diagnostics = estimator.fitted_.training_summary.diagnostics
    ratio = diagnostics.error_to_pca
    compared = "" if isnan(ratio) else f", {ratio:.2f} times PCA's"
    print(f"{output}: a code of {estimator.code_size_}, MSE {diagnostics.error:.4g}{compared}.")
