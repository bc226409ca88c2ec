"""``vmmob check``: output, streams, exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ryu_vmmob import __version__
from ryu_vmmob.cli.main import app
from tests.support.fabric_examples import EXAMPLE, ROOT, complete

GOOD = "two-dcs: 5 switches, 4 links, 4 servers, 1 external: no findings\n"
WARNING = 'l2_domains: {spare: {vlan_ids: "1-9"}}'
ERROR = 'servers: {srv-c1: {attach: "tor-a:1"}}'


def vmmob(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def written(folder: Path, text: str) -> Path:
    file = folder / "fabric.yaml"
    file.write_text(text)
    return file


def test_good_file() -> None:
    result = vmmob("check", EXAMPLE)
    assert (result.exit_code, result.stdout, result.stderr) == (0, GOOD, "")


def test_standard_input() -> None:
    result = vmmob("check", "-", stdin=EXAMPLE.read_bytes())
    assert (result.exit_code, result.stdout, result.stderr) == (0, GOOD, "")


def test_warnings_go_to_standard_output_and_are_allowed(tmp_path: Path) -> None:
    file = written(tmp_path, complete(WARNING))
    result = vmmob("check", file)
    finding, summary = result.stdout.splitlines()
    assert result.exit_code == 0
    assert finding.startswith(f"{file}:")
    assert finding.endswith("[domain-unused]")
    assert summary == "two-dcs: 5 switches, 4 links, 4 servers, 1 external: 1 warning"
    assert result.stderr == ""


def test_strict_makes_warnings_count(tmp_path: Path) -> None:
    result = vmmob("check", "--strict", written(tmp_path, complete(WARNING)))
    assert result.exit_code == 1
    assert result.stderr.rstrip().endswith("[domain-unused]")
    assert result.stdout == "two-dcs: 5 switches, 4 links, 4 servers, 1 external: 1 warning\n"
    assert vmmob("check", "--strict", EXAMPLE).exit_code == 0


def test_errors_go_to_standard_error(tmp_path: Path) -> None:
    file = written(tmp_path, complete(WARNING + "\n" + ERROR))
    result = vmmob("check", file)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"{file}:")
    assert result.stderr.rstrip().endswith("[port-used-twice]")
    assert result.stdout.splitlines()[-1] == "two-dcs: 5 switches, 4 links, 4 servers, 1 external: 1 error, 1 warning"


def test_json(tmp_path: Path) -> None:
    file = written(tmp_path, complete(ERROR))
    result = vmmob("check", "--json", file)
    answer = json.loads(result.stdout)
    finding = answer.pop("findings")[0]
    assert result.exit_code == 1
    assert result.stderr == ""
    assert answer == {
        "file": str(file),
        "fabric": "two-dcs",
        "ok": False,
        "counts": {"data_centers": 2, "l2_domains": 5, "switches": 5, "links": 4, "servers": 4, "externals": 1},
        "errors": 1,
        "warnings": 0,
    }
    assert set(finding) == {"file", "line", "path", "rule", "severity", "message"}
    assert (finding["path"], finding["rule"], finding["severity"]) == ("servers.srv-c1.attach", "port-used-twice", "error")


def test_json_of_a_good_file_and_of_one_with_warnings(tmp_path: Path) -> None:
    assert json.loads(vmmob("check", "--json", EXAMPLE).stdout)["ok"] is True
    file = written(tmp_path, complete(WARNING))
    assert json.loads(vmmob("check", "--json", file).stdout)["ok"] is True
    assert json.loads(vmmob("check", "--json", "--strict", file).stdout)["ok"] is False


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_unreadable_file(tmp_path: Path, name: str) -> None:
    result = vmmob("check", tmp_path / name)
    assert result.exit_code == 2
    assert "[file-unreadable]" in result.stderr
    answer = json.loads(vmmob("check", "--json", tmp_path / name).stdout)
    assert answer["findings"][0]["rule"] == "file-unreadable"


def test_usage() -> None:
    assert vmmob("check").exit_code == 2
    assert vmmob("check", "--nonsense", EXAMPLE).exit_code == 2
    assert vmmob("nonsense").exit_code == 2


def test_version() -> None:
    assert vmmob("version").stdout == f"vmmob {__version__}\n"


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\1\2\377\376", b"[]", b"{" * 3000, b"a: &a [*a]", b"version: " + b"9" * 10000, os.urandom(4096)],
    ids=["empty", "binary", "list", "deep", "recursive", "huge number", "random"],
)
def test_no_traceback_whatever_the_file_holds(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "fabric.yaml"
    file.write_bytes(content)
    result = vmmob("check", file)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "error: " in result.stderr


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_as_a_process_in_a_poor_terminal(tmp_path: Path, encoding: str) -> None:
    """The program itself, with a file name and a locale that cannot be printed as they are."""
    file = os.fsencode(tmp_path) + b"/f\xff.yaml"
    with open(file, "wb") as out:
        out.write("version: ä\n".encode())
    result = subprocess.run(
        [sys.executable, "-m", "ryu_vmmob.cli.main", "check", file],
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert result.returncode == 1
    assert b"Traceback" not in result.stderr
    assert b".yaml:1: error: version: " in result.stderr
