import json
from dataclasses import FrozenInstanceError, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

import attar.estimator  # noqa: F401  (makes every part known)
from attar import SettingError
from attar.codes import Code, Gaussian, Point, TopK
from attar.corruptions import Masking
from attar.networks import Mlp, Network
from attar.parts import FAMILIES, Part
from attar.penalties import L1, L2
from attar.priors import StandardNormal
from attar.recipe import Recipe
from attar.recipes import TABLE

PARTS = [member() for family in FAMILIES.values() for member in family.members.values()]
NUMBERS = st.floats(allow_nan=False) | st.integers()


def there_and_back(part):
    return Part.from_json(json.loads(json.dumps(part.to_json())))


def test_every_family_is_known_by_its_name():
    assert {"code", "prior", "likelihood", "network", "corruption", "penalty"} < set(FAMILIES)
    assert {"scaling", "optimizer", "schedule", "recipe"} < set(FAMILIES)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.family}/{part.name}")
class TestEveryPart:
    def test_comes_back_from_json_equal(self, part):
        back = there_and_back(part)
        assert back == part
        assert type(back) is type(part)
        assert hash(back) == hash(part)

    def test_is_found_by_its_name(self, part):
        assert FAMILIES[part.family].named(part.name) == part
        assert FAMILIES[part.family].resolve(part) is part

    def test_cannot_be_changed(self, part):
        with pytest.raises((FrozenInstanceError, TypeError)):
            part.anything = 1
        for field in fields(part):
            with pytest.raises(FrozenInstanceError):
                setattr(part, field.name, None)

    def test_is_its_own_clone(self, part):
        assert clone(part) is part

    def test_is_rebuilt_by_its_parameters(self, part):
        assert type(part)(**part.get_params(deep=False)) == part

    def test_differs_from_a_part_with_another_setting(self, part):
        for field in fields(part):
            assert part.replace(**{field.name: "another"}) != part


@given(st.data())
def test_any_number_comes_back_from_json(data):
    part = data.draw(st.sampled_from(PARTS))
    for name, value in part.get_params(deep=False).items():
        if isinstance(value, float | int) and not isinstance(value, bool):
            part = part.replace(**{name: data.draw(NUMBERS)})
        elif isinstance(value, tuple) and value and isinstance(value[0], int | float):
            part = part.replace(**{name: tuple(data.draw(st.lists(NUMBERS, max_size=4)))})
    assert there_and_back(part) == part


@pytest.mark.parametrize("name", TABLE)
def test_every_recipe_of_the_table_comes_back_from_json(name):
    assert there_and_back(TABLE[name].recipe) == TABLE[name].recipe


def test_parts_inside_parts_and_tuples_come_back_from_json():
    recipe = Recipe(TopK(3), corruption=Masking(0.5), penalties=(L1(1e-3), L2(0.25)))
    assert there_and_back(recipe) == recipe


def test_parameters_of_inner_parts_are_reached_by_two_underscores():
    recipe = Recipe(Gaussian(beta=2.0))
    params = recipe.get_params()
    assert params["code__beta"] == 2.0
    assert params["code__prior"] == StandardNormal()
    assert {"code", "corruption", "penalties", "bound"} < recipe.get_params(deep=False).keys()
    assert "code__beta" not in recipe.get_params(deep=False)


def test_replacing_reaches_inner_parts_and_leaves_the_original():
    recipe = Recipe(Gaussian(beta=2.0))
    changed = recipe.replace(code__beta=7.0, corruption=Masking())
    assert changed == Recipe(Gaussian(beta=7.0), corruption=Masking())
    assert recipe == Recipe(Gaussian(beta=2.0))


def test_replacing_a_part_and_its_setting_at_once_changes_the_new_part():
    assert Recipe().replace(code=TopK(2), code__k=5) == Recipe(TopK(5))


def test_settings_of_what_is_no_part_are_refused():
    with pytest.raises(
        SettingError, match=r"'corruption' of .* is not a part, so it has no settings"
    ):
        Recipe().replace(corruption__share=0.5)


@pytest.mark.parametrize("setting", ["wdths", "wdths__x"])
def test_an_unknown_setting_suggests_the_nearest(setting):
    with pytest.raises(SettingError, match="did you mean 'widths'"):
        Mlp().replace(**{setting: 1})


def test_an_unknown_inner_setting_suggests_the_nearest():
    with pytest.raises(SettingError, match="did you mean 'beta'"):
        Recipe(Gaussian()).replace(code__betta=1)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.family}/{part.name}")
def test_a_misspelt_part_suggests_the_right_one(part):
    with pytest.raises(SettingError, match=f"There is no {part.family} .* '{part.name}'"):
        FAMILIES[part.family].named("x" + part.name)


def test_what_is_neither_name_nor_part_is_refused():
    names = r"\(asymmetric, bag, conv, gru, lapped, .* text-transformer, transformer\)"
    with pytest.raises(SettingError, match=f"network must be a name {names} .*not 3"):
        Network.resolve(3)
    with pytest.raises(SettingError, match="code must be a name"):
        Code.resolve(Mlp())


@pytest.mark.parametrize(
    "data",
    [{}, {"part": "cod/point"}, {"part": "code/pont"}, {"part": "code/point", "activ": "relu"}],
)
def test_json_of_no_known_part_is_refused(data):
    with pytest.raises(SettingError, match="There is no"):
        Part.from_json(data)


def test_parts_of_equal_settings_but_other_types_differ():
    assert L1(0.1) != L2(0.1)
    assert len({L1(0.1), L1(0.1), L2(0.1), Point(), Point("relu")}) == 4
