"""The number of threads is that with which steps take less time, and equal seeds stay equal."""

import itertools
from collections import Counter

import pytest
import torch

import attar
from attar import fitted
from attar.training import threads
from attar.training.threads import (
    COSTS,
    MEASURED_FROM,
    OPERATIONS,
    SECONDS,
    THREADS_FROM,
    Threads,
    cores_are_idle,
)


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    """Whether cores are idle."""
    idle = {"idle": True}
    monkeypatch.setattr(threads, "cores_are_idle", lambda *_: idle["idle"])
    return idle


class Clock:
    """A clock that only steps move on."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def run(made, clock, steps, seconds):
    """Make steps of so many seconds by the number of threads, and count the uses of each."""
    used = Counter()
    for _ in range(steps):
        with made.step():
            number = torch.get_num_threads()
            used[number] += 1
            clock.now += seconds[number]
    return used


@pytest.mark.parametrize(("one", "two", "faster"), [(0.02, 0.01, 2), (0.01, 0.02, 1)])
def test_the_faster_number_of_threads_is_used(one, two, faster):
    clock = Clock()
    with Threads(MEASURED_FROM, clock=clock) as made:
        run(made, clock, 20, {1: one, 2: two})
        assert run(made, clock, 100, {1: one, 2: two}) == {faster: 100}


def test_the_choice_is_made_again_when_other_jobs_come_and_go():
    clock, quiet, busy = Clock(), {1: 0.02, 2: 0.01}, {1: 0.03, 2: 1.0}
    with Threads(MEASURED_FROM, clock=clock) as made:
        while made.number == 1 or made.comparing or not made.warm:
            run(made, clock, 1, quiet)
        # One slow step is enough.
        assert run(made, clock, 100, busy) == {2: 1, 1: 99}
        run(made, clock, round(COSTS / quiet[1]), quiet)
        assert run(made, clock, 100, quiet)[2] > 90


def test_comparing_costs_little():
    clock, busy = Clock(), {1: 0.03, 2: 1.0}
    with Threads(MEASURED_FROM, clock=clock) as made:
        used = run(made, clock, 20_000, busy)
    least = 20_000 * busy[1]
    assert 2 <= used[2] <= 15
    assert clock.now < least * (1 + 1 / COSTS) + 2 * busy[2]


def test_several_threads_are_tried_on_idle_cores_only(cores):
    clock, quiet = Clock(), {1: 0.02, 2: 0.01}
    cores["idle"] = False
    with Threads(MEASURED_FROM, clock=clock) as made:
        assert run(made, clock, 1000, quiet) == {1: 1000}
        cores["idle"] = True
        used = run(made, clock, 1000, quiet)
        assert used[1] <= SECONDS / quiet[1]


def test_cores_are_idle_where_two_threads_take_less_time():
    for one, two in ((1.0, 0.6), (1.0, 0.9)):
        now = itertools.accumulate(itertools.chain([0, OPERATIONS * one], itertools.repeat(two)))
        assert cores_are_idle(2, lambda now=now: next(now)) is (two < one * 0.7)
        assert torch.get_num_threads() == 2


def test_a_slow_first_step_does_not_count():
    clock, first = Clock(), {1: 0.02, 2: 0.05}
    with Threads(MEASURED_FROM, clock=clock) as made:
        run(made, clock, 10, first)
        run(made, clock, 10, {1: 0.02, 2: 0.01})
        assert made.number == 2


def test_equal_numbers_keep_one_thread():
    clock, equal = Clock(), {1: 0.01, 2: 0.0095}
    with Threads(MEASURED_FROM, clock=clock) as made:
        used = run(made, clock, 10_000, equal)
    assert used[2] <= 5 * (1 + clock.now / SECONDS)


def test_small_steps_use_one_thread_whatever_they_take():
    clock = Clock()
    for exact in (False, True):
        with Threads(MEASURED_FROM - 1, exact, clock) as made:
            assert not made.undecided
            assert run(made, clock, 1000, {1: 1.0, 2: 0.01}) == {1: 1000}


@pytest.mark.parametrize("work", [1, MEASURED_FROM, THREADS_FROM])
@pytest.mark.parametrize("exact", [False, True])
def test_the_users_number_of_threads_is_restored_even_after_an_error(work, exact):
    made = Threads(work, exact)
    with pytest.raises(KeyError), made, made.step():
        raise KeyError
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("work", "different"), [(MEASURED_FROM, 1), (THREADS_FROM, 2)])
def test_time_decides_for_a_seed_only_where_threads_change_no_number(work, different):
    def used(numbers):
        clock, total = Clock(), Counter()
        with Threads(work, exact=True, clock=clock) as made:
            for _ in range(100):
                if made.undecided:
                    made.decide(numbers)
                total += run(made, clock, 1, {1: 0.02, 2: 0.01})
        return total

    assert used(lambda: {"sum": torch.ones(2)})[2] > 80
    # Large steps, whose numbers differ, use all threads from the first; the others one.
    found = used(lambda: {"sum": torch.tensor(float(torch.get_num_threads()))})
    assert found == {different: 100}


@pytest.fixture
def impatient(monkeypatch):
    """Compare threads at every step, small or not."""
    for name in ("MEASURED_FROM", "SECONDS", "COSTS"):
        monkeypatch.setattr(threads, name, 0)
    for name in ("RECENT", "NEW"):
        monkeypatch.setattr(threads, name, 1)


@pytest.fixture
def switches(monkeypatch):
    """The numbers of threads that were tried."""
    tried, use = [], Threads._use
    monkeypatch.setattr(Threads, "_use", lambda made, n: tried.append(n) or use(made, n))
    return tried


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("spec", ["vae", "aae"])
def test_equal_seeds_give_equal_weights_whatever_threads_were_tried(spec, training, switches):
    weights = []
    for compared in (Threads(-1), Threads(exact=True)):
        made = training(spec, epochs=2)
        made.threads = compared
        torch.manual_seed(3)
        made.run()
        weights.append(made.model.state_dict())
    # A network as small as the first is never divided among threads; a critic may be.
    assert len(switches) > 1 or not compared.timed
    assert compared.timed or spec == "aae"
    assert all(torch.equal(weights[1][name], tensor) for name, tensor in weights[0].items())


def test_what_would_be_the_next_step_changes_nothing(training):
    made = training("vae")
    made.run()
    rows = next(made.train.drawn())
    before, random = made._state(), torch.get_rng_state()
    numbers = made._numbers(rows)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(made._state()[name], tensor) for name, tensor in before.items())
    assert not all(torch.equal(numbers[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize(("seed", "exact"), [(None, False), (0, True)])
def test_a_fit_is_exact_where_it_has_a_seed(seed, exact, monkeypatch):
    made = []
    monkeypatch.setattr(fitted, "Threads", lambda *a, **k: made.append((a, k)) or Threads(*a, **k))
    x = torch.randn(40, 5).numpy()
    ae = attar.Autoencoder(epochs=1, batch_size=10, random_state=seed).fit(x)
    weights = sum(w.numel() for w in ae.fitted_.predictor.model.parameters())
    assert made == [((10 * weights,), {"exact": exact})]
    assert torch.get_num_threads() == 2
