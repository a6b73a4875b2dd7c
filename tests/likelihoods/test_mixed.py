import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributions

from attar import SettingError
from attar.likelihoods import (
    Bernoulli,
    BernoulliProbability,
    Categorical,
    Circular,
    Discretized,
    FixedGaussian,
    Huber,
    Laplace,
    LearnedGaussian,
    Likelihood,
    LogisticMixture,
    Mixed,
    Multinomial,
    MultiScaleSimilarity,
    Poisson,
    StudentT,
)
from attar.parts import Part

DOUBLE = torch.float64
COLUMNS = [
    Bernoulli(),
    BernoulliProbability(),
    FixedGaussian(),
    FixedGaussian(0.25),
    Laplace(0.5),
    Huber(2.0),
    Poisson(),
    LearnedGaussian(),
    StudentT(),
    StudentT(2.0),
    Discretized(0.25),
    Discretized(2.0),
    Categorical(1),
    Categorical(2),
    Categorical(5),
    Categorical(17),
    Circular(),
]
TABLES = st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=24).map(tuple)


def rows(columns, samples=2, n=5):
    width = sum(column.cells for column in columns)
    return torch.randn(samples, n, width, dtype=DOUBLE), torch.rand(n, width, dtype=DOUBLE)


def alone(column):
    """The column's likelihood as it is in a table: a trained variance has its floor there."""
    return type(column).build_columns([column]).double()


@given(TABLES)
def test_a_table_is_its_columns_side_by_side(columns):
    a, x = rows(columns)
    a.requires_grad_()
    mixed = Mixed(columns).build().double()
    sizes = [column.cells for column in columns]
    parts = zip(columns, a.split(sizes, -1), x.split(sizes, -1), strict=True)
    one_by_one = torch.cat([alone(column).log_prob(p, t) for column, p, t in parts], -1)
    found = mixed.log_prob(a, x)
    torch.testing.assert_close(found, one_by_one, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(found)
    (gradient,) = torch.autograd.grad((weights * found).sum(), a)
    (expected,) = torch.autograd.grad((weights * one_by_one).sum(), a)
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)

    means = zip(columns, a[0].split(sizes, -1), strict=True)
    torch.testing.assert_close(
        mixed.mean(a[0]), torch.cat([alone(column).mean(p) for column, p in means], -1)
    )


@given(TABLES)
def test_a_table_survives_json(columns):
    part = Mixed(columns)
    restored = Part.from_json(json.loads(json.dumps(part.to_json())))
    assert restored == part
    assert hash(restored) == hash(part)
    assert restored.build().state_dict().keys() == part.build().state_dict().keys()


def test_a_table_is_the_sum_of_torchs_distributions():
    part = Mixed((Categorical(3), LearnedGaussian(), Bernoulli(), Circular(), Categorical(2)))
    a, x = torch.randn(1, 1, 9, dtype=DOUBLE), torch.zeros(1, 9, dtype=DOUBLE)
    x[0, [1, 4, 8]] = 1
    x[0, 3], x[0, 5:7] = -0.4, torch.tensor([0.6, 0.8])
    p = a[0, 0]
    kappa = p[5:7].norm()
    expected = (
        distributions.Categorical(logits=p[:3]).log_prob(torch.tensor(1))
        + distributions.Normal(p[3], math.sqrt(1 + 0.03**2)).log_prob(x[0, 3])
        + distributions.Bernoulli(logits=p[4]).log_prob(x[0, 4])
        + distributions.VonMises(torch.atan2(p[6], p[5]), kappa).log_prob(
            torch.tensor(math.atan2(0.8, 0.6), dtype=DOUBLE)
        )
        + distributions.Categorical(logits=p[7:]).log_prob(torch.tensor(1))
    )
    found = part.build().double().log_prob(a, x).sum()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)  # torch's own Bessel is rough


def test_each_column_learns_its_own_variance():
    part = Mixed((LearnedGaussian(), Categorical(2), LearnedGaussian(), LearnedGaussian()))
    module = part.build().double()
    a = torch.zeros(1, 400, 5, dtype=DOUBLE)
    x = torch.randn(400, 5, dtype=DOUBLE) * torch.tensor([0.1, 1, 1, 1.0, 7.0])
    (log_variance,) = module.parameters()
    best = x[:, [0, 3, 4]].square().mean(0)
    with torch.no_grad():
        log_variance.copy_((best - 0.03**2).log())
    (slope,) = torch.autograd.grad(-module.log_prob(a, x).mean(), log_variance)
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-12)


def test_a_learned_variance_starts_as_it_is_set_and_counts_by_its_weight():
    part = LearnedGaussian(start=0.25, weight=0.5)
    a, x = torch.randn(2, 3, 4, dtype=DOUBLE), torch.randn(3, 4, dtype=DOUBLE)
    least = 0.03**2  # of a column
    for module, variance in ((part, 0.25), (Mixed((part,) * 4), 0.25 + least)):
        found = module.build().double().log_prob(a, x)
        expected = 0.5 * distributions.Normal(a, variance**0.5).log_prob(x)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)  # set in single precision


def test_an_exactly_predicted_column_has_a_bounded_likelihood():
    module = Mixed((LearnedGaussian(),)).build().double()
    for log_variance in (-20.0, -1e3):
        torch.nn.init.constant_(module.groups[0].log_variance, log_variance)
        most = distributions.Normal(0.0, 0.03).log_prob(torch.tensor(0.0, dtype=DOUBLE))
        found = module.log_prob(torch.zeros(1, 1, 1, dtype=DOUBLE), torch.zeros(1, 1, dtype=DOUBLE))
        assert found.item() == pytest.approx(most.item(), abs=1e-4)
        assert found.item() <= most.item() + 1e-12


def test_columns_of_a_type_are_computed_together():
    columns = (LearnedGaussian(), Categorical(12), Bernoulli(), Discretized(0.1), Circular())
    more = tuple(
        column.replace(categories=8 + i % 8)
        if isinstance(column, Categorical)
        else column.replace(width=0.1 + i)
        if isinstance(column, Discretized)
        else column
        for i in range(30)
        for column in columns
    )
    assert len(Mixed(more).build().groups) == len(Mixed(columns).build().groups) == 5


def test_a_column_of_many_categories_does_not_pad_the_small_ones():
    part = Mixed((*[Categorical(2)] * 50, Categorical(3000), *[Categorical(9)] * 20))
    padded = sum(math.prod(group.padded) for group in part.build().groups)
    assert padded < 4 * part.parameters((3280,))[0]


def test_only_trained_scales_are_saved():
    part = Mixed(tuple(COLUMNS))
    state = part.build().state_dict()
    assert {key.rpartition(".")[-1] for key in state} == {"log_variance", "log_scale"}
    assert sum(t.numel() for t in state.values()) == 5
    other = part.build()
    other.load_state_dict({key: torch.full_like(t, 0.5) for key, t in state.items()})
    a, x = rows(COLUMNS)
    assert not torch.equal(other.double().log_prob(a, x), part.build().double().log_prob(a, x))


def test_missing_cells_have_no_loss_and_no_gradient():
    x_observed = torch.rand(6, sum(c.cells for c in COLUMNS)) < 0.5
    a = (30 * torch.randn(1, *x_observed.shape)).requires_grad_()
    module = Mixed(tuple(COLUMNS)).build()
    cells = module.log_prob(a, torch.zeros(x_observed.shape)) * x_observed
    cells.sum().backward()
    assert cells.isfinite().all()
    assert a.grad.isfinite().all()
    elementwise = [i for i, c in enumerate(COLUMNS) if c.cells == 1]
    assert len(elementwise) > 5
    starts = torch.tensor([0, *[c.cells for c in COLUMNS]]).cumsum(0)[elementwise]
    hidden = ~x_observed[:, starts]
    assert torch.equal(a.grad[0][:, starts][hidden], torch.zeros(int(hidden.sum())))


@pytest.mark.parametrize("shape", [(4,), (6,), (5, 1), (1, 5)])
def test_columns_that_do_not_take_the_whole_row_are_refused(shape):
    part = Mixed((Categorical(2), Circular(), FixedGaussian()))
    assert part.parameters((5,)) == (5,)
    with pytest.raises(SettingError, match=r"The 3 columns .* take 5 prepared cells, but .*shape"):
        part.parameters(shape)


def test_a_table_without_columns_fits_no_row():
    with pytest.raises(SettingError, match="The 0 columns"):
        Likelihood.named("mixed").parameters((3,))


@pytest.mark.parametrize(
    "part", [Multinomial(), LogisticMixture(), MultiScaleSimilarity(), Mixed((FixedGaussian(),))]
)
def test_a_likelihood_of_whole_rows_is_no_column(part):
    table = Mixed((FixedGaussian(), part))
    for refused in (table.build, lambda: table.parameters((2,))):
        with pytest.raises(
            SettingError, match="cannot describe a column of the likelihood 'mixed'"
        ):
            refused()


@pytest.mark.parametrize(
    "column", [FixedGaussian(-1.0), StudentT(0.0), Discretized(0.0), Categorical(0), Laplace(0.0)]
)
def test_a_column_out_of_range_is_refused(column):
    with pytest.raises(SettingError, match=r"must be an? (integer|number) above 0"):
        Mixed((Discretized(1.0), Categorical(1), column)).build()
