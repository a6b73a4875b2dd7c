"""Sparse codes: few units are active in any one row."""

from attar.codes.sparse.thresholds import Gated, JumpRelu, SparseKL, SparseL1
from attar.codes.sparse.topk import BatchTopK, Matryoshka, TopK

__all__ = ["BatchTopK", "Gated", "JumpRelu", "Matryoshka", "SparseKL", "SparseL1", "TopK"]
