"""The blocks of README.md, and the programs of docs/, run as they are printed.

A block without a language holds lines that install or develop attar, and is not run.
"""

import re
import shlex
from doctest import ELLIPSIS, OutputChecker
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from PIL import Image

from attar.cli import main

ROOT = Path(__file__).parents[1]


def blocks(page, language):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.M | re.S)
    return [block for name, block in found if name == language]


PAGES = (
    "README.md",
    *(f"docs/{name}.md" for name in ("start", "choose", "elsewhere", "model_file")),
    *(f"docs/{name}.md" for name in ("anomalies", "clusters", "compression", "denoising")),
    *(f"docs/{name}.md" for name in ("data", "exports", "forecasting", "images", "imputation")),
    *(f"docs/{name}.md" for name in ("labels", "pictures", "plots", "recipes", "recognition")),
    *(f"docs/{name}.md" for name in ("series", "sound", "sparse", "speech", "tables")),
    *(f"docs/{name}.md" for name in ("text", "text_columns", "tuning")),
)
# Programs of other packages run where these are installed.
PEERS = ("keras", "pythae", "pyod")
PROGRAMS = [
    pytest.param(block, id=f"{page}-{i}")
    for page in PAGES
    for i, block in enumerate(blocks(page, "python"))
    # The expressions of docs/recipes.md import nothing; test_recipes_page.py evaluates them.
    if page != "docs/recipes.md" or "import" in block
]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of keras
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_runs_by_itself_and_prints_what_its_comments_say(
    program, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for peer in PEERS:
        if re.search(rf"^(import|from) {peer}\b", program, re.M):
            pytest.importorskip(peer)
    exec(program, {"__name__": "__main__"})
    printed = re.findall(r"^print\(.*\)  # (.*)$", program, re.M)
    assert capsys.readouterr().out.splitlines() == printed
    for made in tmp_path.glob("*.png"):
        kept = ROOT / "docs" / made.name
        if kept.exists():
            assert size_of(kept) == size_of(made), "run `make pictures`"


def size_of(picture):
    with Image.open(picture) as opened:
        return opened.size


def test_the_shell_blocks_are_one_sequence_in_an_empty_folder(run, tmp_path):
    lines = "".join(blocks("README.md", "sh")).replace("\\\n", "")
    printed = ""
    for command in re.split(r"\n(?=python|attar)", lines):
        program, *words = shlex.split(command, comments=True)
        if program == "python":
            exec(words[1], {})
            continue
        status, out, err = run(*words)
        # Where ten seconds pass, there is a line of progress.
        unexpected = [line for line in err.splitlines() if not line.endswith(" left")]
        assert (status, unexpected) == (0, [])
        printed += out
    expected = "".join(blocks("README.md", "text"))
    assert OutputChecker().check_output(expected + "...", printed, ELLIPSIS)
    named = set(re.findall(r"\w+\.(?:csv|attar|html|parquet)\b", lines))
    assert {file.name for file in tmp_path.iterdir()} == named


def test_the_command_line_is_installed():
    (command,) = entry_points(group="console_scripts", name="attar")
    assert command.load() is main


def test_blocks_without_a_language_install_or_develop():
    words = {line.split()[0] for block in blocks("README.md", "") for line in block.splitlines()}
    assert words == {"git", "make"}
