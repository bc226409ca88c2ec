"""The marked blocks of docs/pipeline.md, docs/architecture.md and docs/fabric.md are what the code says now."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ryu_vmmob.flows.pipeline import TABLES

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "dump_pipeline.py"
FILES = ("docs/pipeline.md", "docs/architecture.md", "docs/fabric.md")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(TOOL), *arguments], capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with copies of the files."""
    (tmp_path / "docs").mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_files_are_current() -> None:
    done = run("--check")
    assert done.returncode == 0, f"run tools/dump_pipeline.py\n{done.stdout[:4000]}{done.stderr}"


def test_a_stale_block_is_found_and_mended(copy: Path) -> None:
    page = copy / "docs/pipeline.md"
    good = page.read_text(encoding="utf-8")
    page.write_text(good.replace("set_vlan_vid:2763", "set_vlan_vid:2764"), encoding="utf-8")
    checked = run("--check", "--root", str(copy))
    assert checked.returncode == 1
    assert "-table=deliver" in checked.stdout
    assert "set_vlan_vid:2764" in page.read_text(encoding="utf-8")
    assert run("--root", str(copy)).returncode == 0
    assert page.read_text(encoding="utf-8") == good


def test_a_lost_block_is_an_error(copy: Path) -> None:
    page = copy / "docs/architecture.md"
    page.write_text(page.read_text(encoding="utf-8").replace("<!-- begin sizes -->", ""), encoding="utf-8")
    done = run("--root", str(copy))
    assert done.returncode == 2
    assert "'sizes'" in done.stderr


def test_every_table_has_its_section() -> None:
    text = (ROOT / "docs/pipeline.md").read_text(encoding="utf-8")
    assert [line[3:] for line in text.splitlines() if line[3:] in {table.label for table in TABLES}] == [
        table.label for table in TABLES
    ]
