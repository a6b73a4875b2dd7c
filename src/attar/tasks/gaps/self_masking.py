"""Self-masking: the values of cells that are missing because of what they are."""

from __future__ import annotations

from dataclasses import replace

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from attar.tasks.gaps.filled import Filled, columns_of
from attar.tasks.gaps.lookup import Known, Lookup

# Tilts of numbers that are tried, per standard deviation; iterations of what is fitted to each.
TILTS, ITERATIONS = torch.arange(-30, 31) / 10, 100

# Rows that the model of a column is fitted to at most, and missing and known ones at least.
ROWS, FEWEST = 4000, 20

# Levels are more or less often missing by this in log-odds at most.
LARGEST = 4.0


def self_masking(lookup: Lookup, rows: Filled, keys: Known, seed: int) -> Lookup:
    """Return a lookup that is tilted where cells are missing because of their value.

    The log-odds that a cell x is missing are a + b x if it is a number, and b_x if it is a level.
    A missing value then has the density p(x given the others, known) exp(b x), but for a constant,
    and the odds that it is missing are exp(a) E[exp(b x) given the others, known] (exponential
    tilting). The likelihood of which cells are missing is maximized in a and b. By the Bayesian
    information criterion it is compared with that of a logistic regression on the other columns
    (missing at random) and of a constant (completely at random), and b is 0 where one of these is
    better. That b is uncertain is not part of draws.

    Parameters
    ----------
    lookup : Lookup
    rows : Filled
        Rows of the fit.
    keys : Known
        The same rows.
    seed : int

    References
    ----------
    Kim and Yu, "A semiparametric estimation of mean functionals with nonignorable missing data",
    Journal of the American Statistical Association 106, 2011. Ipsen, Mattei and Frellsen,
    "not-MIWAE: deep generative modelling with missing not at random data", ICLR 2021.
    """
    generator, tilts = torch.Generator().manual_seed(seed), torch.zeros_like(lookup.tilts)
    column = columns_of(rows.segments)
    for j, at in enumerate(rows.segments):
        some = torch.randperm(len(rows), generator=generator)[:ROWS]
        missing = (rows.known[some, j] == 0).double()
        if min(missing.sum(), (1 - missing).sum()) < FEWEST:
            continue
        fitted = _numbers if lookup.numeric[j] else _levels
        found, likelihood = fitted(lookup, j, rows.at(some), keys, some, missing)
        penalty = 0.5 * torch.tensor(len(some)).log()
        at_random = _at_random(rows.features[some][:, column != j], missing)
        constant = _likelihood(missing.mean().logit().expand(len(some)), missing)
        others = max(constant, at_random - penalty * (column != j).sum())
        if likelihood - penalty * max(1, len(found) - 1) >= others:
            tilts[at.start : at.start + len(found)] = found
    return replace(lookup, tilts=tilts)


def _numbers(
    lookup: Lookup, j: int, rows: Filled, keys: Known, own: Tensor, missing: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the tilt (1,) of a column of numbers, and its log-likelihood."""
    offset = lookup.log_moments(j, rows, keys, own, TILTS).double()
    start = torch.zeros(1, len(TILTS), dtype=torch.float64)
    for _ in range(ITERATIONS):  # Newton's steps of the constant of each tilt
        chance = torch.sigmoid(start + offset)
        slope = (chance * (1 - chance)).sum(0).clamp_min(1e-6)
        start = start + ((missing[:, None] - chance).sum(0) / slope).clamp(-2, 2)
    likelihoods = _likelihood(start + offset, missing[:, None].expand_as(offset))
    best = likelihoods.argmax()
    return TILTS[best][None], likelihoods[best]


def _levels(
    lookup: Lookup, j: int, rows: Filled, keys: Known, own: Tensor, missing: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the tilts of the levels of a column, and their log-likelihood."""
    found = lookup.values(j, rows, keys, own).double()
    probability = found if found.shape[1] > 1 else torch.cat([1 - found, found], 1)
    odds = torch.full((probability.shape[1],), float(missing.sum() / (1 - missing).sum()))
    odds = odds.double()
    for _ in range(ITERATIONS):  # of expectation maximization
        total = probability @ odds
        level = probability * odds / total[:, None]
        odds = (missing @ level / (probability / (1 + total)[:, None]).sum(0)).clamp_min(1e-6)
    tilts = odds.log() - odds.log().mean()
    if found.shape[1] == 1:
        tilts = tilts[1:] - tilts[:1]
    return tilts.clamp(-LARGEST, LARGEST).float(), _likelihood((probability @ odds).log(), missing)


def _at_random(features: Tensor, missing: Tensor) -> Tensor:
    """Return the log-likelihood of a logistic regression on the other columns."""
    regression = LogisticRegression(C=10.0, solver="newton-cholesky")
    regression.fit(features.numpy(), missing.numpy())
    return _likelihood(torch.from_numpy(regression.decision_function(features.numpy())), missing)


def _likelihood(logits: Tensor, missing: Tensor) -> Tensor:
    """Return the log-likelihood of logits (n, ...)."""
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, missing, reduction="none")
    return -losses.sum(0)
