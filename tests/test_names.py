"""The names that are known without torch are those of the parts and settings themselves."""

from __future__ import annotations

import pytest

import attar
from attar import names, plan
from attar.errors import ELSEWHERE, SettingError
from attar.parts import FAMILIES
from attar.recipes import TABLE


@pytest.mark.parametrize("setting", names.PARTS)
def test_the_names_of_parts_are_those_of_their_family(setting):
    members = TABLE if setting == "recipe" else FAMILIES[setting].members
    assert sorted(names.PARTS[setting]) == sorted(members)


def test_the_settings_that_name_a_part_are_those_of_the_plan():
    assert set(names.PARTS) == set(plan.PARTS)


def test_the_names_of_samplers_are_those_of_the_family():
    assert sorted(names.SAMPLERS) == sorted(FAMILIES["sampler"].members)


def test_the_settings_are_the_estimators():
    assert sorted(names.SETTINGS) == sorted(attar.Autoencoder().get_params(deep=False))


@pytest.mark.parametrize(
    "settings",
    [
        {"recipe": "vae", "code_size": 3, "network": "auto", "corruption": None},
        {"recipe": attar.Recipe(), "recipe__code__beta": 2.0},
        {name: names.PARTS[name][-1] for name in names.PARTS},
    ],
)
def test_known_names_pass(settings):
    names.check(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipe": "vea"}, "There is no recipe named 'vea': did you mean 'vae'?"),
        ({"epoch": 3}, "There is no setting named 'epoch': did you mean 'epochs'?"),
        ({"recipy__code__beta": 3}, "There is no setting named 'recipy': did you mean 'recipe'?"),
        ({"network": "cnov"}, "There is no network named 'cnov': did you mean 'conv'?"),
        ({"network": "cnn"}, "There is no network named 'cnn': did you mean 'conv'?"),
        ({"network": "ResNet"}, "There is no network named 'ResNet': did you mean 'conv'?"),
        ({"network": "lstm"}, "There is no network named 'lstm': did you mean 'gru'?"),
        ({"likelihood": "mse"}, "There is no likelihood named 'mse': did you mean 'gaussian'?"),
        ({"likelihood": "bce"}, "There is no likelihood named 'bce': did you mean 'bernoulli'?"),
        ({"likelihood": "mae"}, "There is no likelihood named 'mae': did you mean 'laplace'?"),
        ({"recipe": "mae"}, "There is no recipe named 'mae': did you mean 'masked'?"),
        ({"lr": 0.1}, "There is no setting named 'lr': did you mean 'learning_rate'?"),
        ({"latent_dim": 2}, "There is no setting named 'latent_dim': did you mean 'code_size'?"),
        ({"seed": 2}, "There is no setting named 'seed': did you mean 'random_state'?"),
        ({"optimizer": "addam"}, "There is no optimizer named 'addam': did you mean 'adam'?"),
    ],
)
def test_a_typo_is_refused_with_the_nearest_name(settings, message):
    with pytest.raises(SettingError) as refusal:
        names.check(settings)
    assert str(refusal.value).startswith(message)


def test_what_a_name_is_called_elsewhere_is_no_name_here_and_leads_to_one():
    here = {*names.SETTINGS, *names.SAMPLERS, *names.COLUMNS}.union(*names.PARTS.values())
    assert not here & set(ELSEWHERE)
    assert {name for found in ELSEWHERE.values() for name in found} <= here


def test_the_estimator_suggests_the_name_of_a_setting():
    with pytest.raises(SettingError, match="no setting named 'lr': did you mean 'learning_rate'"):
        attar.Autoencoder("vae", lr=0.1)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": "category"}, "no kind of column named 'category': did you mean 'categorical'"),
        ({"a": "int"}, "no kind of column named 'int': did you mean 'number'"),
        ({"a": "drop"}, "no kind of column named 'drop': did you mean 'ignore'"),
        ({"a": float}, "no kind of column named .*: choose one of boolean, categorical"),
        (["a"], r"columns maps names to kinds, such as {'zip': 'categorical'}, not \['a'\]"),
    ],
)
def test_a_kind_that_no_column_has_is_refused(columns, message):
    with pytest.raises(SettingError, match=message):
        names.check({"columns": columns})
    with pytest.raises(SettingError, match=message):
        attar.Autoencoder(columns=columns).fit(None)
