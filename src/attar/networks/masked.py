"""Masked networks of flows, which are zuko's: each output depends on the numbers before its own."""

from __future__ import annotations

from itertools import pairwise

from attar.errors import SettingError

# zuko makes its masks from values, so even a model that is read from a file allocates a network of
# the size that the file claims, before its weights are compared with it.
MOST_WEIGHTS = 2**24


def hidden_features(size: int, widths: tuple[int, ...], each: int) -> list[int]:
    """Return the sizes of the hidden layers over ``size`` numbers, with ``each`` outputs a number.

    No layer has fewer units than there are numbers: zuko's would not depend on the last ones then.

    Raises
    ------
    SettingError
        If the widths are no positive integers, or the network has too many weights.
    """
    if any(not isinstance(width, int) or width < 1 for width in widths):
        raise SettingError(f"The widths of a flow are positive integers, not {widths!r}.")
    hidden = [max(width, size) for width in widths]
    weights = sum(before * after for before, after in pairwise([size, *hidden, size * each]))
    if weights > MOST_WEIGHTS:
        raise SettingError(
            f"A flow over {size} numbers with widths {widths!r} has {weights:.0e} weights: use a "
            "smaller code, or smaller widths."
        )
    return hidden
