"""docs/first-switch.md is true: its commands, typed on a bare Open vSwitch, lead to a status without a trouble."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mininet_topos.controller import free_ports
from mininet_topos.ovs import PrivateOvs, missing_programs
from ryu_vmmob import fabric
from tests.support.pages import Terminal, examples, missing

PAGE = Path(__file__).parents[2] / "docs" / "first-switch.md"
REST, OPENFLOW = "8080", "6653"
"""The ports that the page names."""


@pytest.fixture
def bare() -> Iterator[PrivateOvs]:
    """An Open vSwitch without a bridge."""
    if lacking := missing_programs():
        pytest.skip(f"Open vSwitch is not installed: {', '.join(lacking)} not found")
    with PrivateOvs(dummy=True) as running:
        yield running


def test_every_command_says_what_the_page_shows(bare: PrivateOvs, tmp_path: Path) -> None:
    own = dict(zip((REST, OPENFLOW), map(str, free_ports(2)), strict=True))
    environment = {name: value for name, value in bare.env.items() if not name.startswith("VMMOB_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{bare.env['PATH']}", "VMMOB_URL": f"http://127.0.0.1:{own[REST]}",
        "COLUMNS": "200",
    }  # fmt: skip
    (written,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    terminal, tried = Terminal(tmp_path, environment), 0
    try:
        for _, command, shown in examples(PAGE):
            for named, port in own.items():
                command = command.replace(f":{named}", f":{port}").replace(f"--listen {named}", f"--listen {port}")
            said = terminal.type(command)
            for named, port in own.items():
                said = [line.replace(port, named) for line in said]
            lacking = missing(shown, said)
            assert lacking is None, f"{command}\nshows not: {lacking}\nbut:\n" + "\n".join(said)
            tried += 1
            if command == "vmmob check site/fabric.yaml" and tried == 2:
                (tmp_path / "site" / "fabric.yaml").write_text(written, encoding="utf-8")
                settings = tmp_path / "site" / "vmmob.conf"
                text = settings.read_text(encoding="utf-8")
                for named, port in own.items():
                    text = text.replace(f"port = {named}", f"port = {port}")
                settings.write_text(text, encoding="utf-8")
    finally:
        terminal.close()
    assert tried >= 20


def test_the_file_of_the_page_is_whole() -> None:
    (written,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found = fabric.examine(written.encode(), "first-switch.md")
    assert (found.findings, found.name) == ((), "first")
