"""How the pages of this folder become a site: ``make docs`` builds it, warnings are errors, nothing is fetched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_VERSION = _ROOT / "ryu_vmmob" / "__init__.py"

project = "ryu-vmmob"
release = _VERSION.read_text(encoding="utf-8").partition('__version__ = "')[2].partition('"')[0]
copyright = "the authors of ryu-vmmob, Apache 2.0"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["pictures", "static"]
nitpicky = True

# Headings are linked to from other pages and from GitHub, which makes anchors of all of them.
myst_heading_anchors = 4
# A page is shown with its examples as they are: JSON with "…" in it, or HTTP with a body of its own, is no fault.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = "ryu-vmmob"
html_static_path = ["static"]
html_copy_source = False
html_show_sphinx = False
html_css_files = ["site.css"]

_LEFT_OUT = ("First calls by hand", "Documents")
"""Sections of the README that are no part of the front page: the pages for REST and the contents have them."""


def _story(text: str) -> str:
    """Return the README as the front page has it: links lead to the pages here, files outside of them are only named."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    kept = "".join(part for part in parts if not part.startswith(tuple(f"## {title}\n" for title in _LEFT_OUT)))
    kept = re.sub(r"\]\(docs/", "](", kept).replace("](CHANGELOG.md", "](changes.md")
    return re.sub(r"\[([^]]+)\]\((?!https?://|#|pictures/)(?![\w-]+\.md[#)])[^)]+\)", r"\1", kept)


def _read(_: Any, name: str, source: list[str]) -> None:
    """Put the README in the place that the front page keeps for it."""
    if name == "index":
        source[0] = source[0].replace(
            "<!-- the story of README.md -->", _story((_ROOT / "README.md").read_text(encoding="utf-8"))
        )


def setup(app: Any) -> None:
    """Have each page's text looked at when it is read."""
    app.connect("source-read", _read)
