"""Codes of which few units are active for any one row: a file for each idea."""

from attar.codes.sparse.batch_topk import BatchTopK
from attar.codes.sparse.gated import Gated
from attar.codes.sparse.jumprelu import JumpRelu
from attar.codes.sparse.kl import SparseKL
from attar.codes.sparse.l1 import SparseL1
from attar.codes.sparse.matryoshka import Matryoshka
from attar.codes.sparse.topk import TopK

__all__ = ["BatchTopK", "Gated", "JumpRelu", "Matryoshka", "SparseKL", "SparseL1", "TopK"]
