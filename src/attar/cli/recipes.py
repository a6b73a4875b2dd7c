"""attar recipes: the table of variants."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from attar.cli import arguments


def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One recipe, in full.")
    ] = None,
    names: Annotated[bool, typer.Option("--names", help="Print the names only.")] = False,
    as_json: arguments.Json = False,
) -> None:
    """Print the table of recipes, or one of them with its parts and where it was published."""
    from attar.recipes import TABLE, recipe

    chosen = dict(TABLE)
    if name is not None:
        recipe(name)
        chosen = {name: TABLE[name]}
    if as_json:
        table = [
            {"name": key, "summary": row.summary, "citation": row.citation}
            | {"recipe": row.recipe.to_json()}
            for key, row in chosen.items()
        ]
        print(json.dumps(table))
    elif name is not None:
        row = chosen[name]
        print(f"{name}: {row.summary}\n\n{row.recipe}\n\n{row.citation}")
    else:
        for key, row in chosen.items():
            print(key if names else f"{key:14} {row.summary}")
