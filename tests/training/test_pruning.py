import math

import optuna
import pytest

from attar.training import Pruning


class Judge:
    """A trial that is pruned from some moment on."""

    def __init__(self, pruned_from=math.inf):
        self.pruned_from, self.reports = pruned_from, {}

    def report(self, value, moment):
        self.reports[moment] = value

    def should_prune(self):
        return len(self.reports) >= self.pruned_from


def test_the_loss_is_reported_at_each_twentieth(training):
    trial = Judge()
    history = training(callbacks=[Pruning(trial, offset=1.0)], epochs=5).run()
    expected = [epoch.validation_loss + 1 for epoch in history for _ in range(4)]
    assert trial.reports == dict(enumerate(expected, 1))


@pytest.mark.parametrize("pruning", [Pruning(Judge(8)), Pruning(Judge(), until=0.0)])
def test_a_trial_that_falls_behind_or_has_no_time_is_pruned(training, pruning):
    with pytest.raises(optuna.TrialPruned):
        training(callbacks=[pruning], epochs=5).run()
    assert len(pruning.trial.reports) == (8 if pruning.until else 4)
