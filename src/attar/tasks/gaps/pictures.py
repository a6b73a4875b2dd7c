"""PictureImputation: missing pixels, filled by the others and by pictures that are alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from attar.data.images import Images
from attar.data.kind import Json, Rows
from attar.data.pictures import Pictures
from attar.data.stream import pieces
from attar.errors import DataError, warn
from attar.plan import check_rows
from attar.tasks.gaps.imputation import ImputationModel, ImputationSettings, error_table

# Cells of a picture at most, pictures that are learned from, looked up in and held out, and how
# many are averaged.
CELLS, ROWS, KEYS, HELD, NEAREST = 4096, 10_000, 4000, 400, 10

# What is tried: variances of each cell by itself, as shares of the mean variance, and how far the
# mean is moved to that of pictures that are alike.
RIDGES, MOVED = (1e-6, 1e-2, 3e-2), (0.0, 0.5)

# Steps of expectation maximization, for pictures with so many operations in all; how many numbers
# of matrices are in memory at once; and quantiles of errors.
STEPS, OPERATIONS, AT_ONCE, QUANTILES = 8, 2e11, 1 << 22, 201


@dataclass(frozen=True)
class PictureImputation(ImputationModel):
    """What fills missing pixels.

    Pictures are Gaussian around a mean that is moved to the mean of those that are alike in what
    is known. Of missing cells m, given known ones o and the precision Λ = Σ⁻¹, the expected value
    is μ_m - Λ_mm⁻¹ Λ_mo (x_o - μ_o), with covariance Λ_mm⁻¹.

    Attributes
    ----------
    form : Images
    mean : Tensor (cells,)
        In units of the deviation of a channel, as all else.
    scale : Tensor (cells,)
    precision : Tensor (cells, cells)
    keys : Tensor (pictures, cells)
        Complete, to look up in.
    moved : float
        How far the mean is moved.
    quantiles : Tensor (quantiles,)
        Of errors of hidden cells, in deviations.
    scores, baseline, missing : Tensor (channels,)
        The root mean squared error of hidden cells, that of the mean, and the share of missing
        ones.
    seen : Tensor of bool (cells,)
        Which cells were known in any picture.
    whole : bool
        Whether all values are integers.
    """

    form: Images
    mean: Tensor
    scale: Tensor
    precision: Tensor
    keys: Tensor
    moved: float
    quantiles: Tensor
    scores: Tensor
    baseline: Tensor
    missing: Tensor
    seen: Tensor
    whole: bool

    name = "images"

    @classmethod
    def fit(cls, data: Any, settings: ImputationSettings) -> Self:
        """Return what fills missing pixels of such pictures, judged on pixels that are hidden."""
        settings.refuse_of_tables("images")
        if isinstance(data, Pictures):
            raise DataError(
                "Files of pictures have no missing pixels: give an array (n, height, width[, "
                "channels]) with NaN where a pixel is missing."
            )
        form, summary = Images.of(pieces(data))
        check_rows(summary.rows, form.shape)
        cells, channels = prod(form.shape), form.shape[0]
        if cells > CELLS:
            raise DataError(
                f"Imputer takes pictures of up to {CELLS:,} values, and these have {cells:,}: cut "
                "them into tiles, or resize them."
            )
        raw = torch.from_numpy(summary.sample[:ROWS].astype(np.float64)).flatten(1)
        known = ~raw.isnan()
        seen = known.any(0)
        if not seen.all():
            warn(f"{int((~seen).sum()):,} pixels have no value in any picture: they stay missing.")
        by_channel = raw.reshape(len(raw), channels, -1)
        scale = _deviations(by_channel).repeat_interleave(cells // channels)
        values = raw / scale
        generator = torch.Generator().manual_seed(settings.seed)
        order = torch.randperm(len(values), generator=generator)
        held = order[: min(HELD, len(values) // 4)]
        others = order[len(held) :] if len(held) else order
        mean = values[others].nanmean(0).nan_to_num()
        covariance, complete = _maximized(values[others], mean)
        hidden = _hidden(values, held, form.shape, generator)
        missing = 1 - known.double().reshape(len(raw), channels, -1).mean((0, 2))
        whole = bool((raw.nan_to_num() == raw.nan_to_num().round()).all())
        nothing = torch.zeros(QUANTILES), torch.zeros(channels), torch.zeros(channels)
        keys = complete[:KEYS].contiguous()
        start = cls(form, mean, scale, covariance, keys, 0.0, *nothing, missing, seen, whole)
        best: tuple[float, Self] | None = None
        for moved in MOVED:
            model = replace(start, moved=moved)
            spread = covariance if not moved else model._around(values[others], generator)
            for ridge in RIDGES:
                found = replace(model, precision=_precision(spread, ridge))
                found = found._judged(values[held], hidden)
                error = float(found.scores.nan_to_num().square().sum())
                best = (error, found) if best is None or error < best[0] else best
        assert best is not None
        return best[1]

    @property
    def kind(self) -> Images:
        """The form of the pictures."""
        return self.form

    @property
    def rows(self) -> int:
        """The pictures that are looked up in."""
        return len(self.keys)

    @property
    def errors(self) -> pd.DataFrame:
        """Of each channel the root mean squared error, in standard deviations."""
        error, share = self.scores.double().numpy(), self.missing.double().numpy()
        baseline = self.baseline.double().numpy()
        return error_table(self.form.channel_names, "RMSE", error, baseline, share)

    def filled(self, piece: Any) -> tuple[Rows, int]:
        """Return pictures with what is expected of their missing pixels."""
        array, values, gaps = self._opened(piece)
        return self._mended(array, gaps, self._expected(values)[0]), int(gaps.sum())

    def drawn(self, piece: Any, number: int, seed: int) -> list[Rows]:
        """Return pictures with draws of their missing pixels, all of a picture together."""
        array, values, gaps = self._opened(piece)
        generator = torch.Generator().manual_seed(seed)
        centre = self._centre(values)
        found = []
        for _ in range(number):
            drawn = values.clone()
            for rows, at, mean, factor in _conditional(values, centre, self.precision):
                noise = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
                rest = torch.linalg.solve_triangular(factor.mT, noise[..., None], upper=True)
                drawn = _put(drawn, rows, at, mean + rest[..., 0])
            found.append(self._mended(array, gaps, drawn))
        return found

    def uncertainty(self, piece: Any, level: float) -> pd.DataFrame:
        """Return the pixels that are filled, and how sure these are."""
        array, values, gaps = self._opened(piece)
        mean, deviation = self._expected(values)
        grid = torch.linspace(0, 1, QUANTILES)
        low, high = (
            mean + deviation * self.quantiles[(grid - share).abs().argmin()]
            for share in ((1 - level) / 2, (1 + level) / 2)
        )
        rows, places = np.nonzero(gaps)
        found = pd.DataFrame({"row": rows})
        found["column"] = np.array(self.form.feature_names(), object)[places]
        for name, end in zip(("value", "low", "high"), (mean, low, high), strict=True):
            own = self.form.rows(self._mended(array, gaps, end)).reshape(gaps.shape)
            found[name] = own[gaps].astype(object)
        return found.assign(probability=level)

    def size(self, piece: Any) -> int:
        """Return how many pictures there are."""
        return len(piece)

    def tensors(self) -> dict[str, Tensor]:
        """Return all numbers."""
        return {name: getattr(self, name) for name in _TENSORS}

    def to_json(self) -> Json:
        """Return the form of the pictures, and all else."""
        return {"columns": self.form.to_json(), "moved": self.moved, "whole": self.whole}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return what :meth:`tensors` and :meth:`to_json` described."""
        return cls(
            form=Images.from_json(description["columns"]),
            moved=description["moved"],
            whole=description["whole"],
            **{name: tensors[name] for name in _TENSORS},
        )

    def _expected(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return pictures (n, cells) without gaps, and deviations of what was missing, else 0."""
        mean, deviation = values.clone(), torch.zeros_like(values)
        for rows, at, expected, factor in _conditional(
            values, self._centre(values), self.precision
        ):
            mean = _put(mean, rows, at, expected)
            own = torch.cholesky_inverse(factor).diagonal(dim1=1, dim2=2)
            deviation = _put(deviation, rows, at, own.sqrt())
        return mean, deviation

    def _centre(self, values: Tensor, itself: bool = False) -> Tensor:
        """Return the means around which pictures are, moved to those that are alike.

        Parameters
        ----------
        values : Tensor (n, cells)
        itself : bool
            Whether pictures are the first ones of those that they are looked up in.
        """
        if not self.moved:
            return self.mean.expand_as(values)
        known, keys = (~values.isnan()).float(), self.keys.float()
        own = values.nan_to_num().float()
        distances = known @ keys.square().T - 2 * own @ keys.T
        if itself:
            distances.fill_diagonal_(torch.inf)
        nearest = distances.topk(min(NEAREST, len(keys)), largest=False).indices
        alike = torch.stack([self.keys[some].mean(0) for some in nearest])
        alike = torch.where(known.any(1, keepdim=True), alike, self.mean)
        return self.mean + self.moved * (alike - self.mean)

    def _around(self, values: Tensor, generator: torch.Generator) -> Tensor:
        """Return the covariance of pictures around their means, as these are found with gaps."""
        some = values[: len(self.keys)]
        gaps = values[torch.randint(len(values), (len(some),), generator=generator)].isnan()
        centre = self._centre(some.masked_fill(gaps, torch.nan), itself=True)
        rest = self.keys - centre
        return rest.T @ rest / len(rest)

    def _judged(self, values: Tensor, hidden: Tensor) -> Self:
        """Return this with its errors of cells that are hidden in pictures."""
        mean, deviation = self._expected(hidden)
        gaps = hidden.isnan() & ~values.isnan()
        shape = len(values), len(self.scores), -1
        scores, baseline = (
            (found - values)
            .square()
            .masked_fill(~gaps, torch.nan)
            .reshape(shape)
            .nanmean((0, 2))
            .sqrt()
            for found in (mean, self.mean)
        )
        judged = replace(self, scores=scores, baseline=baseline)
        relative = ((values - mean) / deviation.clamp_min(1e-6))[gaps]
        if not len(relative):
            return judged
        quantiles = np.quantile(relative.numpy(), np.linspace(0, 1, QUANTILES))
        return replace(judged, quantiles=torch.from_numpy(quantiles))

    def _opened(self, piece: Any) -> tuple[Rows, Tensor, NDArray[np.bool_]]:
        """Return pictures as an array, in units of deviations, and what is filled in them."""
        array = np.asarray(piece)
        rows = self.form.rows(array)
        values = torch.from_numpy(rows.reshape(len(rows), -1).astype(np.float64)) / self.scale
        unknown = values.isnan()
        if empty := int(unknown.all(1).sum()):
            warn(f"{empty} pictures have no known pixel: they are filled with the mean picture.")
        return array, values, (unknown & self.seen).numpy()

    def _mended(self, array: Rows, gaps: NDArray[np.bool_], values: Tensor) -> Rows:
        """Return pictures as the user has them, with values (n, cells) in gaps only."""
        raw = (values * self.scale).numpy().reshape(len(values), *self.form.shape)
        filled = self.form.restore(np.rint(raw) if self.whole else raw)
        wanted = gaps.reshape(raw.shape)
        layout = replace(self.form, dtype="bool", low=(), high=())
        found: Rows = np.where(layout.restore(wanted.astype(np.float64)), filled, array)
        return found.astype(array.dtype, copy=False)


_TENSORS = (
    "mean",
    "scale",
    "precision",
    "keys",
    "quantiles",
    "scores",
    "baseline",
    "missing",
    "seen",
)


def _deviations(channels: Tensor) -> Tensor:
    """Return the deviation of each channel (n, channels, cells); 1 where it is constant."""
    known = ~channels.isnan()
    count = known.sum((0, 2)).clamp_min(1)
    mean = channels.nan_to_num().sum((0, 2)) / count
    rest = torch.where(known, channels - mean[:, None], 0.0)
    deviation = (rest.square().sum((0, 2)) / count).sqrt()
    return torch.where(deviation > 0, deviation, 1.0)


def _precision(covariance: Tensor, ridge: float) -> Tensor:
    """Return the inverse of a covariance, with a share of the mean variance in each cell."""
    some = ridge * covariance.diagonal().mean().clamp_min(1e-12)
    ridged = covariance + some * torch.eye(len(covariance), dtype=torch.float64)
    precision: Tensor = torch.linalg.inv(ridged).contiguous()
    return precision


def _maximized(values: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Return the covariance of incomplete pictures by expectation maximization, and them filled.

    It starts from the covariances of cells that are known together.
    """
    known = ~values.isnan()
    rest = torch.where(known, values - mean, 0.0)
    together = known.double().T @ known.double()
    pairs, vectors = torch.linalg.eigh(rest.T @ rest / together.clamp_min(1))
    covariance = (vectors * pairs.clamp_min(0)) @ vectors.T
    size = float((~known).sum(1).double().pow(3).mean())
    some = values[: max(1, int(min(len(values), OPERATIONS / STEPS / max(size, 1.0))))]
    if known.all():
        return covariance, values
    complete = some
    for step in range(STEPS):
        precision = _precision(covariance, RIDGES[step > 0])
        complete, total = some.clone(), torch.zeros_like(covariance)
        for rows, at, expected, factor in _conditional(some, mean.expand_as(some), precision):
            complete = _put(complete, rows, at, expected)
            inverse, width = torch.cholesky_inverse(factor), len(mean)
            real = (at < width)[:, :, None] & (at < width)[:, None, :]
            places = at[:, :, None] * width + at[:, None, :]
            total.view(-1).index_add_(0, places[real], inverse[real])
        rest = complete - mean
        covariance = (rest.T @ rest + total) / len(some)
    return covariance, complete


def _conditional(
    values: Tensor, centre: Tensor, precision: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Yield numbers of pictures (b,), their missing cells, what is expected, and a factor.

    Missing cells (b, m) are filled up with ``cells`` to the same number. The factor (b, m, m) is
    that of Cholesky of the precision of missing cells, given the known ones.
    """
    missing, width = values.isnan(), values.shape[1]
    rest = torch.where(missing, 0.0, values - centre) @ precision
    counts = missing.sum(1)
    order = counts.argsort(stable=True)
    order = order[counts[order] > 0]
    while len(order):
        most = int(counts[order[-1]])
        rows, order = (
            order[-max(1, AT_ONCE // most**2) :],
            order[: -max(1, AT_ONCE // most**2)],
        )
        at = torch.where(missing[rows], torch.arange(width), width).sort(1).values[:, :most]
        real, inside = at < width, at.clamp_max(width - 1)
        among = precision[inside[:, :, None], inside[:, None, :]]
        among = among.masked_fill(~(real[:, :, None] & real[:, None, :]), 0.0)
        among.diagonal(dim1=1, dim2=2).add_((~real).double())
        factor = torch.linalg.cholesky(among)
        pull = torch.where(real, rest[rows].gather(1, inside), 0.0)
        shift = torch.cholesky_solve(pull[..., None], factor)[..., 0]
        yield rows, at, centre[rows].gather(1, inside) - shift, factor


def _put(values: Tensor, rows: Tensor, at: Tensor, new: Tensor) -> Tensor:
    """Return values (n, cells) with new ones in cells (b, m) of some rows."""
    real = at < values.shape[1]
    found = values.clone()
    found[rows[:, None].expand_as(at)[real], at[real]] = new[real]
    return found


def _hidden(
    values: Tensor, held: Tensor, shape: tuple[int, ...], generator: torch.Generator
) -> Tensor:
    """Return held-out pictures without the cells that others lack; else without a rectangle."""
    missing = values.isnan()
    others = torch.nonzero(missing.any(1) & ~missing.all(1))[:, 0]
    if len(others):
        some = torch.randint(len(others), (len(held),), generator=generator)
        return values[held].masked_fill(missing[others[some]], torch.nan)
    channels, *sides = shape
    inside = [torch.ones(len(held), 1, 1, dtype=torch.bool)]
    for axis, side in enumerate(sides):
        length = max(1, side // 3)
        start = torch.randint(side - length + 1, (len(held), 1), generator=generator)
        apart = torch.arange(side) - start
        inside.append(((apart >= 0) & (apart < length)).unsqueeze(2 - axis))
    gap = (inside[0] & inside[1] & inside[2])[:, None].expand(-1, channels, -1, -1)
    return values[held].masked_fill(gap.reshape(len(held), -1), torch.nan)
