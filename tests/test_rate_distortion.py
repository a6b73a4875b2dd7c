"""Curves of quality against bytes, and Bjøntegaard's delta rate."""

import io
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attar.rate_distortion import FORMATS, Curve, bd_rate, curves_of_formats, psnr, written

PICTURE = np.add.outer(np.arange(40) * 3, np.arange(48) * 2).astype(np.uint8)


@given(st.floats(0.1, 10))
def test_the_delta_rate_of_a_constant_factor_is_this_factor(factor):
    bits, decibels = [0.1, 0.3, 0.5, 1.2], [24.0, 29.0, 31.5, 36.0]
    found = bd_rate(Curve("", [factor * b for b in bits], decibels), Curve("", bits, decibels))
    assert math.isclose(found, factor - 1, abs_tol=1e-9)


def test_the_delta_rate_is_of_what_both_curves_have():
    peer = Curve("", [1.0, 2.0, 4.0], [20.0, 30.0, 40.0])
    # Log-rates are linear in decibels: the mean of log 2 · (x - 35) / 10 over 30 to 40, and log 2.
    other = Curve("", [2.0, 4.0], [30.0, 35.0])
    expected = np.mean(
        [
            np.log(2 * 2 ** ((x - 30) / 5)) - np.log(2 ** ((x - 20) / 10))
            for x in np.linspace(30, 35, 10_001)
        ]
    )
    assert math.isclose(bd_rate(other, peer), math.expm1(expected), rel_tol=1e-6)
    assert math.isnan(bd_rate(Curve("", [1.0, 2.0], [41.0, 50.0]), peer))


def test_a_curve_has_no_point_that_takes_more_bits_for_less():
    found = Curve.of("", [(3.0, 30.0), (1.0, 20.0), (2.0, 19.0)])
    assert (found.bits, found.decibels) == ([1.0, 3.0], [20.0, 30.0])


def test_bytes_and_errors_are_those_of_files():
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, "JPEG", quality=30)
    size, decoded = written(PICTURE, "JPEG", quality=30)
    assert size == len(file.getvalue())
    squares = (np.asarray(Image.open(file), float) - PICTURE) ** 2
    assert math.isclose(psnr(PICTURE, decoded), 20 * math.log10(255 / squares.mean() ** 0.5))
    assert psnr(PICTURE, PICTURE) == 99
    curves = list(curves_of_formats([PICTURE, np.stack([PICTURE] * 3, 2)]))
    assert {curve.name for curve in curves} <= FORMATS.keys()
    assert all(np.all(np.diff(curve.bits) > 0) for curve in curves)
    assert all(np.all(np.diff(curve.decibels) > 0) for curve in curves)
