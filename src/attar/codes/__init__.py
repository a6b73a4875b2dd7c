"""Codes: deterministic, sparse, discrete, and random with a posterior."""

from attar.codes.ball import Poincare, WrappedNormal
from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.codes.contextual import Contextual
from attar.codes.flowed import Flowed, InverseAutoregressive, Planar
from attar.codes.gaussian import Gaussian
from attar.codes.hamiltonian import Hamiltonian
from attar.codes.ladder import Ladder
from attar.codes.point import NoCode, Ordered, Point
from attar.codes.quantized import (
    BernoulliBits,
    FiniteScalar,
    Gumbel,
    Hierarchical,
    LookupFree,
    ProductQuantized,
    ResidualQuantized,
    SimVQ,
    SymbolModule,
    TwoLevels,
    VectorQuantized,
)
from attar.codes.riemannian import Riemannian
from attar.codes.sparse import (
    BatchTopK,
    Gated,
    JumpRelu,
    Matryoshka,
    SparseKL,
    SparseL1,
    TopK,
)
from attar.codes.sphere import Sphere, UniformSphere

__all__ = [
    "BatchTopK",
    "BernoulliBits",
    "Code",
    "CodeModule",
    "Contextual",
    "FiniteScalar",
    "Flowed",
    "Gated",
    "Gaussian",
    "Gumbel",
    "Hamiltonian",
    "Hierarchical",
    "InverseAutoregressive",
    "JumpRelu",
    "Ladder",
    "LogLikelihood",
    "LookupFree",
    "Matryoshka",
    "NoCode",
    "Ordered",
    "Planar",
    "Poincare",
    "Point",
    "ProductQuantized",
    "ResidualQuantized",
    "Riemannian",
    "SimVQ",
    "SparseKL",
    "SparseL1",
    "Sphere",
    "SymbolModule",
    "TopK",
    "TwoLevels",
    "UniformSphere",
    "VectorQuantized",
    "WrappedNormal",
]
