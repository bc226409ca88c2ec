"""What a benchmark stands on: the real controller as a process, with real bridges or fake switches, asked by REST.

Needs the source tree; bridges need Open vSwitch besides. Everything is started in a scratch directory and is gone afterwards.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, cast

from ryu_vmmob.bench import fabrics
from ryu_vmmob.bench.pieces import FILE
from ryu_vmmob.client import Client
from ryu_vmmob.fabric import load

SECONDS: Final = 600.0
"""How long anything may take."""
POLL: Final = 0.02


class FakeProcess:
    """Fake switches with the dpids 1 to ``count`` that remember nothing, in a process of their own."""

    def __init__(self, port: int, count: int) -> None:
        command = [
            sys.executable,
            "-m",
            "ryu_vmmob.bench.fake_process",
            "--connect",
            f"127.0.0.1:{port}",
            "--count",
            str(count),
        ]
        command += ["--set", "remembers", "False", "--set", "echo", "1.0"]
        self._process = subprocess.Popen(  # noqa: S603 - a command of our own
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._in, self._out = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)

    def say(self, line: str) -> None:
        """See `fake_process`."""
        self._in.write(line + "\n")
        self._in.flush()

    def state(self) -> dict[str, Any]:
        """Return what each of them has, by its dpid as text. Raises RuntimeError when the process is gone."""
        self.say("state")
        line = self._out.readline()
        if not line:
            raise RuntimeError("the fake switches are gone")
        found: dict[str, Any] = json.loads(line)
        return found

    def stop(self) -> None:
        """Switch them off."""
        self._process.kill()
        self._process.communicate()


class Rig:
    """A controller and its switches, all in step when it stands. Use it as a context manager.

    ``real``: bridges of an Open vSwitch of our own. ``first`` and ``settings`` as `Controller` has them. Raises RuntimeError
    where that is not possible.
    """

    def __init__(
        self, fabric: dict[str, Any], *, real: bool, first: Sequence[Path] = (), settings: Mapping[str, str] | None = None
    ) -> None:
        self._fabric = fabric
        self._real = real
        self._first = first
        self._settings = dict(settings or {})
        self._stack = ExitStack()
        self.bridges: dict[str, Any] = {}

    def __enter__(self) -> Rig:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        try:
            from mininet_topos.controller import Controller, free_ports
            from mininet_topos.dummies import DummyBridge, ports_of
            from mininet_topos.ovs import PrivateOvs
        except ImportError as error:
            raise RuntimeError(f"this benchmark runs in the source tree only: {error}") from error
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vmmob-bench-")))
        path = fabrics.write(self._fabric, directory)
        openflow, rest = free_ports(2)
        settings = {"audit_interval": "0", "rest_rate": "0", **self._settings}
        self.controller = Controller(
            path, directory, openflow_port=openflow, rest_port=rest, settings=settings, first=self._first
        )
        stack.enter_context(self.controller)
        if self._real:
            ovs = stack.enter_context(PrivateOvs(dummy=True))
            fabric = load(path)
            for name, switch in fabric.switches.items():
                self.bridges[name] = DummyBridge(ovs, name, ports_of(fabric, name))
                self.bridges[name].connect(switch.dpid, f"tcp:127.0.0.1:{openflow}")
        else:
            self.fakes = FakeProcess(openflow, len(self._fabric["switches"]))
            stack.callback(self.fakes.stop)
        self.client = Client(self.controller.rest, timeout=SECONDS)
        self.until_in_step()

    def until_in_step(self) -> None:
        """Return when every switch has confirmed everything. Raises RuntimeError when that takes too long."""
        deadline = time.monotonic() + SECONDS
        while True:
            late = [row for row in self.client.get("/v1/switches")["items"] if not row["in_step"]]
            if not late:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(late)} switches are not in step, as {late[0]}")
            time.sleep(POLL)

    def load(self, crowd: fabrics.Crowd, rows: int) -> float:
        """Seconds in which VMs come in, ``rows`` a request, until all switches have confirmed."""
        bodies = list(crowd.bodies(rows))
        began = time.monotonic()
        for body in bodies[:-1]:
            self.client.post("/v1/bulk", body)
        self.client.post("/v1/bulk", bodies[-1], wait=SECONDS)
        self.until_in_step()
        return time.monotonic() - began

    def slowest_echo(self) -> float:
        """Seconds that the slowest answer to a fake switch's echo request took, since they forgot the others."""
        return max(float(row["echoes"]["slowest"]) for row in self.fakes.state().values())

    def processor_time(self) -> float:
        """Seconds for which the controller's threads have been running (``schedstat``, proc(5)), and no other process."""
        threads = Path(f"/proc/{self.controller.pid}/task").glob("*/schedstat")
        return sum(int(file.read_text().split()[0]) for file in threads) / 1e9

    def pieces_seen(self) -> Callable[[], list[dict[str, Any]]]:
        """Return a function that gives what `pieces` wrote down since now; that must be among the ``first``."""
        file = self.controller.directory / FILE
        before = len(file.read_text().splitlines())
        return lambda: [json.loads(line) for line in file.read_text().splitlines()[before:]]

    def durable_write(self) -> float:
        """Seconds that the disk takes for a block of 4 KiB beside the controller's store: no command can be done sooner."""
        with (self.controller.directory / "block").open("ab") as file:
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            return time.perf_counter() - began

    def memory(self, what: str) -> int:
        """Bytes of the controller's memory: ``VmRSS`` now, ``VmHWM`` the most there ever was (proc_pid_status(5))."""
        text = Path(f"/proc/{self.controller.pid}/status").read_text()
        (found,) = re.findall(rf"^{what}:\s+(\d+) kB$", text, re.M)
        return 1024 * int(found)
