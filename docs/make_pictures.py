"""Make the pictures of guides, each by the program beside it: ``python docs/make_pictures.py``."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

DOCS = Path(__file__).parent


def shown(page: str) -> set[str]:
    """Return the names of the pictures that a page shows."""
    return set(re.findall(r"!\[[^]]*\]\((\w+\.png)\)", page))


def programs(page: str) -> list[str]:
    """Return the programs of a page that write a picture which it shows."""
    found = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    return [program for program in found if written(program) & shown(page)]


def written(program: str) -> set[str]:
    """Return the names of the pictures that a program writes."""
    return set(re.findall(r'savefig\("(\w+\.png)"', program))


def main() -> None:
    """Run the programs, and keep their pictures."""
    for path in sorted(DOCS.glob("*.md")):
        page = path.read_text("utf-8")
        for program in programs(page):
            with TemporaryDirectory() as folder:
                os.chdir(folder)
                exec(program, {"__name__": "__main__"})
                for name in written(program) & shown(page):
                    shutil.copy(name, DOCS / name)
                    print(f"{path.name}: {name}")
                os.chdir(DOCS)


if __name__ == "__main__":
    main()
