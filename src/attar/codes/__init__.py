"""Codes: the features become a point, a sparse point, or a distribution."""

from attar.codes.ball import Poincare, WrappedNormal
from attar.codes.code import Code, CodeModule, Explain
from attar.codes.flowed import Flowed
from attar.codes.flows import InverseAutoregressive, Planar
from attar.codes.gaussian import Gaussian
from attar.codes.hamiltonian import Hamiltonian
from attar.codes.ladder import Ladder
from attar.codes.ordered import Ordered
from attar.codes.point import Point
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
from attar.codes.symbols import (
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

__all__ = [
    "BatchTopK",
    "BernoulliBits",
    "Code",
    "CodeModule",
    "Explain",
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
    "LookupFree",
    "Matryoshka",
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
