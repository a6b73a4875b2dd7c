"""The figures of a code on rows: what it costs, and how much of it is in use."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from attar.applied import Applied
from attar.codes import SymbolModule
from attar.data.kind import Rows
from attar.evaluation.information import active_units
from attar.evaluation.symbols import relative_perplexity, usage
from attar.records import Coded


def coding(pieces: Iterable[tuple[Applied, Rows]], provides: frozenset[str]) -> dict[str, float]:
    """Return figures of the codes of rows (n, *cells), in pieces, as far as they have them.

    ``rate`` is in nats a row, ``active_units`` counts the dimensions whose mean varies with the
    row, ``codebook_use`` and ``perplexity`` are shares of the codebooks' sizes.

    Parameters
    ----------
    pieces : iterable
        Each with the model that is told of its rows.
    provides : frozenset of str
        What the code provides.
    """
    if not provides & {"density", "symbols"}:
        return {}
    rates: list[Tensor] = []
    means: list[Tensor] = []
    symbols: list[Tensor] = []
    sizes: tuple[int, ...] = ()
    for applied, piece in pieces:
        code = applied.model.code
        sizes = code.sizes if isinstance(code, SymbolModule) else ()
        noise = torch.randn(
            1, 1, applied.model.noise_size, generator=torch.Generator().manual_seed(0)
        )
        for coded in (trace.coded for trace in applied.traces(piece, noise)):
            rates.append(coded.rate[0].double().cpu())
            means += _means(coded)
            if coded.symbols is not None:
                symbols.append(coded.symbols[0].cpu())
    figures = {"rate": torch.cat(rates).mean().item()}
    if means:
        figures["active_units"] = float(active_units(torch.cat(means).numpy()).sum())
    if symbols:
        found = torch.cat(symbols).numpy()
        figures["codebook_use"] = float(np.mean(usage(found, sizes)))
        figures["perplexity"] = float(np.mean(relative_perplexity(found, sizes)))
    return figures


def _means(coded: Coded) -> list[Tensor]:
    return [] if coded.moments is None else [coded.moments[0].float().cpu()]
