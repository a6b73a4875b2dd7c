"""Discrete codes: vector, residual and scalar quantization, and relaxed categories and bits."""

from attar.codes.quantized.base import SymbolCode, SymbolModule
from attar.codes.quantized.relaxed import BernoulliBits, Gumbel
from attar.codes.quantized.residual import Hierarchical, ResidualQuantized
from attar.codes.quantized.scalar import FiniteScalar, LookupFree
from attar.codes.quantized.vq import ProductQuantized, SimVQ, TwoLevels, VectorQuantized

__all__ = [
    "BernoulliBits",
    "FiniteScalar",
    "Gumbel",
    "Hierarchical",
    "LookupFree",
    "ProductQuantized",
    "ResidualQuantized",
    "SimVQ",
    "SymbolCode",
    "SymbolModule",
    "TwoLevels",
    "VectorQuantized",
]
