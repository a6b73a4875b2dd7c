"""Codes: the features become a point, a sparse point, or a distribution."""

from attar.codes.code import Code, CodeModule
from attar.codes.gaussian import Gaussian
from attar.codes.ordered import Ordered
from attar.codes.point import Point
from attar.codes.sparse import SparseKL, SparseL1, TopK

__all__ = ["Code", "CodeModule", "Gaussian", "Ordered", "Point", "SparseKL", "SparseL1", "TopK"]
