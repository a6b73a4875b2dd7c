"""Sphinx's settings for the pages of attar: ``make docs``."""

from __future__ import annotations

import inspect
import os
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

from sphinx.application import Sphinx

import attar

os.environ.setdefault("OMP_NUM_THREADS", "1")

project, author, copyright = "attar", "The attar developers", "The attar developers"
release = version = attar.__version__
root_doc = "index"

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["templates"]
exclude_patterns = ["_build", "gallery/*.rst"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": ["gallery"],
    "gallery_dirs": ["plots_of_attar"],
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 1e9,
    "capture_repr": ("_repr_html_",),
    "image_scrapers": ("matplotlib",),
}

html_theme = "pydata_sphinx_theme"
html_title = "attar"
html_static_path = ["static"]
html_css_files = ["attar.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_prev_next": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "github-dark",
}
html_sidebars = {"start": [], "choose": [], "elsewhere": [], "recipes": []}

# The modules of parts and of functions, in the order of the reference.
MODULES = (
    "plotting",
    *(name for name in attar._MODULES if name != "plotting"),
    *("scale.torchrun", "scale.ray"),
)


def names_of(module: ModuleType) -> list[str]:
    """Return the public names of a module: those it exports, or what it defines itself."""
    exported = getattr(module, "__all__", None)
    if exported is not None:
        return [name for name in exported if is_documented(getattr(module, name))]
    return [
        name
        for name, value in vars(module).items()
        if is_documented(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]


def is_documented(value: object) -> bool:
    """Return whether something is a class or a function."""
    return inspect.isclass(value) or inspect.isfunction(value)


def write_reference(folder: Path) -> None:
    """Write a page for ``attar`` and for each of its modules, with all public names."""
    folder.mkdir(exist_ok=True)
    listed: set[str] = set()
    for name in ("attar", *(f"attar.{module}" for module in MODULES)):
        module = import_module(name)
        lines = [name, "=" * len(name), "", f".. currentmodule:: {name}", ""]
        if name != "attar":
            lines += [(inspect.getdoc(module) or "").splitlines()[0], ""]
        lines += [".. autosummary::", "   :toctree: generated", ""]
        lines += [f"   {public}" for public in names_of(module)]
        listed |= {f"{name}.{public}.rst" for public in names_of(module)}
        page, text = folder / f"{name}.rst", "\n".join(lines) + "\n"
        if not page.exists() or page.read_text("utf-8") != text:
            page.write_text(text, "utf-8")
    for page in (folder / "generated").glob("*.rst"):
        if page.name not in listed:  # of a build before
            page.unlink()


# What reStructuredText takes for markup, and formulas in plain text mean as it is written; inline
# literals, links and examples stay.
KEPT = re.compile(r"(``.*?``|:\w+:`[^`]*`|`[^`]*`_)")
MARKUP = re.compile(r"[|*_](?!\w*:)")


def as_written(*event: object) -> None:
    """Escape what formulas of a docstring have, outside of examples and literal blocks."""
    lines = event[-1]
    assert isinstance(lines, list)
    literal = -1
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if literal >= 0 and line.strip() and indent <= literal:
            literal = -1
        if literal < 0 and not line.lstrip().startswith((">>>", "...", "..")):
            parts = KEPT.split(line)
            lines[i] = "".join(
                part if KEPT.fullmatch(part) else MARKUP.sub(r"\\\g<0>", part) for part in parts
            )
        if line.rstrip().endswith("::") or line.lstrip().startswith(".. "):
            literal = indent


def is_left_out(
    app: Sphinx, of: str, name: str, member: object, skip: bool, options: object
) -> bool:
    """Return whether a member is inherited: from another package, or from what all parts share."""
    member = getattr(member, "fget", member)
    base = str(getattr(member, "__qualname__", "")).partition(".")[0]
    foreign = not str(getattr(member, "__module__", "attar")).startswith("attar")
    return skip or foreign or base in ("Part", "Parameters")


def constructor(
    app: Sphinx, of: str, name: str, known: object, options: object, signature: str, returned: str
) -> tuple[str, str] | None:
    """Return the signature of a class: what its constructor takes."""
    if not inspect.isclass(known) or issubclass(known, Exception):
        return None
    _, *taken = inspect.signature(known.__init__).parameters.values()
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in taken]
    return str(inspect.Signature(bare)), returned


def setup(app: Sphinx) -> None:
    """Write the pages of the reference before any is read."""
    write_reference(Path(app.srcdir) / "reference")
    app.connect("autodoc-process-docstring", as_written, priority=1)
    app.connect("autodoc-skip-member", is_left_out)
    app.connect("autodoc-process-signature", constructor)
