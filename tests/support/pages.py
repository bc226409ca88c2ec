"""Pages whose commands are typed into a shell, one after another, and must say what the page shows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

ASIDE = "<!-- runs beside the others -->"
ACTIVATE = ". .venv/bin/activate"
DONE = "-- done --"


def examples(page: Path) -> list[tuple[bool, str, list[str]]]:
    """(whether it runs beside the others, command, lines shown) of each example on a page."""
    found = []
    text = page.read_text(encoding="utf-8")
    for mark, block in re.findall(rf"^({re.escape(ASIDE)}\n\n)?```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.replace("\\\n", " ").splitlines()
            if command != ACTIVATE:
                found.append((bool(mark), command, shown))
    return found


def plain(line: str) -> str:
    """A line without what is another at each run: ids, times, widths of columns."""
    for pattern in (
        r"\b[mb]-[0-9a-f]{12}\b",
        r"\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z|[+-]\d\d:\d\d)?", r"time[= ][\d.]+ ?ms", r"^rtt .*", r"^revision +\d+$",
    ):  # fmt: skip
        line = re.sub(pattern, "*", line)
    return " ".join(line.split())


def missing(shown: list[str], said: list[str]) -> str | None:
    """The first line of ``shown`` that ``said`` has not, in order; None when it has all."""
    rest = iter([plain(line) for line in said])
    for line in shown:
        if line.strip() and not any(plain(line) == other for other in rest):
            return line
    return None


class Terminal:
    """A shell in which one command is typed after another."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["bash"], cwd=directory, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def type(self, command: str) -> list[str]:
        """What the command prints, both streams."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{command}\nprintf '\\n%s\\n' '{DONE}'\n")
        self._shell.stdin.flush()
        said: list[str] = []
        for line in self._shell.stdout:
            if line.rstrip("\n") == DONE:
                return said
            said.append(line.rstrip("\n"))
        raise AssertionError(f"the shell ended at {command!r}: {said}")

    def close(self) -> None:
        """End it and whatever it has begun."""
        os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.communicate()
