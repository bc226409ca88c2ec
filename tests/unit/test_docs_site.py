"""The documents become a site: without a warning, every page in its contents, and nothing in it loaded from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
LOADED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"'](?:https?:)?//|<link\b[^>]*\bhref=[\"'](?:https?:)?//")


def build(folder: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", str(folder), str(target)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = build(ROOT / "docs", target)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def test_every_page_is_in_it_and_in_its_contents(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    for page in PAGES:
        assert (site / f"{page}.html").exists()
        assert page == "index" or f'href="{page}.html"' in index


def test_the_front_page_tells_the_story_of_the_readme(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.+)$", readme, re.MULTILINE)
    shown = [title for title in titles if f"<h2>{title}<" in index]
    assert set(titles) - set(shown) == {"First calls by hand", "Documents"}
    for picture in re.findall(r"\]\(docs/pictures/(.+?)\)", readme):
        assert re.search(rf'src="_images/{re.escape(picture)}"', index), picture
    assert index.index("How mature") < index.index("<h2>")


def test_a_page_stands_once_in_the_contents(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    contents = index[index.index("sidebar-tree") : index.index("</aside>")]
    found = re.findall(r'href="([\w-]+)\.html"', contents)
    assert sorted(found) == sorted(set(found)) == sorted(page for page in PAGES if page != "index")


def test_a_reader_needs_no_network(site: Path) -> None:
    for page in site.rglob("*.html"):
        found = LOADED.search(page.read_text(encoding="utf-8"))
        assert found is None, f"{page.name}: {found}"
    for sheet in site.rglob("*.css"):
        assert re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text(encoding="utf-8")) is None, sheet.name


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "conf.py").write_text((ROOT / "docs" / "conf.py").read_text(encoding="utf-8").replace(
        "Path(__file__).parents[1]", f"Path({str(ROOT)!r})"), encoding="utf-8")  # fmt: skip
    (pages / "index.md").write_text("# Here\n\n[there](there.md) and [down](#down)\n", encoding="utf-8")
    done = build(pages, tmp_path / "site")
    assert done.returncode != 0
    assert "there" in done.stderr
    assert "down" in done.stderr
