import math

import numpy as np
import pytest

from attar.checks import fraction, non_negative, positive, positive_integer
from attar.errors import SettingError


@pytest.mark.parametrize("value", [1, 7, np.int64(3), np.uint8(200)])
def test_integers_come_back_as_pythons(value):
    found = positive_integer("n", value)
    assert type(found) is int
    assert found == value


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "3", None, math.nan, np.float64(2)])
def test_what_is_no_integer_above_0_is_refused(value):
    with pytest.raises(SettingError) as refusal:
        positive_integer("The number of steps", value, "None or ")
    assert (
        str(refusal.value)
        == f"The number of steps must be None or an integer above 0, not {value!r}."
    )


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.int64(1)])
@pytest.mark.parametrize("check", [positive, non_negative, fraction])
def test_numbers_come_back_as_pythons(check, value):
    found = check("x", value)
    assert type(found) is float
    assert found == value


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, True, "1", None, 1j])
@pytest.mark.parametrize("check", [positive, non_negative, fraction])
def test_what_is_no_finite_number_in_range_is_refused(check, value):
    with pytest.raises(SettingError, match="The rate must"):
        check("The rate", value)


def test_ends_of_ranges():
    assert non_negative("x", 0) == fraction("x", 0) == 0
    assert fraction("x", 1) == 1
    with pytest.raises(SettingError, match="x must be a number above 0, not 0"):
        positive("x", 0)
    with pytest.raises(SettingError, match=r"x must lie between 0 and 1, not 1\.5"):
        fraction("x", 1.5)
