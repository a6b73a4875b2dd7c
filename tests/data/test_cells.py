from math import cos, pi, sin

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from attar.data.cells import Boolean, Category, Expansion, Number, Phase

NAN = float("nan")

CELLS = st.lists(
    st.sampled_from(
        [
            Number("n"),
            Number("w", integer=True),
            Boolean("f"),
            Category("one", ("a",)),
            Category("two", ("a", "b")),
            Category("many", tuple("abcdefg")),
            Phase("p", "day"),
        ]
    ),
    min_size=1,
    max_size=8,
)


def row_of(cell, draw):
    if isinstance(cell, Category):
        values = st.integers(0, len(cell.categories) - 1).map(float)
    elif isinstance(cell, Phase):
        values = st.integers(0, 999).map(lambda turn: turn / 1000)
    elif isinstance(cell, Boolean):
        values = st.sampled_from([0.0, 1.0])
    else:
        values = st.floats(-1e6, 1e6)
    return draw(values | st.just(NAN))


@given(st.data(), CELLS, st.integers(1, 5))
def test_rows_come_back_from_their_features(data, cells, n):
    expansion = Expansion(cells)
    rows = torch.tensor([[row_of(cell, data.draw) for cell in cells] for _ in range(n)]).double()
    features = expansion.expand(rows)
    assert features.shape == (n, expansion.width)
    assert_close(expansion.collapse(features), rows, equal_nan=True, rtol=1e-12, atol=1e-12)


def test_features_stand_for_cells_in_order():
    cells = [
        Number("age"),
        Category("race", ("White", "Black")),
        Phase("date", "day"),
        Boolean("old"),
    ]
    expansion = Expansion(cells)
    assert expansion.feature_names == [
        "age",
        "race=White",
        "race=Black",
        "date (day, cos)",
        "date (day, sin)",
        "old",
    ]
    features = expansion.expand(torch.tensor([[41.0, 1, 0.3, 1]], dtype=torch.float64))
    expected = [[41.0, 0, 1, cos(0.6 * pi), sin(0.6 * pi), 1]]
    assert_close(features, torch.tensor(expected, dtype=torch.float64))
    assert [(s.start, s.stop) for s in expansion.segments] == [(0, 1), (1, 3), (3, 5), (5, 6)]


def test_a_missing_cell_is_missing_in_all_its_features_and_in_no_other():
    expansion = Expansion(
        [Category("a", ("x", "y", "z")), Phase("p", "year"), Category("b", ("u",))]
    )
    features = expansion.expand(torch.tensor([[NAN, 0.25, 0], [1, NAN, NAN]]))
    assert features.isnan().tolist() == [
        [True, True, True, False, False, False],
        [False, False, False, True, True, True],
    ]
    assert features[1, :3].tolist() == [0, 1, 0]


def test_a_cell_is_missing_where_one_of_its_features_is():
    expansion = Expansion([Category("a", ("x", "y")), Phase("p", "day"), Boolean("f"), Number("n")])
    cells = expansion.collapse(torch.tensor([[1.0, NAN, 1, NAN, NAN, NAN], [0, 1, 1, 0, 1, 3]]))
    assert cells[0].isnan().all()
    assert cells[1].tolist() == [1, 0, 1, 3]


def test_an_unseen_category_is_observed_and_0_everywhere():
    expansion = Expansion([Category("a", ("x", "y")), Category("b", ("x", "y"))])
    assert expansion.expand(torch.tensor([[-1.0, 1]])).tolist() == [[0, 0, 0, 1]]


def test_the_likeliest_cells_are_taken():
    expansion = Expansion(
        [Boolean("f"), Category("l", ("a", "b", "c")), Phase("p", "day"), Number("n")]
    )
    predicted = torch.tensor(
        [[0.49, 0.2, 0.5, 0.3, 0.0, 7.0, 1.5], [0.5, 0.4, 0.2, 0.4, -0.1, 0.0, -2.0]]
    )
    assert_close(
        expansion.collapse(predicted), torch.tensor([[0, 1, 0.25, 1.5], [1, 0, 0.5, -2.0]])
    )


def test_categories_of_a_linear_model_may_all_be_below_0():
    expansion = Expansion([Category("l", ("a", "b"))])
    assert expansion.collapse(torch.tensor([[-3.0, -2.0]])).tolist() == [[1]]


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_turn_is_never_a_whole_one(x, y):
    turn = Expansion([Phase("p", "day")]).collapse(torch.tensor([[x, y]], dtype=torch.float64))
    assert 0 <= turn.item() < 1


def test_the_smallest_angle_below_0_is_no_whole_turn():
    features = torch.tensor([[1.0, -1e-300]], dtype=torch.float64)
    assert Expansion([Phase("p", "day")]).collapse(features).item() == 0


def test_numbers_are_not_copied():
    expansion = Expansion([Number("a"), Number("b", integer=True)])
    rows = torch.rand(3, 2)
    assert expansion.expand(rows) is rows
    assert expansion.collapse(rows) is rows
    assert Expansion([Number("a"), Boolean("b")]).expand(rows) is rows


def test_no_rows_are_no_features():
    expansion = Expansion([Category("l", ("a", "b")), Phase("p", "day")])
    assert expansion.expand(torch.empty(0, 2)).shape == (0, 4)
    assert expansion.collapse(torch.empty(0, 4)).shape == (0, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_is_kept(dtype):
    expansion = Expansion([Category("l", ("a", "b")), Phase("p", "day"), Boolean("f")])
    features = expansion.expand(torch.zeros(2, 3, dtype=dtype))
    assert features.dtype == expansion.collapse(features).dtype == dtype
