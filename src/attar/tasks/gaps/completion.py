"""Completion: incomplete rows of a table filled by all that was learnt of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from attar import storage
from attar.data.kind import Json
from attar.recipe import Recipe
from attar.tasks.gaps.expectation import Expectation
from attar.tasks.gaps.filled import Filled, Regressions, columns_of, linear_in, posterior, regressed
from attar.tasks.gaps.lookup import Known, Lookup, probable, tilted
from attar.tasks.gaps.self_masking import self_masking
from attar.tasks.gaps.spaces import Space

# Estimates are looked up again and again: in so many rows, and at last in all.
KEYS: tuple[int | None, ...] = (4096, 4096, None)

# Rows in which cells are hidden, from so many rows on a part of them that nothing else is fitted
# on; of each column such a share at least.
HELD, MANY, HIDDEN, FOLDS = 4096, 1000, 0.05, 5

# Rows are looked up in so many at most, and in as many features of them in all.
ROWS, FEATURES, FEWEST = 20_000, 1 << 22, 1000

# Quantiles of errors. Draws of all columns are made anew so often, by so many rows; if by those
# that are alike, of so many or more, by roots of their weights.
QUANTILES, SWEEPS, DRAWN, DONORS, ROOTS = 201, 10, 4000, 100, 5

# By so many rows it is judged whether these are better, which is so many standard errors above 0.
LOCAL, SURE = 1000, 3.0


@dataclass(frozen=True)
class Completion:
    """What fills incomplete rows.

    Attributes
    ----------
    space : Space
    keys : Known
        Rows of the fit.
    linear : Regressions
    lookup : Lookup
    errors : Tensor (quantiles, columns)
        Of hidden cells, in deviations of those that they were looked up in.
    scores, baseline : Tensor (columns,)
        Of hidden cells, and of means in their place: root mean squared error in standard
        deviations, or the share of levels that were right.
    autoencoder : Expectation or None
    """

    space: Space
    keys: Known
    linear: Regressions
    lookup: Lookup
    errors: Tensor
    scores: Tensor
    baseline: Tensor
    autoencoder: Expectation | None = None

    @classmethod
    def fit(
        cls,
        space: Space,
        values: Tensor,
        recipe: str | Recipe | None,
        seed: int,
        mask_model: bool = False,
    ) -> Self:
        """Return what fills rows like these.

        Parameters
        ----------
        space : Space
        values : Tensor (n, features)
            NaN where one is missing.
        recipe : str, Recipe or None
            Of an autoencoder, where there are enough rows for one.
        seed : int
        mask_model : bool
            Whether cells may be missing because of their value.
        """
        generator = torch.Generator().manual_seed(seed)
        most = min(ROWS, max(FEWEST, FEATURES // max(1, values.shape[1])))
        values = values[torch.randperm(len(values), generator=generator)[:most]]
        held, own = _held(len(values), generator)
        hidden = _hidden(space, values, own, generator)
        autoencoder = None
        if recipe is not None and len(values) >= MANY and len(space.segments) > 1:
            autoencoder = Expectation.fit(space, values[~held], recipe, seed)
        experts = _Experts(space, values, hidden, own, autoencoder)
        mean = values.nanmean(0).nan_to_num()
        estimates, of_hidden = mean.expand_as(values), mean.expand_as(hidden)
        lookup: Lookup | None = None
        tests = own % 3 == 0
        for keys in KEYS:
            rows, queries = _filled(space, values, estimates), _filled(space, hidden, of_hidden)
            linear, known, expected = experts(rows, queries, held)
            lookup = lookup or Lookup.start(rows, len(expected), space.numeric)
            lookup = lookup.fitted(queries, own, tests, values[own], expected, known, seed)
            estimates = lookup(rows, known.expected, known, most=keys)[0]
            of_hidden, deviations = lookup(queries, expected, known, own)
        assert lookup is not None
        rows = _filled(space, values, estimates)
        linear, known, _ = experts(rows, queries, held)
        if mask_model:
            lookup = self_masking(lookup, rows, known, seed)
            rows = _filled(space, values, lookup(rows, known.expected, known)[0])
            linear, known, _ = experts(rows, queries, held)
        parts = own, values[own], hidden, of_hidden, deviations
        errors, scores, baseline = _measured(space, mean, *(part[tests] for part in parts))
        return cls(space, known, linear, lookup, errors, scores, baseline, autoencoder)

    def __call__(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return values (n, features) without gaps, and deviations of what was missing, else 0."""
        estimates = self._mean.expand_as(values)
        deviations = torch.zeros_like(values)
        if not values.isnan().any():
            return values, deviations
        extra = [] if self.autoencoder is None else [self.autoencoder(self.space, values)]
        for keys in KEYS:
            rows = _filled(self.space, values, estimates)
            expected = torch.stack([self.linear(rows), *extra])
            estimates, deviations = self.lookup(rows, expected, self.keys, most=keys)
        return torch.where(values.isnan(), estimates, values), deviations

    def limits(self, values: Tensor, deviations: Tensor, level: float) -> tuple[Tensor, Tensor]:
        """Return between which limits values lie with a probability: of numbers, else 0 and 1."""
        grid = torch.linspace(0, 1, QUANTILES)
        ends = []
        for share in ((1 - level) / 2, (1 + level) / 2):
            place = int((grid - share).abs().argmin())
            ends.append(values + deviations * self.errors[place, columns_of(self.space.segments)])
        return ends[0], ends[1]

    def drawn(self, values: Tensor, number: int, seed: int) -> list[Tensor]:
        """Return values without gaps: draws of what is missing, number times.

        By chained equations: of each column in turn, Bayesian linear regression on all others, and
        a residual of one of its rows. It is drawn from all of them or, where that is likelier on
        the rows themselves, from those that are alike, by the weights of the lookup.

        References
        ----------
        van Buuren and Groothuis-Oudshoorn, "mice: multivariate imputation by chained equations in
        R", Journal of Statistical Software 45, 2011.
        """
        generator = torch.Generator().manual_seed(seed)
        start = self(values)[0]
        local = [self._local(j) for j in range(len(self.space.segments))]
        return [self._drawn(values, start, local, generator) for _ in range(number)]

    def _drawn(
        self, missing: Tensor, start: Tensor, local: list[bool], generator: torch.Generator
    ) -> Tensor:
        space, known = self.space, self.keys.rows.known
        some = torch.randperm(len(known), generator=generator)[:DRAWN]
        gaps = known[some] == 0
        keys = space.values(space.raw(self.keys.values))[some]
        first = torch.stack([missing[:, at.start] for at in space.segments], 1)
        both, wanted = torch.cat([keys, start]), torch.cat([gaps, first.isnan()])
        features, sure = space.features(both), torch.ones(wanted.shape)
        changing = [j for j in range(len(space.segments)) if wanted[:, j].any()]
        for _ in range(SWEEPS if len(changing) > 1 else 1):
            for j in changing:
                at, rows = space.segments[j], torch.nonzero(wanted[:, j])[:, 0]
                whole, near = (
                    Filled(features, sure, space.segments),
                    torch.nonzero(~gaps[:, j])[:, 0],
                )
                donors, tilt = whole.at(near), self.lookup.tilts[at]
                coefficients, rest = posterior(donors, both[near], j, generator)
                # The Bayesian bootstrap of rows that are alike.
                weights = torch.empty(len(near)).exponential_(generator=generator)
                for own in torch.split(rows, DRAWN):
                    of = whole.at(own)
                    alike = torch.ones(1, len(near))
                    if local[j]:
                        alike = self._alike(j, of, donors) * weights
                    expected = linear_in(of, j, coefficients)
                    if space.numeric[j]:
                        alike = tilted(alike, rest @ tilt)
                        both[own, at] = expected + rest[_donors(alike, len(own), generator)]
                    else:
                        mean = expected + alike / alike.sum(1, keepdim=True) @ rest
                        both[own, at] = _level(probable(mean, tilt), generator)
                features[rows] = space.features(both[rows])
        return torch.where(missing.isnan(), both[len(some) :], missing)

    def _alike(self, j: int, rows: Filled, donors: Filled) -> Tensor:
        return several(self.lookup.weights(j, rows, self.lookup.measure(j, donors)))

    def _local(self, j: int) -> bool:
        """Return whether residuals of a column are likelier by those of rows that are alike."""
        at, rows = self.space.segments[j], self.keys.rows
        if not self.space.numeric[j]:
            return True
        some = torch.nonzero(rows.known[:, j])[:LOCAL, 0]
        ones = torch.ones(len(some), len(rows.segments))
        donors, values = Filled(rows.features[some], ones, rows.segments), self.keys.values[some]
        coefficients = regressed(donors, values, j, torch.ones(len(some)))
        rest = (values[:, at] - linear_in(donors, j, coefficients))[:, :1]
        alike = self._alike(j, donors, donors).fill_diagonal_(0.0)
        mean, square = (alike / alike.sum(1, keepdim=True) @ torch.cat([rest, rest**2], 1)).T
        gain = _normal(rest[:, 0], mean, square - mean**2) - _normal(rest[:, 0], 0.0, rest.var())
        return bool(gain.mean() > SURE * gain.std() / len(gain) ** 0.5)

    @property
    def _mean(self) -> Tensor:
        keys = self.keys
        known = keys.rows.known[:, keys.rows.column]
        return (keys.values * known).sum(0) / known.sum(0).clamp_min(1)

    def tensors(self) -> dict[str, Tensor]:
        """Return all but the scaler."""
        of_autoencoder = {} if self.autoencoder is None else self.autoencoder.tensors()
        return {
            **storage.nested("space", self.space.tensors()),
            **storage.nested("linear", self.linear.tensors()),
            **storage.nested("lookup", self.lookup.tensors()),
            **storage.nested("autoencoder", of_autoencoder),
            **{"features": self.keys.rows.features, "known": self.keys.rows.known},
            **{"values": self.keys.values, "expected": self.keys.expected},
            **{"errors": self.errors, "scores": self.scores, "baseline": self.baseline},
        }

    def to_json(self) -> Json:
        """Return what the autoencoder is."""
        return {"autoencoder": None if self.autoencoder is None else self.autoencoder.to_json()}

    @classmethod
    def restored(cls, space: Space, tensors: Mapping[str, Tensor], description: Json) -> Self:
        """Return the completion of :meth:`tensors` and :meth:`to_json`."""
        rows = Filled(tensors["features"], tensors["known"], space.segments)
        autoencoder = None
        if description["autoencoder"] is not None:
            own = storage.unnested("autoencoder", tensors)
            autoencoder = Expectation.restored(own, description["autoencoder"])
        return cls(
            space,
            Known(rows, tensors["values"], tensors["expected"]),
            Regressions.restored(storage.unnested("linear", tensors)),
            Lookup.restored(storage.unnested("lookup", tensors)),
            tensors["errors"],
            tensors["scores"],
            tensors["baseline"],
            autoencoder,
        )


class _Experts:
    """What other models expect of rows of the fit, and of such rows with hidden cells.

    None of them was fitted on the rows whose cells are hidden.
    """

    def __init__(
        self,
        space: Space,
        values: Tensor,
        hidden: Tensor,
        own: Tensor,
        autoencoder: Expectation | None,
    ) -> None:
        self.values, self.own = values, own
        self.of_rows, self.of_hidden = [], []
        if autoencoder is not None:
            self.of_rows = [autoencoder(space, values, each=True)]
            self.of_hidden = [autoencoder(space, hidden)]

    def __call__(
        self, rows: Filled, queries: Filled, held: Tensor
    ) -> tuple[Regressions, Known, Tensor]:
        """Return regressions, all rows with what is expected of them, and that of queries."""
        values = self.values.nan_to_num()
        linear = Regressions.fit(rows, values)
        known = Known(rows, values, torch.stack([linear(rows), *self.of_rows]))
        if held.any():
            crossed = Regressions.fit(rows.at(~held), values[~held])(queries)
        else:
            crossed = torch.empty_like(queries.features)
            fold = torch.arange(len(values)) % FOLDS
            for part in range(FOLDS):
                others, new = fold != part, fold[self.own] == part
                crossed[new] = Regressions.fit(rows.at(others), values[others])(queries.at(new))
        return linear, known, torch.stack([crossed, *self.of_hidden])


def _held(rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return which rows others are fitted without, and those in which cells are hidden."""
    held = torch.zeros(rows, dtype=torch.bool)
    order = torch.randperm(rows, generator=generator)
    if rows < MANY:
        return held, order.repeat(-(-MANY // rows))[:MANY]
    own = order[: min(HELD, rows // 4)]
    held[own] = True
    return held, own


def _hidden(space: Space, values: Tensor, own: Tensor, generator: torch.Generator) -> Tensor:
    """Return rows without the cells that other rows lack, and at random without a few more."""
    missing = torch.stack([values[:, at.start].isnan() for at in space.segments], 1)
    others = missing[torch.randint(len(values), (len(own),), generator=generator)]
    rate = (HIDDEN - missing.float().mean(0)).clamp_min(0)
    more = torch.rand(len(own), len(rate), generator=generator) < rate
    gaps = (others | more)[:, columns_of(space.segments)]
    return values[own].masked_fill(gaps, torch.nan)


def _filled(space: Space, values: Tensor, estimates: Tensor) -> Filled:
    known = torch.stack([~values[:, at.start].isnan() for at in space.segments], 1)
    whole = torch.where(values.isnan(), estimates, values)
    return Filled(space.features(whole), known.float(), space.segments)


def _measured(
    space: Space,
    mean: Tensor,
    rows: Tensor,
    values: Tensor,
    hidden: Tensor,
    estimates: Tensor,
    deviations: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return quantiles of errors of hidden cells, scores, and those of means, of each column."""
    errors = torch.zeros(QUANTILES, len(space.segments))
    scores, baseline = torch.full((2, len(space.segments)), torch.nan)
    for j, at in enumerate(space.segments):
        own = hidden[:, at.start].isnan() & ~values[:, at.start].isnan()
        if not own.any():
            continue
        numeric, judged = space.numeric[j], space.measured[j]
        truth, found = values[own, judged], estimates[own, judged]
        scores[j] = _score(truth, found, numeric)
        baseline[j] = _score(truth, mean[judged].expand_as(truth), numeric)
        if numeric:
            relative = (truth - found)[:, 0] / deviations[own, at.start].clamp_min(1e-6)
            errors[:, j] = conformal(relative, len(set(rows[own].tolist())))
    return errors, scores, baseline


def _score(truth: Tensor, found: Tensor, numeric: bool) -> Tensor:
    """Return the root mean squared error of numbers, or the share of levels that are right."""
    if numeric:
        return (truth - found).square().sum(1).mean().sqrt()
    if truth.shape[1] == 1:
        return ((found > 0.5) == (truth > 0.5)).float().mean()
    return (found.argmax(1) == truth.argmax(1)).float().mean()


def conformal(errors: Tensor, cells: int) -> Tensor:
    """Return quantiles of errors for intervals of new cells, by split conformal prediction.

    Of so few different cells they are farther out: the one of probability p is at (n + 1) p / n.

    Examples
    --------
    >>> float(conformal(torch.linspace(0, 1, 1001), 19)[190])  # of probability 0.95
    1.0

    References
    ----------
    Lei et al., "Distribution-free predictive inference for regression", Journal of the American
    Statistical Association 113, 2018.
    """
    upper = torch.linspace(0, 1, QUANTILES) * (cells + 1) / cells
    return torch.quantile(errors, torch.where(upper > 0.5, upper, upper - 1 / cells).clamp(0, 1))


def several(weights: Tensor) -> Tensor:
    """Return weights (n, keys), flatter where they are those of few keys.

    Draws from a few rows would vary too little.

    Examples
    --------
    >>> several(torch.tensor([[0.4, *[0.003] * 200]])).square().sum() < 0.01
    tensor(True)
    """
    found = weights.clone()
    for _ in range(ROOTS):
        few = found.square().sum(1) > 1 / DONORS
        flat = found[few].sqrt()
        found[few] = flat / flat.sum(1, keepdim=True)
    return found


def _donors(weights: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Return a key drawn by each row of weights (number or 1, keys)."""
    total = weights.cumsum(1).expand(number, -1).contiguous()
    place = torch.rand(number, 1, generator=generator) * total[:, -1:]
    return torch.searchsorted(total, place)[:, 0].clamp_max(total.shape[1] - 1)


def _normal(values: Tensor, mean: Tensor | float, variance: Tensor) -> Tensor:
    """Return the log-density of a normal distribution, but for a constant."""
    variance = variance.clamp_min(1e-12)
    return -0.5 * ((values - mean) ** 2 / variance + variance.log())


def _level(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """Return levels drawn by their probabilities, one-hot."""
    if probabilities.shape[1] == 1:
        return torch.bernoulli(probabilities, generator=generator)
    level = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
    return torch.nn.functional.one_hot(level, probabilities.shape[1]).to(probabilities.dtype)
