import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar.training import Constant, Cosine, OneCycle, Schedule

SHARES = st.floats(0, 1)


@given(SHARES)
def test_constant_is_one(share):
    assert Constant().factor(share) == 1


@given(SHARES)
def test_cosine_is_half_of_one_plus_the_cosine(share):
    assert Cosine().factor(share) == pytest.approx((1 + math.cos(math.pi * share)) / 2, abs=1e-15)


def test_cosine_is_torchs_annealing():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
    for step in range(20):
        assert Cosine().factor(step / 20) == pytest.approx(peer.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        peer.step()


def test_one_cycle_is_torchs():
    steps, warmup, start = 21, 0.25, 0.04
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    peer = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, steps, pct_start=6 / 21, div_factor=1 / start, final_div_factor=1e12
    )
    schedule = OneCycle(warmup, start)
    for step in range(steps):
        assert schedule.factor(step / 20) == pytest.approx(peer.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        peer.step()


@given(st.floats(0, 1), st.floats(0, 1), SHARES)
def test_one_cycle_rises_from_its_start_to_one_and_falls_to_none(warmup, start, share):
    schedule = OneCycle(warmup, start)
    assert 0 <= schedule.factor(share) <= 1
    if warmup > 0:
        assert schedule.factor(0.0) == pytest.approx(start)
        assert schedule.factor(share * warmup) <= schedule.factor(warmup) + 1e-12
    assert schedule.factor(warmup) == pytest.approx(1)
    if warmup < 0.999:
        assert schedule.factor(1.0) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", Schedule.members)
def test_a_schedule_goes_without_leaps(name):
    schedule = Schedule.named(name)
    factors = [schedule.factor(i / 1000) for i in range(1001)]
    assert max(abs(a - b) for a, b in pairwise(factors)) < 0.01
