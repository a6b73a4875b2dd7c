"""What is released: wheel and source, the command, its version and its completion."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import attar

ROOT = Path(__file__).parents[1]
SOURCES = {path.relative_to(ROOT / "src") for path in (ROOT / "src" / "attar").rglob("*.py")}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The paths of wheel and source distribution, made by the build backend."""
    folder = tmp_path_factory.mktemp("dist")
    program = (
        "from hatchling.build import build_sdist, build_wheel; import sys; "
        "print(build_wheel(sys.argv[1])); print(build_sdist(sys.argv[1]))"
    )
    words = [sys.executable, "-c", program, str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return [folder / name for name in done.stdout.split()]


def test_a_wheel_holds_the_package_and_its_data(built):
    wheel, _ = built
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name) for name in archive.namelist()}
    assert {path for path in names if path.suffix == ".py"} == SOURCES
    for name in ("py.typed", "recipes.json", "reporting/page.css"):
        assert Path("attar", name) in names


def test_the_command_runs_where_pip_has_installed_the_wheel(built, tmp_path):
    wheel, _ = built
    venv.create(tmp_path / "venv")
    pip = [sys.executable, "-m", "pip", "--python", str(tmp_path / "venv/bin/python")]
    words = ["install", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    subprocess.run([*pip, *words], capture_output=True, check=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    # What attar depends on is taken from here, and attar itself is not.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def printed(*words):
        command = [tmp_path / "venv/bin/attar", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert printed("--version") == f"{attar.__version__}\n"
    said = printed("fit", "digits", "--epochs", "1", "-o", "d.attar")
    assert re.fullmatch(r"Fitted in .* s: d\.attar\.", said.splitlines()[-1])
    program = "import attar; print(attar.__file__)"
    python = [tmp_path / "venv/bin/python", "-c", program]
    found = subprocess.run(python, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == f"{site / 'attar/__init__.py'}\n"


def test_a_source_distribution_has_what_it_is_tested_with(built):
    _, source = built
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{path}" for path in SOURCES} <= names
    for name in ("tests/conftest.py", "docs/conf.py", "CITATION.cff", "LICENSE", "CHANGELOG.md"):
        assert name in names
    assert not any("_build" in name for name in names)


def test_one_version_is_said_everywhere():
    version = attar.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert f'\nversion = "{version}"\n' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_taught_the_verbs(shell, run, monkeypatch):
    monkeypatch.setenv("_ATTAR_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "attar inf")
    monkeypatch.setenv("COMP_WORDS", "attar inf")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    status, out, _ = run()
    assert (status, "info" in out) == (0, True)


def test_the_package_is_typed():
    assert (ROOT / "src/attar/py.typed").exists()
