"""What benchmarks of the whole controller stand on: real bridges of a private Open vSwitch, ``ryu-manager``, a tap between.

Needs the source tree (``mininet_topos``) and Open vSwitch.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from ryu_vmmob.bench.tap import SECONDS, Line, Tap, wait_for
from ryu_vmmob.client import Client
from ryu_vmmob.fabric import load

if TYPE_CHECKING:
    from mininet_topos.dummies import DummyBridge

NOWHERE: Final = "tcp:127.0.0.1:1"
"""A controller that is not there: a bridge without one at all would lose its flows."""
_CALM: Final = 0.7
_AT_ONCE: Final = 1000
"""VMs in one request."""


class BenchSite:
    """The switches of a fabric file and the controller that is to drive them. Use it as a context manager.

    ``real`` are the switches that are bridges of Open vSwitch; the others are away, or played by a caller. None is
    connected at first.
    """

    def __init__(self, fabric: Path | str, real: Iterable[str]) -> None:
        self._stack = ExitStack()
        try:
            self._set_up(fabric, tuple(real))
        except BaseException:
            self._stack.close()
            raise

    def _set_up(self, fabric: Path | str, real: tuple[str, ...]) -> None:
        try:
            from mininet_topos.controller import Controller, free_ports
            from mininet_topos.dummies import DummyBridge, ports_of
            from mininet_topos.ovs import PrivateOvs
        except ImportError as error:
            raise RuntimeError(f"this benchmark runs in the source tree only: {error}") from error
        self.directory = directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="vmmob-bench-")))
        if isinstance(fabric, str):
            (directory / "fabric.yaml").write_text(fabric)
            fabric = directory / "fabric.yaml"
        self.fabric = load(fabric)
        self.ovs = self._stack.enter_context(PrivateOvs(dummy=True))
        self.openflow, rest = free_ports(2)
        self.controller = Controller(
            fabric, directory, openflow_port=self.openflow, rest_port=rest,
            settings={"audit_interval": "0", "link_up_delay": "0"},
        )  # fmt: skip
        self._stack.enter_context(self.controller)
        self.tap = self._stack.enter_context(Tap(self.fabric.switches, self.openflow))
        self.bridges: Mapping[str, DummyBridge] = {
            name: DummyBridge(self.ovs, name, ports_of(self.fabric, name)) for name in real
        }
        self.client = Client(self.controller.rest, timeout=SECONDS)

    def __enter__(self) -> BenchSite:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def load(self, bodies: Mapping[str, Any]) -> None:
        """Have all of these CUGs and VMs, some at a time: the body of ``POST /v1/bulk``."""
        self.client.post("/v1/bulk", {**bodies, "vms": {}})
        rows = iter(bodies["vms"].items())
        while part := dict(islice(rows, _AT_ONCE)):
            self.client.post("/v1/bulk", {"vms": part})

    def connect(self, name: str) -> Line:
        """Let a bridge connect to the controller, by way of the tap; its connection."""
        before = len(self.tap.lines[name])
        self.point(name, f"tcp:127.0.0.1:{self.tap.port(name)}")
        return self.tap.line(name, before)

    def point(self, name: str, target: str) -> None:
        """Let a bridge ask for a controller at ``target``, and wait for nothing."""
        self.bridges[name].connect(self.fabric.switches[name].dpid, target)

    def disconnect(self, name: str) -> None:
        """Let a bridge lose its controller and keep its flows; returns when the controller knows."""
        self.point(name, NOWHERE)
        wait_for(lambda: not self._switch(name)["connected"], f"{name} stays connected", 0.02)

    def until_in_step(self, *names: str) -> None:
        """Return when these switches are in step. Raises RuntimeError when that takes too long."""
        wait_for(lambda: all(row["connected"] and row["in_step"] for row in map(self._switch, names)), "not in step", 0.02)

    @property
    def revision(self) -> int:
        """The controller's newest revision."""
        found: int = self.client.get("/v1/fabric")["revision"]
        return found

    def until_calm(self) -> None:
        """Return when every bridge is in step and nothing has followed for a while: what follows by itself does so at once, or
        within the half second in which the controller looks for it.
        """
        before = -1
        while (now := self.revision) != before:
            before = now
            time.sleep(_CALM)
            self.until_in_step(*self.bridges)

    def _switch(self, name: str) -> Any:
        (row,) = (row for row in self.client.get("/v1/switches")["items"] if row["name"] == name)
        return row

    def said(self, since: int, what: str) -> float:
        """Return when the controller wrote a line with ``what`` to its log, behind byte ``since``.

        The log is read every millisecond, which does not disturb the controller.
        """
        path = self.controller.log_file

        def look() -> bool:
            with path.open("rb") as log:
                log.seek(since)
                return what.encode() in log.read()

        wait_for(look, f"the controller does not say {what!r}", 0.001)
        return time.monotonic()

    @property
    def log_size(self) -> int:
        """Bytes in the controller's log so far."""
        return self.controller.log_file.stat().st_size
