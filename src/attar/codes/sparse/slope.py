"""What the decoder says of codes, and which way they would explain more."""

from __future__ import annotations

import torch
from torch import Tensor

from attar.codes.code import Explain


def with_slope(explain: Explain, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p(x | z) of codes (K, B, d) and its slope in them, as numbers to learn nothing by.

    Returns
    -------
    explained : Tensor (K, B)
    slope : Tensor (K, B, d)
    """
    with torch.enable_grad():
        apart = z.detach().requires_grad_()
        explained = explain(apart)
        (slope,) = torch.autograd.grad(explained.sum(), apart)
    return explained.detach(), slope
