import json
from dataclasses import replace

import pytest

from attar.evaluation.diagnostics import Diagnostics, diagnose
from attar.records import Epoch

HEALTHY = Diagnostics(
    error=0.5,
    train_error=0.45,
    pca_errors=[4.0, 2.0, 1.0],
    held_out=True,
    carried=[1.0, 0.7],
    column_scales=[1.0, 1.2, 0.8],
    column_names=["a", "b", "c"],
    best_epoch=20,
)


def history_of(losses):
    return [Epoch(i + 1, loss, loss, 0.0, loss, 0.1, 1.0) for i, loss in enumerate(losses)]


FLAT = history_of([2.0 ** -min(i, 12) for i in range(20)])
FALLING = history_of([20.0 - i for i in range(20)])


def names(facts, history=FLAT):
    return [finding.name for finding in diagnose(facts, history)]


def test_a_healthy_model_has_nothing_else():
    (finding,) = diagnose(HEALTHY, FLAT)
    assert finding.name == "healthy"
    assert str(finding) == "Nothing is wrong: the error is 0.50 of PCA's."


SICK = {
    "worse-than-pca": {"error": 1.1, "train_error": 1.1},
    "dead-units": {"carried": [1.0, 0.0]},
    "memorizing": {"train_error": 0.1},
    "unscaled": {"column_scales": [1.0, 1.0, 40.0]},
    "constant-columns": {"column_scales": [1.0, 0.0, 1.0]},
}


@pytest.mark.parametrize("name", SICK)
def test_each_finding_is_made_from_its_facts_alone(name):
    assert names(replace(HEALTHY, **SICK[name])) == [name]


WELL = {
    "as good as pca": {"error": 1.004, "train_error": 1.0},
    "a unit that carries little": {"carried": [1.0, 0.01]},
    "a gap": {"train_error": 0.26},
    "a gap where nothing was held out": {"train_error": 0.1, "held_out": False},
    "a gap below notice": {"error": 9e-7, "train_error": 1e-9},
    "a wide column": {"column_scales": [1.0, 1.0, 29.0]},
    "more units than components": {"carried": [1.0] * 9},
}


@pytest.mark.parametrize("case", WELL)
def test_what_is_no_trouble_is_not_found(case):
    assert names(replace(HEALTHY, **WELL[case])) == ["healthy"]


def test_a_loss_that_still_falls_has_not_converged():
    assert names(HEALTHY, FALLING) == ["not-converged"]
    (finding,) = diagnose(HEALTHY, FALLING)
    assert "epochs=40" in finding.advice


def test_a_short_or_an_ended_training_is_not_blamed():
    assert names(HEALTHY, FALLING[:9]) == ["healthy"]
    assert names(replace(HEALTHY, best_epoch=15), FALLING) == ["healthy"]


def test_findings_come_gravest_first():
    facts = replace(
        HEALTHY, error=3.0, carried=[1.0, 0.0], train_error=0.1, column_scales=[1.0, 0.0, 99.0]
    )
    assert names(
        replace(facts, column_scales=[1.0, 1.0, 99.0, 0.0], column_names=list("abcd")), FALLING
    ) == [
        "worse-than-pca",
        "dead-units",
        "memorizing",
        "unscaled",
        "constant-columns",
        "not-converged",
    ]


def test_findings_say_how_many_and_which():
    found = {f.name: f for name in SICK for f in diagnose(replace(HEALTHY, **SICK[name]), FLAT)}
    assert (
        "PCA with as many numbers has an error of 1, less than" in found["worse-than-pca"].problem
    )
    assert "1 of 2 code dimensions" in found["dead-units"].problem
    assert "code_size=1" in found["dead-units"].advice
    assert "is 5.0 times" in found["memorizing"].problem
    assert "'c' is 40 times as wide" in found["unscaled"].problem
    assert "1 of 3 columns never change, 'b' first" in found["constant-columns"].problem


def test_constant_data_is_constant_and_nothing_worse():
    facts = replace(HEALTHY, error=0.0, train_error=0.0, pca_errors=[0.0], column_scales=[0.0] * 3)
    assert "constant-columns" in names(facts)
    assert "worse-than-pca" not in names(facts)


def test_facts_and_findings_go_to_json():
    assert Diagnostics(**json.loads(json.dumps(HEALTHY.to_json()))) == HEALTHY
    (finding,) = diagnose(HEALTHY, FLAT)
    assert json.loads(json.dumps(finding.to_json()))["name"] == "healthy"
