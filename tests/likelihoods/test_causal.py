"""Causal likelihoods: a distribution of whole rows, each cell given those before it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional

from attar.errors import SettingError
from attar.likelihoods import Causal, Derived, Levels, OneHot
from attar.likelihoods.intensities import Intensities
from attar.likelihoods.lattices import alphabet_of

PRICES = np.random.default_rng(0).normal(0, 3, 2000).round(1)

TABLE = Causal((OneHot(3), Levels(4, 2), OneHot(2, 1)), (), 8, 2, 16)
IMAGES = Causal((Levels(3), Levels(4, 3)), (3, 5), 8, 2, 16)
PHOTOGRAPHS = Causal((Intensities(),) * 3, (3, 5), 8, 2, 16)
SERIES = Causal((Levels(5), alphabet_of(PRICES, size=16)), (4,), 8, 2, 16)


def built(likelihood):
    """Return a module whose biases are not zero."""
    module = likelihood.build()
    for bias in module.biases:
        bias.data.normal_()
    return module


def of_all(likelihood, rows, *places):
    """Return random parameters, the same for so many rows."""
    shape = likelihood.parameters((sum(likelihood.build().cells), *places))
    return torch.randn(1, 1, *shape).expand(1, rows, *shape)


def table_rows():
    """Return all rows of the table's symbols, prepared."""
    symbols = torch.tensor(list(product(range(3), range(4), range(2))))
    first, second, third = symbols.unbind(1)
    parts = functional.one_hot(first, 3), second[:, None] / 3, functional.one_hot(third, 2)
    return torch.cat([part.float() for part in parts], 1)


@pytest.mark.parametrize(
    ("likelihood", "x"),
    [
        (TABLE, table_rows()),
        (IMAGES, torch.stack([torch.randint(n + 1, (5, 4, 6)) / n for n in (2, 3)], 1)),
        (PHOTOGRAPHS, torch.randint(256, (5, 3, 7, 9)) / 255),
        (SERIES, torch.stack([torch.randint(5, (5, 7)) / 4, torch.randn(5, 7)], 1)),
    ],
    ids=["table", "images", "photographs", "series"],
)
def test_the_density_is_that_of_an_evaluation_in_order(likelihood, x):
    module = built(likelihood)
    parameters = of_all(likelihood, len(x), *x.shape[2:])
    symbols, total = module.symbols(x), torch.zeros(len(x))

    def choose(cells):
        own = symbols[:, cells.channel, *cells.places].T.flatten()
        head = module.heads[cells.channel]
        log_prob = head.log_prob(cells.own_units, own, cells.expected).detach()
        log_prob -= module.alphabets[cells.channel].log_widths[own]
        total.add_(log_prob.view(-1, len(x)).sum(0))
        return own

    start = parameters[0]
    start = start.reshape(*start.shape[:2], *(*start.shape[2:], 1, 1)[:2])
    module.layers().in_order(start, len(x), symbols.shape[2:], choose)
    found = module.log_prob(parameters, x).flatten(2).sum(-1)[0]
    torch.testing.assert_close(found, total, atol=1e-4, rtol=1e-5)


def test_the_probabilities_of_all_rows_add_up_to_one():
    module, x = built(TABLE), table_rows()
    total = module.log_prob(of_all(TABLE, len(x)), x).sum(-1).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-5)
    pixels = torch.tensor(list(product(range(3), range(4), range(3), range(4))))
    x = pixels.reshape(-1, 1, 2, 2).movedim(-1, 1) / torch.tensor([2, 3])[:, None, None]
    module = built(IMAGES)
    log_prob = module.log_prob(of_all(IMAGES, len(x), 1, 2), x)
    assert log_prob.flatten(2).sum(-1).exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("likelihood", [IMAGES, PHOTOGRAPHS, SERIES])
def test_a_later_cell_changes_no_earlier_one(likelihood):
    places = (9,) if likelihood is SERIES else (4, 6)
    module, channels = built(likelihood), len(likelihood.channels)
    x = torch.rand(2, channels, *places).round(decimals=1)
    parameters = of_all(likelihood, 2, *places)
    before = module.log_prob(parameters, x)[0]
    flat = x.flatten(2)
    for place, channel in product(range(flat.shape[2]), range(channels)):
        changed = flat.clone()
        changed[:, channel, place] = 1 - changed[:, channel, place]
        changed[:, :, place + 1 :] = torch.rand_like(changed[:, :, place + 1 :])
        after = module.log_prob(parameters, changed.view_as(x))[0]
        old, new = before.flatten(2), after.flatten(2)
        torch.testing.assert_close(new[..., :place], old[..., :place])
        torch.testing.assert_close(new[:, :channel, place], old[:, :channel, place])


def test_a_missing_category_costs_nothing_and_is_seen():
    module, x = built(TABLE), table_rows()
    missing = x.clone()
    missing[:, :3] = 0
    parameters = of_all(TABLE, len(x))
    found = module.log_prob(parameters, missing)[0]
    assert (found[:, :3] == 0).all()
    assert not torch.allclose(found[:, 3:], module.log_prob(parameters, x)[0, :, 3:])
    # What is left is a distribution too.
    assert found[:8, 3:].sum(-1).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_cells_that_follow_from_others_cost_nothing():
    likelihood = Causal((Levels(3), Derived(2)), (), 8, 2, 16)
    module, x = built(likelihood), torch.rand(5, 3)
    found = module.log_prob(of_all(likelihood, 5), x)
    assert found.shape == (1, 5, 3)
    assert (found[..., 1:] == 0).all()


def test_draws_are_as_frequent_as_probable():
    likelihood = Causal((OneHot(3), Levels(2)), (), 8, 2, 16)
    module = built(likelihood)
    for head in module.heads:
        head.output.weight.data.mul_(3)
    parameters = of_all(likelihood, 20_000)
    drawn = module.sample(parameters[0])
    x = torch.tensor([[*np.eye(3)[i], j] for i in range(3) for j in range(2)]).float()
    expected = module.log_prob(parameters[:, :6], x).sum(-1).exp()[0]
    found = torch.stack([(drawn == row).all(1).float().mean() for row in x])
    assert (found - expected).abs().max() < 0.015
    assert found.sum() == 1


def test_a_mean_is_one_of_the_values():
    for likelihood, places in ((TABLE, ()), (IMAGES, (2, 3)), (SERIES, (5,))):
        module = built(likelihood)
        parameters = of_all(likelihood, 4, *places)[0]
        mean = module.mean(parameters)
        assert mean.shape == (4, sum(module.cells), *places)
        rows = torch.randn_like(parameters)  # not all equal
        assert module.mean(rows).shape == mean.shape
        values = module.alphabets[1].values
        cells = mean[:, 3] if likelihood is TABLE else mean[:, 1]
        assert torch.isin(cells, values).all()


@pytest.mark.parametrize("window", [(0, 3), (1, 2, 3)])
def test_impossible_windows_are_refused(window):
    with pytest.raises(SettingError, match="window"):
        Causal(window=window).build()


def test_alphabets_that_do_not_fit_the_data_are_refused():
    with pytest.raises(SettingError, match="leave alphabets"):
        Causal((Levels(3),), ()).parameters((2,))


def test_an_effort_is_a_size():
    assert Causal.of_effort(3) == Causal()
    with pytest.raises(SettingError, match="1, 2 or 3, not 4"):
        Causal.of_effort(4)
