"""The units in etc/systemd, and what they rely on: the controller says when it is ready."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ryu_vmmob.apps.vital import EXIT_STATUS

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "etc" / "systemd" / "ryu-vmmob.service"
HYPERVISOR = UNIT.with_name("vmmob-hypervisor.service")
PROGRAMS = {UNIT: "vmmob-manager", HYPERVISOR: "vmmob-hypervisor"}
SECONDS = 120.0


def test_what_the_unit_says() -> None:
    text = UNIT.read_text(encoding="utf-8")
    said = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    assert said["RestartForceExitStatus"] == str(EXIT_STATUS)
    assert said["ExecStart"].split()[1:] == ["ryu_vmmob.apps.vmmob", "--config-file", "/etc/vmmob/vmmob.conf"]
    assert "vmmob-manager = " in (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert said["Type"] == "notify"
    assert f"/var/lib/{said['StateDirectory']}/" in (ROOT / "etc" / "vmmob.conf").read_text(encoding="utf-8")


def test_what_the_hypervisors_unit_says() -> None:
    text = HYPERVISOR.read_text(encoding="utf-8")
    said = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    assert said["ExecStart"] == "/opt/vmmob/bin/vmmob-hypervisor"
    assert "vmmob-hypervisor = " in (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert {"AF_PACKET", "AF_UNIX"} <= set(said["RestrictAddressFamilies"].split())
    assert said["CapabilityBoundingSet"].split() == ["CAP_NET_RAW", "CAP_NET_ADMIN"]


@pytest.fixture(params=list(PROGRAMS), ids=lambda file: str(file.stem))
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A unit with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    source: Path = request.param
    text = source.read_text(encoding="utf-8").replace(f"/opt/vmmob/bin/{PROGRAMS[source]}", sys.executable)
    file = tmp_path / source.name
    file.write_text(text, encoding="utf-8")
    return file


def test_systemd_understands_it(unit: Path) -> None:
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert unit.name not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


def test_systemd_rates_the_unit_as_confined(unit: Path) -> None:
    """systemd's own measure, of 0.0 (nothing is open) to 10.0; the threshold is in tenths. One reads taps as root."""
    threshold = 20 if unit.name == UNIT.name else 35
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={threshold}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_ready_is_said_when_everybody_may_come(tmp_path: Path) -> None:
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as one:
            ports.append(one.getsockname()[1])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(SECONDS)
        command = [
            sys.executable, "-m", "ryu_vmmob.manager", "ryu_vmmob.apps.vmmob",
            "--vmmob-fabric", str(ROOT / "etc" / "example.yaml"), "--vmmob-store", "sqlite:///:memory:",
            "--ofp-listen-host", "127.0.0.1", "--ofp-tcp-listen-port", str(ports[0]), "--wsapi-port", str(ports[1]),
        ]  # fmt: skip
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, cwd=ROOT) as process:
            try:
                assert notified.recv(64) == b"READY=1"
                for port in ports:
                    socket.create_connection(("127.0.0.1", port), SECONDS).close()
            finally:
                process.terminate()
                process.communicate()
