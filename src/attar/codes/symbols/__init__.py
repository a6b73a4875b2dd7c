"""Codes of symbols: what is discrete."""

from attar.codes.symbols.bernoulli import BernoulliBits
from attar.codes.symbols.finite import FiniteScalar
from attar.codes.symbols.gumbel import Gumbel
from attar.codes.symbols.hierarchical import Hierarchical
from attar.codes.symbols.levels import TwoLevels
from attar.codes.symbols.lookupfree import LookupFree
from attar.codes.symbols.product import ProductQuantized
from attar.codes.symbols.residual import ResidualQuantized
from attar.codes.symbols.simvq import SimVQ
from attar.codes.symbols.symbol import SymbolCode, SymbolModule
from attar.codes.symbols.vector import VectorQuantized

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
