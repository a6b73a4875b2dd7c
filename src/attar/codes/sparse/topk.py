"""Sparse codes that keep the largest units: TopK, BatchTopK and Matryoshka."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attar import workers
from attar.codes.base import Code, CodeModule, LogLikelihood
from attar.codes.sparse.thresholds import with_gradient
from attar.errors import SettingError
from attar.records import Coded

# A unit is idle after 8 times the rows in which it would be active once, were all units equal.
PATIENCE = 8
# The weight of the auxiliary loss relative to the reconstruction loss.
AUXILIARY_WEIGHT = 0.25
# The weight of the newest batch in the running mean of BatchTopK's threshold.
NEWEST = 0.05


@dataclass(frozen=True)
class LargestCode(Code):
    """A code of which only the largest units are kept."""

    k: int = 8

    beta = 0.0
    provides = frozenset({"point", "sparse"})

    @property
    def least_size(self) -> int:
        """Twice as many units as are active."""
        return 2 * self.k

    def active(self, code_size: int) -> int:
        """Return k, which must lie between 1 and the code's size.

        Raises
        ------
        SettingError
            If it does not.
        """
        if not isinstance(self.k, int) or not 1 <= self.k <= code_size:
            raise SettingError(
                f"A code of size {code_size} cannot keep k={self.k} units a row: choose k between "
                f"1 and {code_size}."
            )
        return self.k


class LargestModule(CodeModule):
    """Keeps the largest of features + bias, and revives idle units.

    In training, units that have been inactive for long are activated in some of the rows that the
    code reconstructs worst: those where the gradient of the log-likelihood in the unit is largest.
    There they must reconstruct what the code does not: the auxiliary loss of Gao et al., but with
    each idle unit as sparse as the others, so that they don't all learn the same. After an epoch
    without activity, a unit's bias is raised to where the row of its largest score would just have
    chosen it.

    Attributes
    ----------
    bias : Tensor (d,)
    counts : Tensor (d,)
        The number of rows in which each unit was active in this epoch.
    margin : Tensor (d,)
        The largest difference of each unit's score from the threshold in this epoch.
    idle : Tensor (d,)
        The number of rows since each unit was active.

    References
    ----------
    Gao et al., "Scaling and evaluating sparse autoencoders", ICLR 2025.
    """

    bias: Tensor
    counts: Tensor
    margin: Tensor
    idle: Tensor

    def __init__(self, code_size: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.register_buffer("bias", torch.zeros(code_size))
        self.register_buffer("counts", torch.zeros(code_size))
        self.register_buffer("margin", torch.full((code_size,), -torch.inf))
        self.register_buffer("idle", torch.zeros(code_size))

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the largest units of each row, the same with any noise."""
        z, auxiliary_loss = self.point(features), None
        if self.training and log_likelihood is not None:
            log_p, gradient = with_gradient(log_likelihood, z[None])
            idle = self.idle_codes(features + self.bias, log_p[0], gradient[0])
            auxiliary_loss = -AUXILIARY_WEIGHT * log_likelihood((z.detach() + idle)[None])
        return Coded(z[None], z.new_zeros(1, z.shape[0]), auxiliary_loss=auxiliary_loss)

    def idle_codes(self, scores: Tensor, log_p: Tensor, gradient: Tensor) -> Tensor:
        """Return codes (B, d) of the idle units alone.

        Each is active in k B / 2d rows, half as many as an average unit, by the difference of its
        score from its mean over all rows.

        Parameters
        ----------
        scores : Tensor (B, d)
        log_p : Tensor (B,)
            The log-likelihood of each row given its code.
        gradient : Tensor (B, d)
            The gradient of the log-likelihood in the code.
        """
        rows, size = scores.shape
        share = max(1, self.k * rows // (2 * size))
        idle = self.idle > PATIENCE * size / self.k
        # As many rows as idle units activate in all: others need no help.
        worst = log_p.argsort().argsort() < share * idle.sum()
        best = gradient.where(worst[:, None], -torch.inf).topk(share, dim=0).indices
        chosen = torch.zeros_like(scores).scatter(0, best, 1.0)
        # The mean has a gradient in all rows: without it the other scores would all be lowered.
        z = (scores - scores.mean(0)).relu() * chosen
        return z.where(idle, 0.0)

    def on_epoch(self) -> None:
        """Raise the bias of each unit that was inactive since the last call."""
        # Slightly above the threshold, since of equal scores either may be chosen.
        margin = workers.largest(self.margin) * (1 + 1e-6) - 1e-5
        self.bias -= torch.where(self.counts == 0, margin, 0.0)
        self.counts.zero_()
        self.margin.fill_(-torch.inf)

    def track(self, scores: Tensor, z: Tensor, threshold: Tensor) -> None:
        """Count active units, and note how near the scores came to the threshold (B or 1, 1)."""
        # A unit that is kept but negative has no gradient: it is not active.
        counts = torch.cat([(z > 0).sum(0), torch.full_like(self.counts[:1], len(z))])
        counts = workers.total(counts)
        active, rows = counts[:-1], counts[-1]
        self.counts += active
        self.idle.add_(rows).masked_fill_(active > 0, 0.0)
        torch.maximum(self.margin, (scores - threshold).amax(0), out=self.margin)


@dataclass(frozen=True)
class TopK(LargestCode, name="topk"):
    """The k largest units of each row, after ReLU; all others are zero.

    Idle units are trained on the residuals of the others, and their bias is raised, so that none
    stays dead.

    Parameters
    ----------
    k : int
        Active units a row; no more than the code's size.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import TopK
    >>> TopK(k=2).build(4).point(torch.tensor([[3.0, 1.0, 2.0, -1.0]]))
    tensor([[3., 0., 2., 0.]])

    References
    ----------
    Makhzani and Frey, "k-Sparse autoencoders", ICLR 2014. Gao et al., "Scaling and evaluating
    sparse autoencoders", ICLR 2025.
    """

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; k must lie between 1 and the code's size."""
        return TopKModule(code_size, self.active(code_size))


class TopKModule(LargestModule):
    """Keeps the k largest units of each row."""

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return relu(features + bias) where it is among the row's k largest, else zero."""
        scores = features + self.bias
        values, units = scores.topk(self.k, dim=-1)
        z = torch.zeros_like(scores).scatter(-1, units, values.relu())
        if self.training:
            self.track(scores.detach(), z.detach(), values[:, -1:].detach().clamp_min(0))
        return z

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with all but the k largest units at zero, and none negative."""
        values, units = z.topk(self.k, dim=-1)
        return torch.zeros_like(z).scatter(-1, units, values.relu())


@dataclass(frozen=True)
class BatchTopK(LargestCode, name="batchtopk"):
    """The k B largest units of a batch of B rows, after ReLU; all others are zero.

    Outside training a row must not depend on its neighbours: a unit is kept where it reaches a
    threshold, the running mean of the smallest activation kept in training. Idle units are revived
    as in ``TopK``.

    Parameters
    ----------
    k : int
        Active units a row in the mean; no more than the code's size.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import BatchTopK
    >>> code = BatchTopK(k=1).build(2)
    >>> code.point(torch.tensor([[3.0, 2.0], [1.0, 0.0]]))
    tensor([[3., 2.],
            [0., 0.]])
    >>> code.threshold
    tensor(2.)

    References
    ----------
    Bussmann, Leask and Nanda, "BatchTopK sparse autoencoders", NeurIPS workshop 2024.
    """

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; k must lie between 1 and the code's size."""
        return BatchTopKModule(code_size, self.active(code_size))


class BatchTopKModule(LargestModule):
    """Keeps the k B largest units of a batch in training, else those that reach the threshold."""

    threshold: Tensor
    batches: Tensor

    def __init__(self, code_size: int, k: int) -> None:
        super().__init__(code_size, k)
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("batches", torch.zeros(()))

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return features + bias where it reaches the threshold, else zero."""
        scores = features + self.bias
        if not self.training:
            return self.constrain(scores)
        rows = workers.all_rows(scores.detach())
        largest = rows.flatten().topk(self.k * len(rows), sorted=False).values
        threshold = largest.min().clamp_min(0)
        z = scores.where(scores >= threshold, 0.0)
        self.track(scores.detach(), z.detach(), threshold)
        self.batches += 1
        self.threshold.lerp_(threshold, self.batches.reciprocal().clamp_min(NEWEST))
        return z

    def constrain(self, z: Tensor) -> Tensor:
        """Return the codes with what is below the threshold at zero."""
        return z.where(z >= self.threshold, 0.0)


@dataclass(frozen=True)
class Matryoshka(LargestCode, name="matryoshka"):
    """Nested dictionaries: in training the first d/2, d/4, ... units reconstruct alone too.

    The active units are chosen as in ``BatchTopK``. Each row is decoded from all of them, from
    those in the first half of the code, in its first quarter, and so on; the loss is the mean over
    these. The first units become the most general features, which later ones need not split.

    Parameters
    ----------
    k : int
        Active units a row in the mean.
    levels : int
        The number of dictionaries, the whole code among them; each is half of the one before.

    Examples
    --------
    >>> import torch
    >>> from attar.codes import Matryoshka
    >>> code = Matryoshka(k=4, levels=3).build(4)
    >>> code(torch.tensor([[1.0, 2.0, 3.0, 4.0]])).z[:, 0]
    tensor([[1., 2., 3., 4.],
            [1., 2., 0., 0.],
            [1., 0., 0., 0.]])

    References
    ----------
    Bussmann, Nabeshima, Karvonen and Nanda, "Learning multi-level features with Matryoshka sparse
    autoencoders", ICML 2025. Kusupati et al., "Matryoshka representation learning", NeurIPS 2022.
    """

    levels: int = 4

    @property
    def least_size(self) -> int:
        """Twice as many units as are active, and one for the smallest dictionary."""
        return max(2 * self.k, 1 << (self.levels - 1))

    def build(self, code_size: int, shape: tuple[int, ...] = ()) -> CodeModule:
        """Return the module; the smallest dictionary must have a unit."""
        inner = BatchTopK(self.k).build(code_size, shape)
        if not isinstance(self.levels, int) or not 1 <= self.levels <= code_size.bit_length():
            raise SettingError(
                f"A code of size {code_size} cannot be halved to levels={self.levels} nested ones: "
                f"choose levels between 1 and {code_size.bit_length()}."
            )
        return MatryoshkaModule(inner, [code_size >> level for level in range(self.levels)])


class MatryoshkaModule(CodeModule):
    """Makes a training sample of an inner code for each nested dictionary."""

    masks: Tensor

    def __init__(self, inner: CodeModule, sizes: list[int]) -> None:
        super().__init__()
        self.inner = inner
        masks = torch.arange(sizes[0]) < torch.tensor(sizes)[:, None]
        self.register_buffer("masks", masks[:, None])

    def forward(
        self,
        features: Tensor,
        noise: Tensor | None = None,
        log_likelihood: LogLikelihood | None = None,
    ) -> Coded:
        """Return the codes; in training, one sample for each of the nested dictionaries.

        The whole code is the first sample.
        """
        coded = self.inner(features, noise, log_likelihood)
        if noise is not None:
            z = coded.z.expand(len(noise), -1, -1)
        else:
            z = coded.z * self.masks if self.training else coded.z
        return Coded(z, z.new_zeros(z.shape[:2]), auxiliary_loss=coded.auxiliary_loss)

    def point(self, features: Tensor, log_likelihood: LogLikelihood | None = None) -> Tensor:
        """Return the whole code of each row: (B, d)."""
        return self.inner.point(features)

    def constrain(self, z: Tensor) -> Tensor:
        """Return the nearest valid codes of the inner code."""
        return self.inner.constrain(z)

    def on_epoch(self) -> None:
        """Revive the idle units of the inner code."""
        self.inner.on_epoch()
