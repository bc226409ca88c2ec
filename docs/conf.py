"""How the pages of this folder become a site: ``make docs`` builds it, warnings are errors, nothing is fetched."""

from __future__ import annotations

from pathlib import Path

_VERSION = Path(__file__).parents[1] / "ryu_vmmob" / "__init__.py"

project = "ryu-vmmob"
release = _VERSION.read_text(encoding="utf-8").partition('__version__ = "')[2].partition('"')[0]
copyright = "the authors of ryu-vmmob, Apache 2.0"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["pictures"]
nitpicky = True

# Headings are linked to from other pages and from GitHub, which makes anchors of all of them.
myst_heading_anchors = 4
# A page is shown with its examples as they are: JSON with "…" in it, or HTTP with a body of its own, is no fault.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = "ryu-vmmob"
html_static_path: list[str] = []
html_copy_source = False
html_show_sphinx = False
