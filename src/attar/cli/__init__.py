"""The command line: thin verbs over the library.

A verb exits 0 on success, and 2 with one sentence on bad input.
"""

from __future__ import annotations

import sys
import time
import warnings

import typer

from attar import __version__
from attar.cli.anomalies import score
from attar.cli.apply import encode, evaluate, reconstruct, report, sample
from attar.cli.compress import compress, decompress
from attar.cli.export import export
from attar.cli.fit import fit
from attar.cli.forecast import forecast
from attar.cli.gaps import impute
from attar.cli.imports import import_keras
from attar.cli.latent import interpolate, neighbours
from attar.cli.predict import predict
from attar.cli.show import card, info, inspect, recipes
from attar.cli.tune import tune
from attar.errors import AttarError, AttarWarning, SettingError
from attar.scale import torchrun

# In which the first of several processes has ended after an error that all of them have.
SECONDS_OF_THE_FIRST = 3.0

app = typer.Typer(
    help="Autoencoders for everybody's data.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
VERBS = (
    *(fit, tune, inspect, encode, reconstruct, sample, evaluate, score, impute, forecast, predict),
    *(report, neighbours, interpolate, compress, decompress, export, info, card, recipes),
)
for verb in VERBS:
    app.command()(verb)
app.command("import")(import_keras)


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """Autoencoders for everybody's data."""
    if version:
        print(__version__)
        raise typer.Exit
    if torchrun.is_started():
        if context.invoked_subcommand != "fit":
            raise SettingError(
                f"torchrun trains a model, and {context.invoked_subcommand!r} trains none: run it "
                "without torchrun."
            )
        context.with_resource(torchrun.joined())


def main() -> None:
    """Run the command line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", AttarWarning)
        warnings.showwarning = _print_warning
        try:
            app(prog_name="attar")
        except AttarError as error:
            if not torchrun.is_first():
                # If the first process has the same error, torchrun ends this one before.
                time.sleep(SECONDS_OF_THE_FIRST)
            print(f"attar: {error}", file=sys.stderr)
            sys.exit(2)
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(1)


def _print_warning(message: Warning | str, *_: object, **__: object) -> None:
    if torchrun.is_first():
        print(f"attar: {message}", file=sys.stderr)
