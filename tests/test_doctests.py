"""The examples of all docstrings run."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

import attar

OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
NAMES = [
    "attar",
    *(
        m.name
        for m in pkgutil.walk_packages(attar.__path__, "attar.")
        if m.name != "attar.__main__"
    ),
]


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name):
    assert doctest.testmod(import_module(name), optionflags=OPTIONS).failed == 0
