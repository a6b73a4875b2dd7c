"""The structure of the code: abstract or final classes, unique names, short files, examples."""

from __future__ import annotations

import inspect
import pkgutil
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import attar
from attar.parts import FAMILIES, Part
from attar.training import Callback

SOURCE = Path(attar.__file__).parent
MODULES = [
    import_module(found.name)
    for found in pkgutil.walk_packages([str(SOURCE)], "attar.")
    if found.name != "attar.__main__"
]
CLASSES = [
    cls
    for module in MODULES
    for cls in vars(module).values()
    if inspect.isclass(cls) and cls.__module__ == module.__name__
]
# Errors form a tree, any of which can be raised; a callback overrides what it needs.
OPEN = {cls for cls in CLASSES if issubclass(cls, Exception)} | {Callback}
BASES = [
    cls for cls in CLASSES if any(cls in other.__bases__ for other in CLASSES) and cls not in OPEN
]
PARTS = [cls for cls in CLASSES if issubclass(cls, Part) and hasattr(cls, "name")]


@pytest.mark.parametrize("base", BASES, ids=lambda cls: cls.__name__)
def test_every_base_is_abstract_and_refuses(base):
    with pytest.raises(TypeError, match="abstract"):
        base()


def test_every_family_has_members_that_can_be_built():
    assert all(family in BASES or hasattr(family, "name") for family in FAMILIES.values())
    assert not any(inspect.isabstract(part) for part in PARTS)


def test_a_class_name_is_used_once():
    names = Counter(cls.__name__ for cls in CLASSES)
    assert [name for name, count in names.items() if count > 1] == []


def test_files_are_rooms_of_one_family():
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    assert {str(path): n for path, n in lengths.items() if n > 650} == {}


@pytest.mark.parametrize("part", PARTS, ids=lambda cls: cls.__name__)
def test_every_part_has_an_example(part):
    assert ">>>" in (inspect.getdoc(part) or "")
