"""A command line to run in an empty folder."""

import gc
import sys

import pytest

from attar.cli import main


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command line in an empty folder; return exit status, output and error output."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["attar", *map(str, words)])
        status = 0
        try:
            main()
        except SystemExit as exit_:
            status = exit_.code or 0
        finally:
            gc.unfreeze()
        return (status, *capsys.readouterr())

    return run
