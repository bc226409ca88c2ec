"""Real etcd members on loopback, each a process of its own in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import pytest
import requests

from tests.support.ryu_manager import free_port

SECONDS: Final = 60.0
missing = pytest.mark.skipif(shutil.which("etcd") is None, reason="no etcd (Debian package etcd-server)")


class Etcd:
    """``members`` members of one cluster, in folders under ``folder``. ``options`` go to each of them."""

    def __init__(self, folder: Path, members: int = 1, *options: str, election: int = 100, scheme: str = "http") -> None:
        self._folder = folder
        self._scheme = scheme
        self.ports = [free_port() for _ in range(members)]
        peers = [free_port() for _ in range(members)]
        cluster = ",".join(f"m{number}=http://127.0.0.1:{port}" for number, port in enumerate(peers))
        self._commands = [
            [
                "etcd", "--name", f"m{number}", "--data-dir", str(folder / f"m{number}"),
                "--listen-client-urls", f"{scheme}://127.0.0.1:{port}", "--advertise-client-urls", f"{scheme}://127.0.0.1:{port}",
                "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                "--initial-cluster", cluster, "--heartbeat-interval", str(election // 10), "--election-timeout", str(election),
                *options,
            ]
            for number, (port, peer) in enumerate(zip(self.ports, peers, strict=True))
        ]  # fmt: skip
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Etcd:
        try:
            for number in range(len(self.ports)):
                self.start(number)
            if self._scheme == "http":
                for number in range(len(self.ports)):
                    self.until_ready(number)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all members."""
        for number in list(self._processes):
            self.kill(number)

    def url(self, prefix: str, *members: int) -> str:
        """The URL of a store there; ``members``: the order in which they are asked."""
        order = members or range(len(self.ports))
        hosts = ",".join(f"127.0.0.1:{self.ports[number]}" for number in order)
        return f"etcd{'s' if self._scheme == 'https' else ''}://{hosts}/{prefix}"

    def start(self, number: int) -> None:
        """Start a member."""
        with (self._folder / f"m{number}.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                self._commands[number], stdout=log, stderr=log, env={**os.environ, "ETCD_UNSUPPORTED_ARCH": os.uname().machine}
            )

    def signal(self, number: int, what: signal.Signals) -> None:
        """Send a member's process a signal."""
        self._processes[number].send_signal(what)

    def kill(self, number: int) -> None:
        """Kill a member, as a power cut does."""
        process = self._processes.pop(number)
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()

    def status(self, number: int) -> dict[str, Any]:
        """What a member says of itself and its leader."""
        place = f"http://127.0.0.1:{self.ports[number]}/v3/maintenance/status"
        found = requests.post(place, json={}, timeout=2).json()
        assert isinstance(found, dict)
        return found

    def until_ready(self, number: int) -> None:
        """Return when a member knows a leader."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(requests.RequestException, ValueError):
                if int(self.status(number).get("leader", "0")):
                    return
            time.sleep(0.02)
        raise AssertionError((self._folder / f"m{number}.log").read_text()[-2000:])

    def leader(self) -> int:
        """The number of the member that leads."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            for number in self._processes:
                with contextlib.suppress(requests.RequestException, ValueError):
                    found = self.status(number)
                    if found.get("leader") == found["header"]["member_id"]:
                        return number
            time.sleep(0.02)
        raise AssertionError("no member leads")

    def keys(self, prefix: str) -> dict[str, bytes]:
        """All keys under a prefix, with their values, read past the store."""
        from ryu_vmmob.store.etcd.address import Access, parse
        from ryu_vmmob.store.etcd.gateway import Gateway

        gateway = Gateway(parse(self.url(prefix), Access()), Access())
        found = gateway.pages(f"/{prefix}/", f"/{prefix}0", time.monotonic() + SECONDS, page=100)
        gateway.close()
        return {pair.key.removeprefix(f"/{prefix}"): pair.value for pair in found}
