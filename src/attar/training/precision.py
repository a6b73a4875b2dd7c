"""Where half precision pays."""

from __future__ import annotations

import torch

# Multiplications in a step's forward pass, from which a processor gains more than it loses by
# changing numbers from one precision to the other.
LARGE = 2**24


def half_pays(device: torch.device, batch_size: int, weights: int) -> bool:
    """Return whether networks of so many weights learn faster in bfloat16 on this device.

    A GPU's always do; a processor's, where it multiplies such numbers itself and steps are large.
    """
    if device.type == "cuda":
        return True
    return device.type == "cpu" and batch_size * weights >= LARGE and processor_halves()


def processor_halves() -> bool:
    """Return whether this processor multiplies bfloat16 faster than single precision."""
    if not hasattr(torch.cpu, "get_capabilities"):  # of later versions of torch
        return False
    capable = torch.cpu.get_capabilities()
    return any(capable.get(unit, False) for unit in ("avx512_bf16", "amx_bf16"))
