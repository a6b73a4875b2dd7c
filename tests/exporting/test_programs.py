"""A program of a model, preparation included, gives what the estimator gives."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import attar
from attar.exporting.ports import Port, rounded
from attar.exporting.programs import PARTS

RNG = np.random.default_rng(0)


def pictures():
    return RNG.integers(0, 256, (60, 6, 5), dtype=np.uint8)


def colours_first():
    return RNG.normal(3, 2, (60, 3, 8, 8))


def numbers():
    X = RNG.lognormal(3, 1.5, (80, 5))
    X[:, 1], X[:, 3] = np.nan, 7.0
    X[RNG.random((80, 5)) < 0.1] = np.nan
    return X


def integers():
    return RNG.integers(-40, 40, (60, 4))


def table():
    n = 80
    frame = pd.DataFrame(
        {
            "age": RNG.integers(17, 90, n),
            "income": RNG.lognormal(10, 1, n),
            "city": RNG.choice(["Rome", "Oslo", "Graz"], n),
            "member": RNG.random(n) < 0.4,
            "only": np.where(RNG.random(n) < 0.5, "yes", None),
            "children": RNG.integers(0, 4, n).astype(float),
            "zip": RNG.integers(1, 4, n),
            "same": 1,
        }
    )
    frame.loc[3:9, ["income", "city", "children"]] = np.nan
    return frame


def counts():
    return sparse.csr_array(RNG.poisson(0.4, (60, 12)))


def ratings():
    return attar.Sparse(sparse.csr_array(RNG.integers(0, 6, (60, 12)) * 1.0), absent="missing")


def windows():
    return attar.Series(RNG.normal(size=(1, 400, 2)).cumsum(1), window=12)


SETTINGS = {table: {"columns": {"zip": "categorical"}}, windows: {"network": "mlp"}}
CASES = [
    *((make, "ae") for make in (pictures, colours_first, numbers, integers, table)),
    *((make, "vae") for make in (numbers, table, counts, windows)),
    *((pictures, recipe) for recipe in ("vq-vae", "ladder", "svae", "sparse-topk", "ordered")),
    (ratings, "ae"),
]


def fitted(make, recipe="ae"):
    X, settings = make(), SETTINGS.get(make, {})
    return X, attar.Autoencoder(recipe, epochs=1, random_state=0, verbose=False, **settings).fit(X)


def run(program, data, rows):
    given = [
        one if port.categories is None else port.indices(one)
        for port, one in zip(program.inputs, program.given(data, rows), strict=True)
    ]
    with torch.no_grad():
        found = program(*(torch.from_numpy(one.copy()) for one in given))
    return [
        one.numpy() if port.categories is None else port.strings(one.numpy())
        for port, one in zip(program.outputs, found, strict=True)
    ]


@pytest.mark.filterwarnings("ignore::attar.AttarWarning")
@pytest.mark.parametrize(("make", "recipe"), CASES, ids=lambda x: getattr(x, "__name__", x))
def test_each_part_gives_what_the_estimator_gives(make, recipe):
    X, ae = fitted(make, recipe)
    rows = ae.fitted_.kind.rows(X)
    found = {name: run(part(ae.fitted_), X, rows) for name, part in PARTS.items()}
    codes = ae.transform(X)
    np.testing.assert_allclose(found["encoder"][0], codes, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["score"][0], ae.score_samples(X), rtol=1e-5)
    if make is table:
        back = ae.reconstruct(X).drop(columns="same")
        for part in ("whole", "decoder"):
            for column, (_, expected) in zip(found[part], back.items(), strict=True):
                if column.dtype == np.float64:
                    np.testing.assert_allclose(column, expected, rtol=1e-9)
                elif column.dtype == object:  # strings, of numbers that are categories too
                    assert column.tolist() == expected.astype(str).tolist()
                else:
                    assert column.tolist() == expected.astype(column.dtype).tolist()
    elif make is counts:
        expected = ae.expected_values(X, range(12))
        np.testing.assert_allclose(found["whole"][0], expected, rtol=1e-5)
    elif make in (ratings, windows):
        program = PARTS["whole"](ae.fitted_)
        np.testing.assert_allclose(found["whole"][0], program.expected(rows)[0], rtol=1e-5)
    else:
        back = ae.reconstruct(X)
        for part in ("whole", "decoder"):
            assert found[part][0].dtype == back.dtype
            np.testing.assert_allclose(found[part][0], back, rtol=1e-5, atol=1e-4)


@pytest.mark.filterwarnings("ignore::attar.AttarWarning")
def test_new_and_missing_categories_count_as_in_attar():
    X, ae = fitted(table, "vae")
    new = X[:20].copy()
    new.loc[2:5, "city"] = "Atlantis"
    new.loc[6:9, "city"] = None
    rows = ae.fitted_.kind.rows(new)
    for part, expected in (("encoder", ae.transform(new)), ("score", ae.score_samples(new))):
        found = run(PARTS[part](ae.fitted_), new, rows)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("dtype", "found", "expected", "difference"),
    [
        (torch.float64, [1.0, 2.0], [1.0, 2.5], 0.2),
        (torch.float64, [np.nan, 0.5], [np.nan, 0.25], 0.25),
        (torch.int64, [3, 8], [3.5, 8.0], 0.0),
        (torch.uint8, [3, 8], [3.75, 8.0], 0.25 / 8),
        (torch.float64, [np.nan], [1.0], np.nan),
    ],
)
def test_the_difference_is_relative_to_the_largest_value(dtype, found, expected, difference):
    port = Port("x", dtype)
    np.testing.assert_equal(port.difference(np.array(found), np.array(expected)), difference)


def test_another_category_is_infinitely_far():
    port = Port("x", torch.int64, categories=("a", "b"))
    one, other = np.array(["a", "b"], object), np.array(["a", "a"], object)
    assert port.difference(one, one) == 0
    assert port.difference(one, other) == np.inf
    assert port.difference(one, other[:1]) == np.inf


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.bool_, np.float32])
def test_rounding_is_that_of_restored_data(dtype):
    from attar.data.kind import back_to

    values = np.array([-1e30, -1.5, -0.5, 0.49, 0.5, 1.5, 2.5, 127.6, 254.5, 1e30])
    found = rounded(torch.from_numpy(values), torch.from_numpy(np.empty(0, dtype)).dtype)
    np.testing.assert_array_equal(found.numpy(), back_to(np.dtype(dtype), values))
