"""Neighbours and mixtures say what closed forms and brute force do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture

from attar.tasks.anomalies import densities
from attar.tasks.anomalies.densities import Gaussians, Neighbours, Outlyingness, Standardized

rng = np.random.default_rng(0)


def correlated(n, seed):
    """Return rows of four numbers, of which the last is the sum of the first two."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    x[:, 3] = x[:, 0] + x[:, 1] + 0.1 * rng.normal(size=n)
    return x


@pytest.mark.parametrize("kept_share", [1.0, 0.7, 0.1])
@pytest.mark.parametrize("features", [3, 12])
def test_distances_are_those_to_the_kept_rows_but_the_row_itself(kept_share, features):
    rows, new = rng.normal(size=(80, features)), rng.normal(size=(9, features))
    kept = rng.random(80) < kept_share
    kept[:8] = True
    neighbours = Neighbours(rows, 12)
    near = neighbours.near(rows)
    own = cdist(rows, rows)
    np.fill_diagonal(own, np.inf)
    expected = np.sort(own[:, kept], 1)[:, :5].mean(1)
    np.testing.assert_allclose(neighbours.distance(rows, near, kept), expected)
    expected = np.sort(cdist(new, rows[kept]), 1)[:, :5].mean(1)
    np.testing.assert_allclose(neighbours.distance(new, neighbours.near(new), kept), expected)


def test_conditionals_are_joint_densities_over_marginal_ones():
    weights, means = np.array([0.3, 0.7]), rng.normal(size=(2, 4))
    covariances = [root @ root.T + np.eye(4) for root in rng.normal(size=(2, 4, 4))]
    gaussian = GaussianMixture(2)
    gaussian.weights_, gaussian.means_ = weights, means
    gaussian.precisions_cholesky_ = np.array(
        [np.linalg.cholesky(np.linalg.inv(c)) for c in covariances]
    )
    rows = rng.normal(size=(5, 4))
    blocks = [slice(0, 1), slice(1, 3), slice(3, 4)]
    nats, expected, deviation = Gaussians(gaussian).conditionals(rows, blocks)

    def density(x, at):
        parts = [
            w * multivariate_normal(m[at], c[np.ix_(at, at)]).pdf(x[at])
            for w, m, c in zip(weights, means, covariances, strict=True)
        ]
        return np.array(parts)

    for i, row in enumerate(rows):
        for b, block in enumerate(blocks):
            rest = np.delete(np.arange(4), block)
            of_rest = density(row, rest)
            joint = density(row, np.arange(4)).sum()
            assert nats[i, b] == pytest.approx(-np.log(joint / of_rest.sum()))
            share = of_rest / of_rest.sum()
            mean = [
                m[block]
                + c[block][:, rest] @ np.linalg.solve(c[np.ix_(rest, rest)], row[rest] - m[rest])
                for m, c in zip(means, covariances, strict=True)
            ]
            np.testing.assert_allclose(expected[i, block], share @ np.array(mean))
            variance = [
                np.diag(
                    c[block, block]
                    - c[block][:, rest] @ np.linalg.solve(c[np.ix_(rest, rest)], c[rest][:, block])
                )
                for c in covariances
            ]
            second = share @ (np.array(variance) + np.array(mean) ** 2)
            expected_variance = second - (share @ np.array(mean)) ** 2
            np.testing.assert_allclose(deviation[i, block] ** 2, expected_variance)


def test_many_features_are_principal_components_and_a_rest():
    rows = rng.normal(size=(300, 70)) * np.linspace(1, 3, 70)
    found = Standardized.of(rows, one_unit=True)
    codes, left = found(rows)
    assert codes.shape == (300, densities.WIDE)
    x = (rows - rows.mean(0)) / rows.std(0).__pow__(2).mean() ** 0.5
    _, values, _ = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose((codes**2).sum(0), values[: densities.WIDE] ** 2)
    rest = (values[densities.WIDE :] ** 2).sum() / 300 / 6 + densities.RIDGE
    np.testing.assert_allclose(left.mean(), (values[densities.WIDE :] ** 2).sum() / 300 / rest / 2)
    again = Standardized.restored(found.tensors())
    np.testing.assert_array_equal(again(rows)[0], codes)


def test_odd_rows_are_found_also_where_they_are_among_those_of_the_fit():
    usual, odd = correlated(600, 1), rng.normal(size=(60, 4))
    odd[:, 3] = odd[:, 0] + odd[:, 1] + rng.choice([-1.5, 1.5], 60)
    found = Outlyingness.fit(np.concatenate([usual[:300], odd[:30]]))
    new = np.concatenate([usual[300:], odd[30:]])
    truth = np.arange(len(new)) >= 300
    assert roc_auc_score(truth, found.score(new)) > 0.9
    # No single column tells them apart.
    distance = np.abs(new[:, 3])
    assert roc_auc_score(truth, distance) < 0.7
    clean = Outlyingness.fit(usual[:300])
    assert roc_auc_score(truth, clean.score(new)) > 0.97


def test_rows_of_the_fit_are_as_odd_as_new_ones():
    found = Outlyingness.fit(correlated(900, 2))
    new = found.score(correlated(3000, 3))
    quantiles = [0.5, 0.9, 0.95]
    shares = [(new > np.quantile(found.own, q)).mean() for q in quantiles]
    np.testing.assert_allclose(shares, [0.5, 0.1, 0.05], atol=0.035)


def test_the_column_that_was_changed_is_named_and_its_value_expected():
    found, rows = Outlyingness.fit(correlated(600, 4)), correlated(50, 5)
    changed = rows.copy()
    places = rng.integers(0, 4, 50)
    places[places == 2] = 3  # the third column is independent of all others
    changed[np.arange(50), places] += rng.choice([-6, 6], 50)
    columns = [slice(i, i + 1) for i in range(4)]
    explanation = found.explain(changed, columns, 3)
    assert (explanation.columns[:, 0] == places).mean() > 0.5
    # Any of three columns explains a sum that does not hold, but for the values themselves.
    assert np.isin(explanation.columns[:, 0], [0, 1, 3]).all()
    exact = explanation.columns[:, 0] == places
    at = np.arange(50)[exact], places[exact]
    np.testing.assert_allclose(explanation.expected[at], rows[at], atol=0.8)
    assert (np.diff(explanation.nats, axis=1) <= 0).all()


def test_nats_of_columns_are_tail_probabilities_of_usual_rows():
    found = Outlyingness.fit(correlated(900, 8))
    columns = [slice(i, i + 1) for i in range(4)]
    worst = found.explain(correlated(3000, 9), columns, 1).nats[:, 0]
    shares = [(worst >= -np.log(p)).mean() for p in (0.1, 0.05, 0.02)]
    np.testing.assert_allclose(shares, [0.1, 0.05, 0.02], atol=0.02)
    far = correlated(5, 10)
    far[:, 3] += [0, 1e1, 1e2, 1e3, 1e6]
    worst = found.explain(far, columns, 1).nats[:, 0]
    assert (np.diff(worst) > 0).all()
    assert worst[-1] < 40


def test_it_is_restored_with_equal_scores(monkeypatch):
    rows, new = correlated(200, 6), correlated(30, 7)
    found = Outlyingness.fit(rows)
    again = Outlyingness.restored(found.tensors())
    np.testing.assert_array_equal(again.score(new), found.score(new))
    whole = found.score(new)
    monkeypatch.setattr(densities, "AT_ONCE", 7)
    np.testing.assert_allclose(found.score(new), whole, rtol=1e-9)


def test_a_cell_far_out_is_the_least_likely_of_many():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(600, 5)) @ rng.normal(size=(5, 80)) + rng.normal(0, 0.5, (600, 80))
    model = Outlyingness.fit(rows[:500])
    new, columns = rows[500:].copy(), rng.integers(0, 80, 100)
    new[np.arange(100), columns] += 6 * rows.std(0)[columns]
    found = model.explain(new, [slice(i, i + 1) for i in range(80)], 2)
    assert (found.columns[:, 0] == columns).mean() > 0.95
    at = np.arange(100), columns
    missed = np.abs(found.expected[at] - rows[500:][at]) / found.deviation[at]
    assert (missed < 1.645).mean() == pytest.approx(0.9, abs=0.08)
