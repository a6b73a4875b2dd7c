"""The pages of docs/: what they name exists, and links are found broken where they are."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

import attar
from attar.recipes import TABLE

DOCS = Path(__file__).parents[1] / "docs"


def script(name):
    """A script of docs/, as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_links, make_pictures = script("check_links"), script("make_pictures")


def test_recipes_and_tasks_that_are_advised_exist():
    page = (DOCS / "choose.md").read_text("utf-8")
    recipes = page.split("## Recipes")[1].split("## Settings")[0]
    rows = re.findall(r"^\|[^|]*\|([^|]*)\|", recipes, re.M)
    named = {name for row in rows[2:] for name in re.findall("`([a-z0-9-]+)`", row)}
    assert len(named) > 20
    assert named <= set(TABLE)
    assert all(hasattr(attar, name) for name in re.findall(r"`attar\.(\w+)`", page))


def test_the_number_of_recipes_is_said_right():
    for name in ("choose", "index"):
        (number,) = re.findall(
            r"(?:All )?(\d+) (?:are on the page|published)",
            (DOCS / f"{name}.md").read_text("utf-8"),
        )
        assert int(number) == len(TABLE)


def test_every_display_is_in_the_guide_and_in_the_gallery():
    displays = {name for name in attar.plotting.__all__ if name.endswith("Display")}
    guide = (DOCS / "plots.md").read_text("utf-8")
    assert {name for name in displays if f"| `{name}` |" in guide} == displays
    programs = "".join(path.read_text("utf-8") for path in (DOCS / "gallery").glob("plot_*.py"))
    assert {name for name in displays if f"plotting.{name}." in programs} == displays


def test_every_page_is_in_a_table_of_contents():
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    trees = re.findall(
        r"```{toctree}\n(.*?)```",
        "".join(path.read_text("utf-8") for path in DOCS.glob("*.md")),
        re.S,
    )
    listed = {line for tree in trees for line in tree.splitlines() if not line.startswith(":")}
    assert pages <= listed


def test_guides_of_kinds_of_data_show_what_their_programs_draw():
    for name in ("images", "series", "sparse", "tables"):
        page = (DOCS / f"{name}.md").read_text("utf-8")
        assert make_pictures.shown(page) == {f"{name}.png"}
        (program,) = make_pictures.programs(page)
        assert make_pictures.written(program) == {f"{name}.png"}
        assert (DOCS / f"{name}.png").exists()


def test_broken_links_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">1</a><a href="b.html#gone">2</a><a href="c.html">3</a>'
        '<a href="#here">4</a><p id="here"></p><a href="https://example.org/none">5</a>'
    )
    (tmp_path / "b.html").write_text('<p id="there"><img src="none.png"></p><a href="a.html">')
    assert check_links.broken(tmp_path) == [
        "a.html: b.html#gone",
        "a.html: c.html",
        "b.html: none.png",
    ]


def test_a_folder_without_pages_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="build them first"):
        check_links.broken(tmp_path)


def test_the_notebook_has_no_outputs():
    notebook = json.loads((DOCS.parent / "examples/notebooks/start.ipynb").read_text("utf-8"))
    assert [cell.get("outputs", []) for cell in notebook["cells"]] == [[]] * len(notebook["cells"])
