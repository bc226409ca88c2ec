"""docs/tutorial.md and the section "See it move" of README.md are true: their commands do what they show, in order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.laboratory import ROOT
from tests.support.pages import ACTIVATE, Terminal, examples, missing, plain

READY_SECONDS = 120.0
SHOWN_PORT = "8080"


class Page:
    """The commands of one page, run in a directory that looks like a checkout. ``port`` stands for the one that it names."""

    def __init__(self, directory: Path, port: int) -> None:
        self._port = str(port)
        for name in ("etc", "mininet_topos"):
            (directory / name).symlink_to(ROOT / name)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = os.environ | {
            "PATH": path, "PYTHONPATH": str(ROOT), "VMMOB_URL": f"http://127.0.0.1:{port}", "COLUMNS": "200",
        }  # fmt: skip
        self._directory = directory
        self._aside: subprocess.Popen[str] | None = None
        self._terminal = Terminal(directory, self._environment)

    def run(self, aside: bool, command: str) -> list[str]:
        """What a command says; of one that runs beside the others, what it says until it is ready."""
        if not aside:
            lines = self._terminal.type(command)
            return [line.replace(self._port, SHOWN_PORT) for line in lines]
        self._aside = subprocess.Popen(
            [*command.split(), "--port", self._port], cwd=self._directory, env=self._environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        said: list[str] = []
        assert self._aside.stdout is not None
        for line in self._aside.stdout:
            said.append(line.rstrip("\n").replace(self._port, SHOWN_PORT))
            if "dashboard" in line:
                break
        return said

    def end(self) -> int | None:
        """Press Ctrl-C where something runs beside the others; its exit status."""
        if self._aside is None:
            return None
        self._aside.send_signal(signal.SIGINT)
        self._aside.communicate(timeout=READY_SECONDS)
        status, self._aside = self._aside.returncode, None
        return status

    def close(self) -> None:
        """Leave nothing behind."""
        self._terminal.close()
        if self._aside is not None:
            self._aside.terminate()
            self._aside.communicate()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    from mininet_topos.controller import free_ports

    running = Page(tmp_path, free_ports(1)[0])
    yield running
    running.close()


@pytest.mark.parametrize("name", ["docs/tutorial.md"])
def test_every_command_says_what_the_page_shows(page: Page, name: str) -> None:
    tried = examples(ROOT / name)
    assert len(tried) > 5
    for aside, command, shown in tried:
        said = page.run(aside, command)
        lacking = missing(shown, said)
        assert lacking is None, f"{command}\nshows not: {lacking}\nbut:\n" + "\n".join(said)
    assert page.end() == 0


def test_the_readme_leads_to_a_move(page: Page) -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## See it move")[2].partition("\n## ")[0]
    assert "    make lab\n" in section
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lab = re.search(r"^lab: setup\n\t@\$\(PYTHON_IN_VENV\) (-m mininet_topos\.live) ", makefile, re.MULTILINE)
    assert lab is not None
    page.run(True, f"python {lab[1]} etc/two-dcs.yaml")
    block = re.search(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert block is not None
    said = {command: page.run(False, command) for command in block[1].splitlines() if command != ACTIVATE}
    assert "0% packet loss" in "\n".join(said["wait; tail -n 2 ping.txt"])
    assert any(plain(line) == "state committed" for line in said["vmmob move web1 srv-c1 --wait"])
    assert page.end() == 0
