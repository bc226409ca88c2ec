"""The controller as a process of its own, as an administrator starts it: ``ryu-manager ryu_vmmob.apps.vmmob``."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

APPLICATION = "ryu_vmmob.apps.vmmob"
START_SECONDS = 60.0
STOP_SECONDS = 15.0


class ControllerError(RuntimeError):
    """The controller did not start, or ended; the text has the end of its log."""


@dataclass(frozen=True)
class Tls:
    """For a controller that speaks TLS: Ryu's options about it, and what `requests` is to be given to speak with REST."""

    options: Mapping[str, str]
    client: Mapping[str, Any]


class Controller:
    """One controller on the loopback. It can be killed and started again on the same store.

    ``directory`` takes its configuration file, its log and its store. ``settings`` are further options of group ``[vmmob]``;
    ``first`` are files with Ryu applications that are loaded before the controller's own. With
    ``tls``, OpenFlow and REST are over TLS (REST's own options are among the settings).
    """

    def __init__(
        self,
        fabric: Path,
        directory: Path,
        *,
        openflow_port: int = 6653,
        rest_port: int = 8080,
        settings: Mapping[str, str] | None = None,
        first: Sequence[Path] = (),
        tls: Tls | None = None,
    ) -> None:
        self.directory = directory
        self._applications = [*map(str, first), APPLICATION]
        self.openflow = ("127.0.0.1", openflow_port)
        self.rest = f"{'http' if tls is None else 'https'}://127.0.0.1:{rest_port}"
        self._tls = tls
        self.log_file = directory / "controller.log"
        self._config = directory / "vmmob.conf"
        options = {"fabric": str(fabric.resolve()), "store": f"sqlite:///{directory / 'vmmob.db'}", **(settings or {})}
        self._config.write_text(
            f"[DEFAULT]\n{'ofp_tcp' if tls is None else 'ofp_ssl'}_listen_port = {openflow_port}\n"
            + ("" if tls is None else "".join(f"{name} = {value}\n" for name, value in tls.options.items()))
            + f"wsapi_host = 127.0.0.1\nwsapi_port = {rest_port}\n"
            + "[vmmob]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())
        )  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id. Raises ControllerError when it does not run."""
        if self._process is None:
            raise ControllerError("the controller is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has said so far, all runs together."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self) -> Controller:
        """Start it and wait until REST answers. Raises ControllerError."""
        manager = Path(sys.executable).with_name("ryu-manager")
        if not manager.exists():
            raise ControllerError(f"no {manager}: is the environment set up (tools/setup.sh)?")
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", str(manager), *self._applications, "--config-file", str(self._config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                requests.get(f"{self.rest}/healthz", timeout=2, **({} if self._tls is None else self._tls.client))
                return self
            except requests.ConnectionError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise ControllerError(f"the controller did not start:\n{self.log[-3000:]}") from error
            time.sleep(0.05)

    def until_dead(self, seconds: float = START_SECONDS) -> None:
        """Return when it has ended by itself. Raises ControllerError when it does not."""
        if self._process is not None:
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired as over:
                raise ControllerError(f"the controller still runs after {seconds:g} s") from over
            self._process = None

    def kill(self) -> None:
        """End it without warning (kill -9)."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order, by force if it does not."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self) -> Controller:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def free_ports(number: int) -> list[int]:
    """TCP ports of the loopback on which no process listens."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
