import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.data.stream import Sample, evenly_spaced, hashed


def sampled(pieces, size):
    sample = Sample(lambda piece, places: piece[places], size)
    for piece in pieces:
        sample.add(piece, len(piece))
    return sample.result(np.concatenate)


@given(st.integers(1, 500), st.integers(1, 60), st.lists(st.integers(0, 500), max_size=6))
def test_a_sample_does_not_depend_on_the_pieces(n, size, cuts):
    rows = np.arange(n) * 10
    kept, places = sampled(np.split(rows, sorted(min(cut, n) for cut in cuts)), size)
    whole, all_places = sampled([rows], size)
    assert kept.tolist() == whole.tolist() == (10 * places).tolist()
    assert places.tolist() == all_places.tolist() == sorted(set(places.tolist()))
    assert len(kept) == min(n, size)


def test_a_sample_is_of_the_smallest_hashes():
    rows = np.arange(1000)
    _, places = sampled(np.split(rows, 10), 50)
    assert set(places.tolist()) == set(np.argsort(hashed(rows))[:50].tolist())


def test_rows_are_drawn_evenly():
    _, places = sampled(np.split(np.arange(200_000), 50), 5000)
    counts = np.histogram(places, bins=20, range=(0, 200_000))[0]
    # The statistic is chi-squared with 19 degrees of freedom: its 99.9th percentile.
    assert ((counts - 250) ** 2 / 250).sum() < 43.8


def test_no_rows_are_a_sample_too():
    kept, places = sampled([np.empty(0)], 5)
    assert len(kept) == len(places) == 0


def test_memory_stays_at_twice_the_size():
    sample = Sample(lambda piece, places: piece[places], 100)
    for start in range(0, 50_000, 500):
        sample.add(np.arange(start, start + 500), 500)
        assert sum(map(len, sample._kept)) <= 200


def test_places_are_evenly_spread():
    assert evenly_spaced(9, 5).tolist() == [0, 2, 4, 6, 8]
    assert evenly_spaced(3, 5).tolist() == [0, 1, 2]


@pytest.mark.parametrize("n", [2, 7, 4999, 5000, 5001, 12_345])
def test_few_of_many_places_are_evenly_spread(n):
    places = evenly_spaced(n, 5000)
    assert len(places) == min(n, 5000)
    assert (places[0], places[-1]) == (0, n - 1)
    assert np.ptp(np.diff(places)) <= 1
