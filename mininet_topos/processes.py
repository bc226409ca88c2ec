"""Child processes that speak JSON lines, live in a chosen network namespace, and never outlive us."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ANSWER_SECONDS = 30.0
PROBES = Path(__file__).resolve().parent / "probes"


class ChildError(RuntimeError):
    """A child process said that something failed, or said nothing; the text has what it wrote to standard error."""


def inside(pid: int | None, command: Sequence[str]) -> list[str]:
    """``command`` in the network namespace of process ``pid`` (None: ours)."""
    return list(command) if pid is None else ["mnexec", "-a", str(pid), *command]


def run_inside(pid: int | None, *command: str) -> str:
    """Run a command to its end in that namespace and return what it printed. Raises ChildError."""
    done = subprocess.run(inside(pid, command), capture_output=True, text=True)
    if done.returncode:
        raise ChildError(f"{' '.join(command)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class JsonChild:
    """A Python program of ours (standard library only) that answers orders on its standard input with JSON lines.

    The kernel kills it when our thread ends, so even ``kill -9`` of us leaves nothing running.
    """

    def __init__(self, program: Path, *arguments: str, netns_pid: int | None = None, name: str = "") -> None:
        self.name = name or program.stem
        interpreter = [sys.executable, "-I", "-S", str(program), *arguments]
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *inside(netns_pid, interpreter)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._unread = b""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def tell(self, order: dict[str, Any]) -> None:
        """Send an order without waiting for the answer. Raises ChildError when the child is gone."""
        if self._process.stdin is None:
            raise AssertionError("started without a pipe")
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise ChildError(f"{self.name} is gone: {self._last_words()}") from error

    def answer(self, timeout: float = ANSWER_SECONDS) -> dict[str, Any]:
        """Return the next line it says. Raises ChildError for a refusal, an end, or silence of ``timeout`` seconds."""
        out = self._process.stdout
        if out is None:
            raise AssertionError("started without a pipe")
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise ChildError(f"{self.name} said nothing for {timeout} s")
                data = out.read1(1 << 20)  # type: ignore[attr-defined]  # a BufferedReader
                if not data:
                    raise ChildError(f"{self.name} ended: {self._last_words()}")
                self._unread += data
        line, self._unread = self._unread.split(b"\n", 1)
        value: dict[str, Any] = json.loads(line)
        if value.get("ok") is False:
            raise ChildError(f"{self.name}: {value.get('error')}")
        return value

    def ask(self, order: dict[str, Any], timeout: float = ANSWER_SECONDS) -> dict[str, Any]:
        """Return an order and its answer."""
        self.tell(order)
        return self.answer(timeout)

    def stop(self) -> None:
        """End it, however it feels, and wait for that."""
        if self.running:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):  # an order that was not read
                    pipe.close()

    def _last_words(self) -> str:
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            return "(it still runs)"
        said = self._process.stderr.read().decode(errors="replace") if self._process.stderr else ""
        return f"exit {self._process.returncode}: {said.strip()[-2000:]}"
